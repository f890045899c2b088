package service

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// commandLine returns the words of a process's command line, or nil.
func commandLine(pid int) []string {
	line, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if line = bytes.TrimSuffix(line, []byte{0}); len(line) == 0 {
		return nil
	}
	return strings.Split(string(line), "\x00")
}

// terminate sends SIGTERM to a process, if check still agrees, and waits for its end. The
// signal goes to the process that was checked: by then its number could mean another one.
func terminate(ctx context.Context, pid int, check func() error) error {
	return withPidfd(pid, func(fd int) error {
		if err := check(); err != nil {
			return err
		}
		if err := unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return failed("cannot stop process %d: %v", pid, err)
		}
		return pollEnd(ctx, pid, fd)
	})
}

// waitForEnd waits until a process has ended, also one whose parent does not notice.
func waitForEnd(ctx context.Context, pid int) error {
	if pid == 0 {
		return nil
	}
	return withPidfd(pid, func(fd int) error { return pollEnd(ctx, pid, fd) })
}

// withPidfd calls do, unless the process has ended.
func withPidfd(pid int, do func(fd int) error) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return failed("cannot wait for process %d: %v", pid, err)
	}
	defer unix.Close(fd)
	return do(fd)
}

func pollEnd(ctx context.Context, pid, fd int) error {
	for end := time.Now().Add(stopTimeout); time.Now().Before(end); {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(poll.Milliseconds()))
		switch {
		case n > 0:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !errors.Is(err, unix.EINTR):
			return failed("cannot wait for process %d: %v", pid, err)
		}
	}
	return failed("process %d has not ended within %s; its log says what it waits for", pid, stopTimeout)
}
