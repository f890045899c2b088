package main

import (
	"bytes"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// reapOrphans reaps orphaned children, as PID 1 and a subreaper must, until ended is closed. It
// leaves child to os/exec, which waits for it.
func reapOrphans(child int, ended <-chan struct{}) {
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)
	defer signal.Stop(died)
	for {
		reapChildren(child)
		select {
		case <-ended:
			return
		case <-died:
		}
	}
}

// reapChildren reaps the children that are dead, but for except, and returns the others.
// wait4(-1) would also reap the command, whose status os/exec needs.
func reapChildren(except int) (alive []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, _ := os.ReadFile(path)
		// PID (NAME) STATE PPID …, and NAME may hold anything: proc_pid_stat(5).
		fields := strings.Fields(string(text[max(0, bytes.LastIndexByte(text, ')')):]))
		if len(fields) < 3 || fields[2] != strconv.Itoa(os.Getpid()) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		switch {
		case pid == except:
		case fields[1] == "Z":
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		default:
			alive = append(alive, pid)
		}
	}
	return alive
}

// dieWithParent makes the kernel kill the child when the thread that starts it ends.
func dieWithParent(child *exec.Cmd) {
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// adoptOrphans makes this process the parent of its descendants whose own has ended: also of
// daemons, which arrange that.
func adoptOrphans() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

const (
	// endGrace is how long a process may take to end after TERM, before it is killed.
	endGrace = 2 * time.Second
	// endLimit is when endDescendants leaves those alone that cannot be killed: another
	// user's, such as those of sudo.
	endLimit = 5 * time.Second
)

// endDescendants ends every child, and theirs, which become children when their parents end.
// Only a child is signalled: its number is its own until it is reaped. It returns those that
// still run.
func endDescendants() (left []int) {
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)
	defer signal.Stop(died)
	told := map[int]bool{}
	began := time.Now()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		alive := reapChildren(0)
		if len(alive) == 0 || time.Since(began) > endLimit {
			return alive
		}
		for _, pid := range alive {
			if time.Since(began) > endGrace {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			} else if !told[pid] {
				_ = syscall.Kill(pid, syscall.SIGTERM)
				_ = syscall.Kill(pid, syscall.SIGCONT) // one that is stopped gets TERM only then
				told[pid] = true
			}
		}
		select {
		case <-died:
		case <-poll.C:
		}
	}
}
