//go:build unix

package approval

import (
	"io/fs"
	"os"
	"syscall"
)

// noFollow opens no symbolic link, and does not wait for the writer of a FIFO.
const noFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

func isOwn(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}
