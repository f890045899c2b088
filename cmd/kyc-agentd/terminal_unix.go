//go:build unix

package main

import "golang.org/x/sys/unix"

// attributes and setAttributes go through the file's own connection: Fd would make
// it blocking, and Close could no longer end a read.
func (t *terminal) attributes() (a *unix.Termios, err error) {
	ioErr := t.control(func(fd int) { a, err = unix.IoctlGetTermios(fd, getTermios) })
	if ioErr != nil {
		return nil, ioErr
	}
	return a, err
}

func (t *terminal) setAttributes(a *unix.Termios) (err error) {
	if ioErr := t.control(func(fd int) { err = unix.IoctlSetTermios(fd, setTermios, a) }); ioErr != nil {
		return ioErr
	}
	return err
}

// size is 0, 0 where the terminal does not know, as on a serial line.
func (t *terminal) size() (columns, rows int) {
	_ = t.control(func(fd int) {
		if s, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ); err == nil {
			columns, rows = int(s.Col), int(s.Row)
		}
	})
	return columns, rows
}

func (t *terminal) control(do func(fd int)) error {
	conn, err := t.f.SyscallConn()
	if err != nil {
		return err
	}
	return conn.Control(func(fd uintptr) { do(int(fd)) })
}

// hidden is a without echo. Lines are still edited and Ctrl-C still is a signal.
func hidden(a *unix.Termios) *unix.Termios {
	h := *a
	h.Lflag &^= unix.ECHO
	h.Lflag |= unix.ICANON | unix.ISIG
	h.Iflag |= unix.ICRNL
	return &h
}

// inForeground reports whether this process gets what the keys of its terminal send
// (Ctrl-C), and with it every process of its group.
func inForeground() bool {
	tty, err := openTerminal()
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := 0, error(nil)
	if ioErr := tty.control(func(fd int) { group, err = unix.IoctlGetInt(fd, unix.TIOCGPGRP) }); ioErr != nil {
		return false
	}
	return err == nil && group == unix.Getpgrp()
}
