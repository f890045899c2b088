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

// reapOrphans does what the first process of a PID namespace is there for besides: it
// collects the processes that others left behind, until ended. child is left to whoever
// started it.
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

// deadChildren are those that nobody has collected. wait4(-1) would take the status of
// the command from os/exec.
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
