package daemon

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Harden makes this process private to its user before it holds any secret: files are only
// for their owner, there is no core dump, and other processes of the same user cannot debug
// it or read /proc/PID/mem and environ (without Yama each of them could attach). Its error
// says what failed; the daemon works without that.
//
// The unit file has UMask= and LimitCORE= too, but the daemon also runs without a unit.
func Harden() error {
	unix.Umask(0o077)
	var failed []error
	if err := Undumpable(); err != nil {
		failed = append(failed, err)
	}
	// Both limits: a soft one alone could be raised again.
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil && !noCore() {
		failed = append(failed, fmt.Errorf("RLIMIT_CORE: %w", err))
	}
	return errors.Join(failed...)
}

// Undumpable is the part of Harden that a child process does not inherit, because execve(2)
// resets it: it closes this process's memory to the other processes of its user.
func Undumpable() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("PR_SET_DUMPABLE: %w", err)
	}
	return nil
}

// memoryClosed reports whether the other processes of the user cannot read this one's memory.
// It is so before Harden if the user cannot read the program's file.
func memoryClosed() bool {
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	return err == nil && dumpable != 1
}

// noCore reports whether the limit is already 0, as with LimitCORE=0 and a system call
// filter that forbids setting limits.
func noCore() bool {
	var l unix.Rlimit
	return unix.Getrlimit(unix.RLIMIT_CORE, &l) == nil && l.Max == 0
}
