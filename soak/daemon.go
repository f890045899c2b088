package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/legaltalent/kyc-agent/soak/fakecognito"
)

// Limits on what the daemon does when it is started and stopped.
const (
	startWithin = 15 * time.Second
	stopWithin  = 75 * time.Second // a stop waits for a refresh that was sent
)

// A daemon is a process of kyc-agentd serve.
type daemon struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended
	since  time.Time
}

func (d *daemon) running() bool {
	if d == nil {
		return false
	}
	select {
	case <-d.exited:
		return false
	default:
		return true
	}
}

func (d *daemon) pid() int { return d.cmd.Process.Pid }

// kill ends the daemon by SIGKILL.
func (d *daemon) kill() {
	_ = d.cmd.Process.Kill()
	<-d.exited
}

// serveCommand is kyc-agentd serve, with its log at the end of the log file.
func (s *soak) serveCommand() *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.opts.bin, "kyc-agentd"), "serve", "--socket", s.socket(), "--config", s.path("config.toml"))
	cmd.Env = append(s.environ(), "NOTIFY_SOCKET="+s.path("notify"))
	return cmd
}

// start starts the daemon and returns when it is ready, as a service manager would know.
func (s *soak) start(ctx context.Context) error {
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path("notify"), Net: "unixgram"})
	if err != nil {
		return err
	}
	defer os.Remove(s.path("notify"))
	defer notify.Close()
	log, err := os.OpenFile(s.path("log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	d := &daemon{cmd: s.serveCommand(), exited: make(chan struct{}), since: time.Now()}
	d.cmd.Stdout, d.cmd.Stderr = log, log
	s.happened(started, "") // before it can call Cognito
	if err := d.cmd.Start(); err != nil {
		return err
	}
	s.daemon = d
	s.stats.starts++
	go func() {
		_ = d.cmd.Wait()
		close(d.exited)
		_ = notify.SetReadDeadline(time.Now())
	}()
	return awaitReady(ctx, notify)
}

func awaitReady(ctx context.Context, notify *net.UnixConn) error {
	defer context.AfterFunc(ctx, func() { _ = notify.SetReadDeadline(time.Now()) })()
	_ = notify.SetReadDeadline(time.Now().Add(startWithin))
	buf := make([]byte, 4096)
	for {
		n, err := notify.Read(buf)
		if err != nil {
			return fmt.Errorf("the daemon did not get ready within %s", startWithin)
		}
		if slices.Contains(strings.Split(string(buf[:n]), "\n"), "READY=1") {
			return nil
		}
	}
}

// down allows what clients get while there is no daemon, or one that begins without a token.
func (s *soak) down(reason string) { s.excuse("", reason, exitNoAgent, exitTemporary) }

// kill kills the daemon, as the kernel does when memory runs out.
func (s *soak) kill() {
	s.down("the daemon was killed")
	s.happened(killed, "")
	s.stats.kills++
	s.daemon.kill()
}

// terminate stops the daemon by SIGTERM, which has to work.
func (s *soak) terminate(ctx context.Context) error {
	s.down("the daemon was stopped")
	_ = s.daemon.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.daemon.exited:
	case <-time.After(stopWithin):
		return fmt.Errorf("the daemon did not end within %s of SIGTERM", stopWithin)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s.happened(stopped, "")
	if code := s.daemon.cmd.ProcessState.ExitCode(); code != exitOK {
		return fmt.Errorf("the daemon ended with status %d after SIGTERM, not 0", code)
	}
	return nil
}

// freeze stops the daemon's process, until thaw. To a request that makes every call slow.
func (s *soak) freeze() {
	s.excuse("", "the daemon's process was stopped", exitTemporary)
	s.excuseWrong("", fakecognito.Fault{After: time.Minute})
	_ = s.daemon.cmd.Process.Signal(syscall.SIGSTOP)
}

func (s *soak) thaw() { _ = s.daemon.cmd.Process.Signal(syscall.SIGCONT) }

// verb runs kyc-agentd and returns its exit status. The error is about running it at all.
func (s *soak) verb(ctx context.Context, stdin string, args ...string) (result, error) {
	return s.program(ctx, "kyc-agentd", stdin, args...)
}

// A result is what a program that ended has left.
type result struct {
	exit           int
	stdout, stderr string
}

func (s *soak) program(ctx context.Context, name, stdin string, args ...string) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.opts.bin, name), args...)
	cmd.Env, cmd.Stdin = s.environ(), strings.NewReader(stdin)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if e, ok := errors.AsType[*exec.ExitError](err); ok && e.Exited() {
		err = nil
	}
	if err != nil {
		return result{}, fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return result{cmd.ProcessState.ExitCode(), strings.TrimSpace(stdout.String()), strings.TrimSpace(stderr.String())}, nil
}

// expect runs a verb of kyc-agentd that has to end with one of the statuses.
func (s *soak) expect(ctx context.Context, codes []int, stdin string, args ...string) (result, error) {
	r, err := s.verb(ctx, stdin, append(args, "--socket", s.socket())...)
	if err == nil && !slices.Contains(codes, r.exit) {
		err = fmt.Errorf("kyc-agentd %s ended with status %d, not one of %v: %s", args[0], r.exit, codes, r.stderr)
	}
	return r, err
}

// login signs in, as a person would.
func (s *soak) login(ctx context.Context, e *environment) error {
	_, err := s.expect(ctx, []int{exitOK}, password+"\n", "login", e.name, "-u", user, "--password-stdin")
	if err == nil {
		e.signedIn = true
		s.happened(signedIn, e.name)
	}
	return err
}

// logout signs out; from then on exit 77 is what clients have to get.
func (s *soak) logout(ctx context.Context, e *environment) error {
	s.excuse(e.name, "signed out", exitDenied)
	e.signedIn = false
	_, err := s.expect(ctx, []int{exitOK}, "", "logout", e.name)
	s.happened(signedOut, e.name)
	return err
}

// logTail returns the last lines of the daemon's log.
func (s *soak) logTail(lines int) string {
	data, _ := os.ReadFile(s.path("log"))
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
