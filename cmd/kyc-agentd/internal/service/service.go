// Package service starts, stops and restarts the agent of a user, where it runs: as systemd's
// user units, as a launchd agent, or as a plain process.
//
// Call [Find], then Start, Stop or Restart of the [Manager] that it returns. A stop waits until
// the process has ended, which takes up to 65 seconds while a refresh is under way: Cognito may
// have replaced the refresh token already, and an agent that is killed then has lost the
// sign-in. Nothing here kills an agent.
package service

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// Options say whose agent it is, and how to reach it.
type Options struct {
	Socket   string
	Explicit bool // the socket is named by a flag
	Vars     config.Environ
	Program  string // kyc-agentd, for an agent that is started as a plain process
	// Status asks the agent.
	Status func(context.Context) (agent.Status, error)
	// NoAgent reports whether Status failed because nobody answers on the socket.
	NoAgent func(error) bool
	// Say tells a person what takes long.
	Say func(format string, args ...any)
}

// A Manager runs the agent.
type Manager interface {
	// Name says what it is: "systemd, kyc-agentd.service".
	Name() string
	// Start starts the agent. It is no error if it runs already.
	Start(context.Context) error
	// Stop ends it, and what would start it at the next request.
	Stop(context.Context) error
	Restart(context.Context) error
	// Runs reports whether there is something to stop.
	Runs() bool
	// PID is the process of the agent, or 0 if it does not run.
	PID() int
}

// Find returns the manager of the agent that answers on the socket, or of the one that would
// be started for it. It does not ask where systemd listens and would start an agent to answer.
func Find(ctx context.Context, o Options) (Manager, error) {
	u, installed := o.findUnits(ctx)
	if installed && u.pid == 0 && u.active {
		return u, nil
	}
	st, err := o.Status(ctx)
	pid := 0 // not known
	if err == nil {
		pid = st.PID
	}
	if installed && (pid == 0 || pid == u.pid) {
		return u, nil
	}
	if l, ok := o.findLaunchd(ctx); ok && (pid == 0 || pid == l.pid) {
		return l, nil
	}
	if err != nil && !o.NoAgent(err) {
		return nil, err // something answers, and it does not say what it is
	}
	return &process{opts: o, pid: pid}, nil
}

const (
	// stopTimeout is a little more than an agent takes at most, as in the units.
	stopTimeout = 75 * time.Second
	// startTimeout is for an agent to answer after its start.
	startTimeout = 15 * time.Second
	// slowAfter is when a person is told why it takes long.
	slowAfter = 2 * time.Second
	poll      = 50 * time.Millisecond
)

// standard reports whether the socket is the one that service managers know.
func (o Options) standard() bool {
	return o.Socket == socket.StandardPath(o.Vars.Get)
}

// sayIfSlow tells a person why a stop takes long, until the returned function is called.
func (o Options) sayIfSlow() (done func()) {
	t := time.AfterFunc(slowAfter, func() {
		o.Say("waiting: the agent ends when its refresh at Cognito is done, within 65 s, so that the sign-in is not lost")
	})
	return func() { t.Stop() }
}

// answers waits until the agent answers, and is not the process old any more.
func (o Options) answers(ctx context.Context, old int) (agent.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		st, err := o.Status(ctx)
		if err == nil && st.PID != old {
			return st, nil
		}
		if err != nil && !o.NoAgent(err) && ctx.Err() == nil {
			return st, err
		}
		select {
		case <-ctx.Done():
			return st, failed("the agent does not answer within %s; run: kyc-agentd doctor", startTimeout)
		case <-time.After(poll):
		}
	}
}

// run runs a program of the service manager. Its error is the program's first line.
func (o Options) run(ctx context.Context, name string, args ...string) (string, error) {
	path := o.lookPath(name)
	if path == "" {
		return "", failed("there is no %s", name)
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout+startTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.WaitDelay = append(slices.Clone(o.Vars), "LC_ALL=C"), time.Second
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		line, _, _ := strings.Cut(strings.TrimSpace(string(exit.Stderr)), "\n")
		return string(out), failed("%s: %s", name, sanitize.OneLine(line))
	}
	if err != nil {
		return "", failed("%s: %s", name, config.PlainCause(err))
	}
	return string(out), nil
}

// lookPath finds a program as the shell does, or returns "".
func (o Options) lookPath(name string) string {
	for _, dir := range filepath.SplitList(o.Vars.Get("PATH")) {
		path, err := exec.LookPath(filepath.Join(dir, name))
		if err == nil && filepath.IsAbs(path) {
			return path
		}
	}
	return ""
}

// Op is the Op of the errors of this package.
const Op = "service"

func failed(format string, args ...any) error {
	return &agent.Error{Code: agent.CodeUnavailable, Op: Op, Message: fmt.Sprintf(format, args...)}
}
