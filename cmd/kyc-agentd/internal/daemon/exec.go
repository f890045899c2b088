package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/strictmodes"
	"github.com/legaltalent/kyc-agent/internal/handover"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/ipc"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/auto"
)

// The daemon executes itself anew, as another image of the same process, for an upgrade, and
// to leave nothing behind in memory at a lock and an unlock. Sockets, locks, the process id
// and the service manager's view of it stay; see package handover.

// TakesOver is what `serve --check` prints if it can take over from a daemon of this version.
const TakesOver = "handover 1"

// checkWithin is how long the next program may take to say that.
const checkWithin = 10 * time.Second

// Check returns nil if a daemon that is started with o would accept its configuration.
func Check(o Options) error {
	o.Log = io.Discard
	return newDaemon(o).canStart()
}

// A nextImage is what takes the place of this one.
type nextImage struct {
	program string
	// forget removes the token files first: a fresh image is to have no secret.
	forget bool
}

// Restart replaces the running program by the one that is installed now. It returns before that
// happens. After an error, everything goes on as before.
func (d *daemon) Restart(ctx context.Context) error {
	program, err := installedProgram()
	if err == nil {
		err = checkProgram(ctx, program, d.opts.Vars)
	}
	if err == nil {
		_, err = d.valuesInMemory(ctx)
	}
	if err != nil {
		d.log.Error("not upgraded; the agent goes on as before", "program", program, "error", err)
		return &agent.Error{
			Code: agent.CodeConfiguration, Op: "restart", Err: err,
			Message: "not upgraded; the agent goes on as before: " + err.Error(),
		}
	}
	return d.leave(nextImage{program: program})
}

// leave ends serving, so that next takes over.
func (d *daemon) leave(next nextImage) error {
	select {
	case d.next <- next:
		return nil
	default:
		return &agent.Error{Code: agent.CodeUnavailable, Op: "restart", Message: "the agent is being replaced already", Hint: "try again"}
	}
}

// waitForNext waits until another image is to take over, hands over the sockets, and calls end.
// It returns nil if serving ends for another reason.
func (d *daemon) waitForNext(serving context.Context, s *sockets, end context.CancelCauseFunc) *nextImage {
	select {
	case next := <-d.next:
		if err := d.handOver(s); err != nil {
			d.log.Error("a socket cannot be handed to the next image; clients will not reach it", "error", err)
		}
		if next.forget {
			end(ipc.ErrAtOnce)
		}
		end(nil)
		return &next
	case <-serving.Done():
		return nil
	}
}

// reason is for the log.
func (next *nextImage) reason() error {
	if next == nil {
		return nil
	}
	return errors.New("another image of this process takes over")
}

// installedProgram returns the path of this program, which may name a newer file by now. The
// file that runs may be deleted.
func installedProgram() (string, error) {
	if path := os.Args[0]; filepath.IsAbs(path) {
		return path, nil
	}
	return os.Executable()
}

// sameProgram returns a path of the file that runs, so that no other version takes over.
func sameProgram() string {
	const running = "/proc/self/exe"
	path, err := installedProgram()
	if err != nil {
		return running
	}
	a, errA := os.Stat(path)
	b, errB := os.Stat(running)
	if errB != nil || errA == nil && os.SameFile(a, b) {
		return path
	}
	return running
}

// checkProgram runs `program serve --check` with the flags of this process.
func checkProgram(ctx context.Context, program string, vars config.Environ) error {
	if err := strictmodes.Check(program); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append(slices.Clone(os.Args[1:]), "--check")...)
	cmd.Env, cmd.WaitDelay = forCheck(vars), time.Second
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && len(exit.Stderr) > 0:
		line, _, _ := strings.Cut(strings.TrimSpace(string(exit.Stderr)), "\n")
		return fmt.Errorf("%s refuses: %s", program, sanitize.OneLine(strings.TrimPrefix(line, "kyc-agentd: ")))
	case ctx.Err() != nil:
		return fmt.Errorf("%s does not answer within %s", program, checkWithin)
	case err != nil:
		return fmt.Errorf("%s cannot be run: %s", program, config.PlainCause(err))
	case strings.TrimSpace(string(out)) != TakesOver:
		return fmt.Errorf("%s cannot take over from this version; run: kyc-agentd restart", program)
	}
	return nil
}

// forCheck leaves out what is for the daemon alone.
func forCheck(vars config.Environ) []string {
	return slices.DeleteFunc(slices.Clone(vars), func(assignment string) bool {
		name, _, _ := strings.Cut(assignment, "=")
		return name == "NOTIFY_SOCKET" || strings.HasPrefix(name, "WATCHDOG_") || strings.HasPrefix(name, "LISTEN_") || name == handover.Variable
	})
}

// handOver keeps the sockets for the next image. From now on clients wait in their backlogs.
func (d *daemon) handOver(s *sockets) error {
	var failed error
	for _, ln := range slices.Concat(s.all(), d.policySockets.listeners()) {
		failed = errors.Join(failed, ln.HandOver())
	}
	return failed
}

// handOverValues keeps for the next image what no disk has.
func (d *daemon) handOverValues() error {
	ctx, cancel := context.WithTimeout(context.Background(), handOverWithin)
	defer cancel()
	values, err := d.valuesInMemory(ctx)
	if err != nil {
		return err
	}
	return errors.Join(handover.SetData(dataValues, values), handover.SetData(dataUnsaved, d.lock.unsaved()), d.autoLock.handOver(), auto.HandOver(d.store))
}

const (
	dataValues     = "values"  // of a store in memory
	dataUnsaved    = "unsaved" // what the store has not taken
	handOverWithin = 10 * time.Second
)

// valuesInMemory returns what the store has, if that ends with the process.
func (d *daemon) valuesInMemory(ctx context.Context) (map[string][]byte, error) {
	if store.Describe(d.store).Lasting {
		return nil, nil
	}
	keys, err := d.store.Keys(ctx)
	if err != nil {
		return nil, err
	}
	values := map[string][]byte{}
	for _, key := range keys {
		if values[key], err = d.store.Get(ctx, key); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// receiveValues puts into the store what an earlier image had in memory, and returns what is
// still to be saved.
func (d *daemon) receiveValues(ctx context.Context) (unsaved map[string][]byte) {
	handover.Data(dataUnsaved, &unsaved)
	if unsaved == nil {
		unsaved = map[string][]byte{}
	}
	var values map[string][]byte
	handover.Data(dataValues, &values)
	for key, value := range values {
		if _, newer := unsaved[key]; newer {
			continue
		}
		if err := d.store.Put(ctx, key, value); err != nil {
			unsaved[key] = value
		}
	}
	return unsaved
}

// execute makes next this process. It returns only if that fails.
func (d *daemon) execute(next nextImage) error {
	notify("STATUS=executing "+next.program, "WATCHDOG=1")
	err := handover.Exec(next.program, os.Args, os.Environ())
	return fmt.Errorf("cannot execute %s: %s", next.program, config.PlainCause(err))
}

// nameProcess restores the name under which the kernel lists this process, which is "exe" after
// the execution of /proc/self/exe.
func nameProcess() {
	if handover.Count() > 0 {
		_ = os.WriteFile("/proc/self/comm", []byte(filepath.Base(os.Args[0])), 0)
	}
}
