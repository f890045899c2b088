package doctor

import (
	"io/fs"
	"syscall"
	"time"
)

// changedAt returns when a file was put in place: its ctime, because packages set the mtime
// to the time of the build.
func changedAt(info fs.FileInfo) time.Time {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(stat.Ctim.Unix())
	}
	return info.ModTime()
}
