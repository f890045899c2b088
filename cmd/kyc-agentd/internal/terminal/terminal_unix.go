//go:build unix

package terminal

import (
	"os"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// attributes and setAttributes use SyscallConn because Fd would make the file blocking,
// and Close could no longer end a read.
func (t *Terminal) attributes() (a *unix.Termios, err error) {
	ioErr := t.control(func(fd int) { a, err = unix.IoctlGetTermios(fd, getTermios) })
	if ioErr != nil {
		return nil, ioErr
	}
	return a, err
}

// setAttributes sets a. request is setTermios, or flushTermios to discard what was typed and
// not read yet.
func (t *Terminal) setAttributes(request uint, a *unix.Termios) (err error) {
	if ioErr := t.control(func(fd int) { err = unix.IoctlSetTermios(fd, request, a) }); ioErr != nil {
		return ioErr
	}
	return err
}

// size returns 0, 0 where the terminal does not know its size, as on a serial line.
func (t *Terminal) size() (columns, rows int) {
	_ = t.control(func(fd int) { columns, rows, _ = term.GetSize(fd) })
	return columns, rows
}

// Columns returns the width of the terminal that stream is, or 0 if it is none or does not
// know its size: then there is no width to lay text out for.
func Columns(stream any) int {
	f, ok := stream.(*os.File)
	if !ok {
		return 0
	}
	columns, _ := New(f).size()
	return columns
}

func (t *Terminal) control(do func(fd int)) error {
	conn, err := t.f.SyscallConn()
	if err != nil {
		return err
	}
	return conn.Control(func(fd uintptr) { do(int(fd)) })
}

// hidden returns a without echo. Lines are still edited and Ctrl-C is still a signal.
func hidden(a *unix.Termios) *unix.Termios {
	h := *a
	h.Lflag &^= unix.ECHO
	h.Lflag |= unix.ICANON | unix.ISIG
	h.Iflag |= unix.ICRNL
	return &h
}
