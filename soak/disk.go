package main

import (
	"errors"
	"os"
	"path/filepath"
)

var errNoDisk = errors.New("it needs root and Linux, to mount a small disk")

// A disk is a small file system that can be filled. A nil disk is none.
type disk struct{ dir string }

func (d *disk) filler() string { return filepath.Join(d.dir, "filler") }

// fill writes until there is no space left.
func (d *disk) fill() error {
	f, err := os.Create(d.filler())
	if err != nil {
		return err
	}
	defer f.Close()
	for size := 4096; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	return nil
}

func (d *disk) empty() { _ = os.Remove(d.filler()) }
