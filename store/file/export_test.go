package file

import (
	"context"
	"time"
)

// CloseLockForTest closes the lock file: while a file is open for writing, its file
// system cannot be remounted read-only, as the kernel does after a disk error.
func CloseLockForTest(s *Store) { _ = s.folder.lock.Close() }

// UnsyncedForTest points to the flag that the last change may not be durable.
func UnsyncedForTest(s *Store) *bool { return &s.folder.unsynced }

// LaneForTest returns the run method of a new lane.
func LaneForTest(dir string, limit time.Duration) func(context.Context, func() error) error {
	return newLane(dir, limit).run
}

// SetLimitForTest changes how long an operation of s may take.
func SetLimitForTest(s *Store, limit time.Duration) { s.reads.limit, s.writes.limit = limit, limit }
