package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A usage is what a process uses. It is zero where there is no /proc.
type usage struct {
	rssMB                 float64
	fds, threads, waiting int // waiting: child processes, dead or alive
}

// Limits of the daemon: about twice what it needs for the clients of a run. Growth is what
// one process may gain after its first minute.
var (
	most   = usage{rssMB: 48, fds: 40, threads: 24}
	growth = usage{rssMB: 8, fds: 10, threads: 6}
)

// readUsage reads what a process uses.
func readUsage(pid int) (usage, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat("/proc/self"); err != nil {
			return usage{}, nil
		}
	}
	if err != nil {
		return usage{}, err
	}
	fds, err := os.ReadDir(filepath.Join(dir, "fd"))
	return usage{
		rssMB: float64(statusField(string(status), "VmRSS")) / 1024, threads: statusField(string(status), "Threads"),
		fds: len(fds), waiting: len(children(pid)),
	}, err
}

func statusField(status, name string) int {
	_, after, _ := strings.Cut(status, "\n"+name+":")
	line, _, _ := strings.Cut(after, "\n")
	n, _ := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(line, "kB")))
	return n
}

// children returns the process ids of a process's children, zombies included.
func children(pid int) []string {
	var pids []string
	files, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task/*/children"))
	for _, f := range files {
		text, _ := os.ReadFile(f)
		pids = append(pids, strings.Fields(string(text))...)
	}
	return pids
}

// check compares a usage to the limits, with that many child processes at work.
func (u usage) check(children int) error {
	if u.rssMB > most.rssMB || u.fds > most.fds || u.threads > most.threads || u.waiting > children {
		return fmt.Errorf("the daemon uses %s, of at most %s", u, most)
	}
	return nil
}

func (u usage) String() string {
	return fmt.Sprintf("%.1f MB, %d descriptors, %d threads, %d child processes", u.rssMB, u.fds, u.threads, u.waiting)
}

// grewFrom returns an error if a process uses much more than it did.
func (u usage) grewFrom(before usage) error {
	if u.rssMB > before.rssMB+growth.rssMB || u.fds > before.fds+growth.fds || u.threads > before.threads+growth.threads {
		return fmt.Errorf("the daemon's usage grew from %s to %s", before, u)
	}
	return nil
}
