//go:build unix && !linux

package handover

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// maxPipe is what a pipe of macOS holds while nobody reads it.
const maxPipe = 16 << 10

// seal returns the reading end of a pipe that has body: nothing is written to a disk.
func seal(body []byte) (int, error) {
	if len(body) > maxPipe {
		return 0, errors.New("it is more than a pipe holds")
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	defer w.Close()
	if _, err := w.Write(body); err != nil {
		return 0, err
	}
	return duplicate(r)
}

// unseal reads such a pipe to its end and closes it.
func unseal(fd int) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return nil, errors.New("not a pipe")
	}
	f := os.NewFile(uintptr(fd), "handover")
	defer f.Close()
	return io.ReadAll(f)
}
