package terminal

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stopSignals are the signals with which a shell's job control stops a process.
var stopSignals = []os.Signal{syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU}

const (
	// contTimeout is how long the SIGCONT of a process that was stopped may take to arrive
	// after the process runs again. None arrives if the kernel did not stop it: it stops no
	// process of a group that no shell watches.
	contTimeout = 200 * time.Millisecond
	// endTimeout is how long the signal that ends a stopped process may take to arrive: a
	// shell's kill sends SIGTERM, and SIGCONT at once after it.
	endTimeout = 50 * time.Millisecond
)

// followJobControl handles Ctrl-Z and fg until Close, as readpassphrase(3) does: before this
// process stops, the terminal is as it was before the prompt, and when the process is in the
// foreground again, the prompt is repeated. Neither bash nor zsh turns the echo off again.
//
// It handles these signals outside prompts, too: once [signal.Notify] was called for one, Go
// does not give it its usual effect any more, not even after [signal.Reset].
func (t *Terminal) followJobControl() {
	t.signals = make(chan os.Signal, 16)
	signal.Notify(t.signals, syscall.SIGCONT)
	for _, s := range stopSignals {
		if !signal.Ignored(s) {
			signal.Notify(t.signals, s)
		}
	}
	go func() {
		for {
			select {
			case <-t.closed:
				return
			case s := <-t.signals:
				if s != syscall.SIGCONT {
					t.suspend(s.(syscall.Signal))
				}
				t.resume()
			}
		}
	}()
}

// suspend stops this process, and returns when it runs again.
func (t *Terminal) suspend(s syscall.Signal) {
	t.mu.Lock()
	if t.prompt != nil && t.prompt.before != nil {
		fmt.Fprint(t.f, "\n")
		t.prompt.restore(true)
	}
	t.mu.Unlock()
	stopSelf(s)
	t.continued()
}

// continued waits for the SIGCONT after a stop, and reports whether there was one.
func (t *Terminal) continued() bool {
	timeout := time.After(contTimeout)
	for {
		select {
		case s := <-t.signals:
			if s == syscall.SIGCONT {
				return true
			}
		case <-timeout:
			return false
		}
	}
}

// resume repeats the prompt, if there is one, as soon as this process is in the foreground.
func (t *Terminal) resume() {
	t.mu.Lock()
	p := t.prompt
	t.mu.Unlock()
	if p == nil || !t.awaitForeground(p.ctx) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.prompt == p {
		_ = p.show()
	}
}

// awaitForeground stops this process, as the kernel does with one that uses the terminal
// from the background, until the shell puts it into the foreground. It returns false if ctx
// ends before that, or if no shell can do so.
func (t *Terminal) awaitForeground(ctx context.Context) bool {
	for !t.inForeground() {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(endTimeout):
		}
		stopSelf(syscall.SIGTTOU)
		if !t.continued() {
			return false
		}
	}
	return true
}

// inForeground reports whether t sends the signals of its keys to this process. It is true if
// t is not the terminal that controls this process.
func (t *Terminal) inForeground() bool {
	foreground := true
	_ = t.control(func(fd int) {
		if group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err == nil {
			foreground = group == unix.Getpgrp()
		}
	})
	return foreground
}

// InForeground reports whether the terminal sends the signals of its keys (Ctrl-C) to this
// process and to every other one of its group.
func InForeground() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return New(f).inForeground()
}
