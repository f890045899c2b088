// Package terminaltest plays a person at a terminal: it types, and reads the screen.
//
// [New] opens a pseudo-terminal. Give [Person.TTY] to the program, then wait for a prompt
// with [Person.Sees] and answer with [Person.Types], or do both with [Person.Answers].
package terminaltest

import (
	"cmp"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// A Person sits at one end of a pseudo-terminal; the program has the other.
type Person struct {
	TTY *os.File // the program's end

	t      *testing.T
	screen *os.File
	seen   strings.Builder
}

// New returns a person at a new terminal, which the end of the test closes.
func New(t *testing.T) *Person {
	t.Helper()
	screen, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close(); tty.Close() })
	return &Person{t: t, screen: screen, TTY: tty}
}

// Resize sets the size of the terminal.
func (p *Person) Resize(columns, rows uint16) {
	p.t.Helper()
	conn, err := p.screen.SyscallConn() // Fd, which pty.Setsize calls, would make the file blocking
	if err == nil {
		ioErr := conn.Control(func(fd uintptr) {
			err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows})
		})
		err = cmp.Or(ioErr, err)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// HangUp closes the terminal, as closing its window does.
func (p *Person) HangUp() { p.screen.Close() }

// Types types s.
func (p *Person) Types(s string) {
	p.t.Helper()
	if _, err := p.screen.WriteString(s); err != nil {
		p.t.Fatal(err)
	}
}

// Sees reads until the screen has shown text since the last call. A minute without it
// fails the test.
func (p *Person) Sees(text string) {
	p.t.Helper()
	if err := p.screen.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		p.t.Fatal(err)
	}
	var since strings.Builder
	buf := make([]byte, 1)
	for !strings.HasSuffix(since.String(), text) {
		if _, err := p.screen.Read(buf); err != nil {
			p.t.Fatalf("the screen shows %q and not %q: %v", since.String(), text, err)
		}
		since.Write(buf)
	}
	p.seen.WriteString(since.String())
}

// Seen returns all that the screen has shown so far.
func (p *Person) Seen() string { return p.seen.String() }

// Echoes reports whether the terminal shows what is typed.
func (p *Person) Echoes() bool {
	p.t.Helper()
	var a *unix.Termios
	conn, err := p.screen.SyscallConn() // Fd would make the file blocking
	if err == nil {
		ioErr := conn.Control(func(fd uintptr) { a, err = unix.IoctlGetTermios(int(fd), getTermios) })
		err = cmp.Or(ioErr, err)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return a.Lflag&unix.ECHO != 0
}

// An Answer is a prompt and what is typed at it.
type Answer [2]string

// Answers types each answer when its prompt is on the screen.
func (p *Person) Answers(answers ...Answer) {
	p.t.Helper()
	for _, a := range answers {
		p.Sees(a[0])
		p.Types(a[1] + "\n")
	}
}

// SawNone fails the test if a secret was shown, or if the terminal does not echo any more.
func (p *Person) SawNone(secrets ...string) {
	p.t.Helper()
	for _, secret := range secrets {
		if strings.Contains(p.Seen(), secret) {
			p.t.Errorf("the screen shows %q: %q", secret, p.Seen())
		}
	}
	if !p.Echoes() {
		p.t.Error("the terminal is left without echo")
	}
}
