package file

import "github.com/legaltalent/kyc-agent/internal/durable"

// replace writes data to name, for good once it returned nil.
func (s *Store) replace(name string, data []byte) error {
	if err := durable.Replace(s.root, name, tempPrefix, data, 0o600); err != nil {
		return err
	}
	s.unsynced = true
	return s.settle()
}

// settle makes the folder's names durable unless they are: a Put whose rename
// went through but whose sync failed is told as an error, and when it is tried
// again with the same value there is nothing to write but still this to do.
func (s *Store) settle() error {
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
