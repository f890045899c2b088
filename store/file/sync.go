package file

// How a Store makes its changes durable. The system calls are in internal/durable,
// which writes one file; this file adds the sync of the folder, and its repetition
// after a failure.

import "github.com/legaltalent/kyc-agent/internal/durable"

// replaceFile writes data to name; the change is durable once it has returned nil.
func (s *Store) replaceFile(name string, data []byte) error {
	if err := durable.Replace(s.root, name, tempPrefix, data, 0o600); err != nil {
		return err
	}
	s.unsynced = true
	return s.syncIfNeeded()
}

// syncIfNeeded makes the folder's names durable unless they already are. A Put fails if
// its rename succeeded and its sync did not; when it is repeated with the same value,
// nothing is left to write, but the folder still has to be synced.
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
