package file

import "github.com/legaltalent/kyc-agent/internal/durable"

// replaceFile writes data to name, for good once it returned nil.
func (s *Store) replaceFile(name string, data []byte) error {
	if err := durable.Replace(s.root, name, tempPrefix, data, 0o600); err != nil {
		return err
	}
	s.unsynced = true
	return s.syncIfNeeded()
}

// syncIfNeeded makes the folder's names durable unless they are: a Put whose rename
// went through but whose sync failed is told as an error, and when it is tried
// again with the same value there is nothing to write but still this to do.
func (s *Store) syncIfNeeded() error {
	if !s.unsynced {
		return nil
	}
	return s.syncFolder()
}

func (s *Store) syncFolder() error {
	if err := durable.SyncDir(s.root); err != nil {
		return err
	}
	s.unsynced = false
	return nil
}
