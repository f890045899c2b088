package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// timeout bounds every wait for a program to start, to answer or to end.
const timeout = 30 * time.Second

// A child is a program that bench starts, in a new process group.
type child struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed at its end
}

// start starts cmd. Its output goes to the file logs, for the message when it fails.
func start(cmd *exec.Cmd, logs string) (*child, error) {
	f, err := os.Create(logs)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if cmd.Stdout == nil {
		cmd.Stdout = f
	}
	cmd.Stderr = f
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(c.exited)
	}()
	return c, nil
}

// stop ends the child by SIGTERM, and by SIGKILL if it has not ended after timeout.
func (c *child) stop() {
	select {
	case <-c.exited: // its process id may belong to another process by now
		return
	default:
	}
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-c.exited:
	case <-time.After(timeout):
	}
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
	<-c.exited
}

// awaitSocket returns when a program listens at path.
func (c *child) awaitSocket(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for tick := time.Tick(5 * time.Millisecond); ; {
		if conn, err := net.Dial("unix", path); err == nil {
			return conn.Close()
		}
		select {
		case <-tick:
		case <-c.exited:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// awaitReady returns when READY=1 arrives on notify, as it would at a service manager.
func (c *child) awaitReady(notify *net.UnixConn) error {
	deadline := time.Now().Add(timeout)
	buf := make([]byte, 4096)
	for time.Now().Before(deadline) {
		_ = notify.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := notify.Read(buf)
		if err == nil && strings.Contains("\n"+string(buf[:n])+"\n", "\nREADY=1\n") {
			return nil
		}
		select {
		case <-c.exited:
			return errors.New("it ended before it was ready")
		default:
		}
	}
	return errors.New("it did not get ready")
}

// output runs cmd to its end and returns its stdout. Its stderr is in the error.
func output(cmd *exec.Cmd) ([]byte, error) {
	out, err := cmd.Output()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, strings.TrimSpace(string(e.Stderr)))
	}
	return out, err
}
