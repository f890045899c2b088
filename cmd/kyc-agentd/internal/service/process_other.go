//go:build !linux

package service

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// commandLine returns the words of a process's command line, or nil. ps separates them by
// blanks only, so a path with a blank is several words.
func commandLine(pid int) []string {
	out, err := exec.Command("/bin/ps", "-o", "args=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return nil
	}
	return strings.Fields(string(out))
}

// terminate sends SIGTERM to a process, if check agrees, and waits for its end.
func terminate(ctx context.Context, pid int, check func() error) error {
	if err := check(); err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return failed("cannot stop process %d: %v", pid, err)
	}
	return waitForEnd(ctx, pid)
}

// waitForEnd waits until a process has ended.
func waitForEnd(ctx context.Context, pid int) error {
	if pid == 0 {
		return nil
	}
	for end := time.Now().Add(stopTimeout); time.Now().Before(end); {
		if syscall.Kill(pid, 0) != nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(poll):
		}
	}
	return failed("process %d has not ended within %s; its log says what it waits for", pid, stopTimeout)
}
