package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// MkdirAll makes the folder path and those above it, as [os.MkdirAll] does, and makes the
// names of the new ones durable: without that, a power cut can remove a folder together
// with the files in it, each of which was synced. A folder above path that may not be
// read cannot be synced and is left alone.
func MkdirAll(path string, perm fs.FileMode) error {
	var parents []string // of the folders to be made
	for dir := filepath.Clean(path); ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		parents = append(parents, filepath.Dir(dir))
	}
	if err := os.MkdirAll(path, perm); err != nil {
		return err
	}
	for _, dir := range parents {
		if err := syncPath(dir); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return nil
}

func syncPath(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return SyncDir(root)
}
