//go:build unix

package durable

import "os"

// SyncDir makes the renames and removals in root's folder durable.
func SyncDir(root *os.Root) error {
	d, err := root.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
