package main

import (
	"bytes"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// reapOrphans reaps orphaned children, as PID 1 must, until ended is closed. It leaves child
// to os/exec, which waits for it.
func reapOrphans(child int, ended <-chan struct{}) {
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)
	defer signal.Stop(died)
	for {
		for _, pid := range deadChildren() {
			if pid != child {
				_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
			}
		}
		select {
		case <-ended:
			return
		case <-died:
		}
	}
}

// deadChildren returns the children that can be reaped. wait4(-1) would also reap the
// command, whose status os/exec needs.
func deadChildren() (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, _ := os.ReadFile(path)
		// PID (NAME) STATE PPID …, and NAME may hold anything: proc_pid_stat(5).
		_, rest, _ := strings.Cut(string(text[max(0, bytes.LastIndexByte(text, ')')):]), " ")
		if strings.HasPrefix(rest, "Z "+strconv.Itoa(os.Getpid())+" ") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			pids = append(pids, pid)
		}
	}
	return pids
}
