package file

// CloseLockForTest closes the lock file: while a file is open for writing, its file
// system cannot be remounted read-only, as the kernel does after a disk error.
func CloseLockForTest(s *Store) {
	_ = s.lock.Close()
	s.lock = nil
}

// UnsyncedForTest points to the flag that the last change may not be durable.
func UnsyncedForTest(s *Store) *bool { return &s.unsynced }
