//go:build !linux

package main

import (
	"io/fs"
	"time"
)

// changedAt is when a file was last put in place, as far as its mtime tells.
func changedAt(info fs.FileInfo) time.Time { return info.ModTime() }
