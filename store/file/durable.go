package file

import (
	"crypto/rand"
	"os"
)

// replace writes data to name so that a crash at any instant leaves the old file
// or the new one. The system calls, in order:
//
//	openat(dir, ".new-XXXX", O_WRONLY|O_CREAT|O_EXCL, 0600)
//	write
//	fsync(file)      the bytes are on the disk before the name points at them
//	close
//	renameat(".new-XXXX", name)
//	openat(dir, "."), fsync(folder), close      the name is on the disk
//
// Known gaps: a disk that acknowledges a flush it has not done; a network file
// system whose fsync does not reach the server's disk; and a hung file system,
// which hangs the caller, because these calls take no deadline.
func (s *Store) replace(name string, data []byte) error {
	temp := tempPrefix + rand.Text()
	if err := s.writeTemp(temp, data); err != nil {
		return err
	}
	if err := s.root.Rename(temp, name); err != nil {
		_ = s.root.Remove(temp)
		return err
	}
	s.unsynced = true
	return s.settle()
}

func (s *Store) writeTemp(temp string, data []byte) error {
	f, err := s.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := writeSync(f, data); err != nil {
		_ = s.root.Remove(temp)
		return err
	}
	return nil
}

// writeSync writes data to f, syncs and closes it.
func writeSync(f *os.File, data []byte) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
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
	if err := syncDir(s.root); err != nil {
		return err
	}
	s.unsynced = false
	return nil
}
