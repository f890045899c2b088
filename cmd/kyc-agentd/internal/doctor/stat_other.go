//go:build !linux

package doctor

import (
	"io/fs"
	"time"
)

// changedAt returns when a file was put in place, as far as its mtime tells.
func changedAt(info fs.FileInfo) time.Time { return info.ModTime() }
