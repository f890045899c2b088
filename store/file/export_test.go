package file

// CloseLockForTest gives the lock up: a file that is open for writing keeps a
// file system from being made read-only, as a disk error would make it.
func CloseLockForTest(s *Store) {
	_ = s.lock.Close()
	s.lock = nil
}

// UnsyncedForTest says that the last change may not be durable.
func UnsyncedForTest(s *Store) *bool { return &s.unsynced }
