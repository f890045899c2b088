package main

import (
	"io/fs"
	"syscall"
	"time"
)

// changedAt is when a file was last put in place: its ctime, for packages set the
// mtime back to when it was built.
func changedAt(info fs.FileInfo) time.Time {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(stat.Ctim.Unix())
	}
	return info.ModTime()
}
