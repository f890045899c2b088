//go:build unix

package keyring_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A fifo is a named pipe whose writer is the process under test. It shows when that
// process started and when it ended.
type fifo struct {
	path string
	file *os.File
	read *bufio.Reader
}

func newFifo(t *testing.T) *fifo {
	t.Helper()
	path := filepath.Join(t.TempDir(), "alive")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	// O_NONBLOCK lets the open succeed without a writer; reads then wait in the poller.
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return &fifo{path: path, file: f, read: bufio.NewReader(f)}
}

func (f *fifo) awaitStart(t *testing.T) {
	t.Helper()
	_ = f.file.SetReadDeadline(time.Now().Add(time.Minute))
	if line, err := f.read.ReadString('\n'); err != nil || line != "here\n" {
		t.Fatalf("the process did not start: %q, %v", line, err)
	}
	// From here on the process is the only writer, so the file ends when the process ends.
	r, err := os.OpenFile(f.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	_ = f.file.Close()
	f.file, f.read = r, bufio.NewReader(r)
}

func (f *fifo) awaitEnd(t *testing.T) {
	t.Helper()
	_ = f.file.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := f.read.ReadByte(); !errors.Is(err, io.EOF) {
		t.Fatalf("the process still runs: %v", err)
	}
}
