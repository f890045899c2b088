package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// harden makes this process private to its user before it holds any secret: no file
// wider than its owner, no core dump, and no debugger or /proc/PID/mem and environ
// for other processes of the same user (where Yama is off, anyone of them could
// attach). It returns what it could not do; none of it keeps the daemon from working.
//
// The unit file says the same (UMask=, LimitCORE=), but the daemon runs without one too.
func harden() error {
	unix.Umask(0o077)
	var failed []error
	if err := undumpable(); err != nil {
		failed = append(failed, err)
	}
	// Both limits: a soft one alone could be raised again.
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil && !noCore() {
		failed = append(failed, fmt.Errorf("RLIMIT_CORE: %w", err))
	}
	return errors.Join(failed...)
}

// undumpable is the part of harden that a command started by this process does not
// inherit: execve(2) resets it.
func undumpable() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("PR_SET_DUMPABLE: %w", err)
	}
	return nil
}

// noCore reports whether the limit is 0 already, as under LimitCORE=0 together with
// a filter that forbids setting limits.
func noCore() bool {
	var l unix.Rlimit
	return unix.Getrlimit(unix.RLIMIT_CORE, &l) == nil && l.Max == 0
}
