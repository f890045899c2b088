package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// ReadRegular reads at most limit bytes of a file and of nothing else: a FIFO that somebody has put
// in its place would make the caller wait for a writer.
func ReadRegular(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("it is not a regular file; remove it")}
	}
	return io.ReadAll(io.LimitReader(f, limit))
}
