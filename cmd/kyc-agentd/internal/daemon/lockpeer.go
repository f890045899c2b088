package daemon

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// sessionOf returns the session of a process, and whether it has a controlling terminal, as far
// as that can be told: PID (NAME) STATE PPID PGRP SESSION TTY … (proc_pid_stat(5)).
func sessionOf(pid int) (session string, terminal bool) {
	if pid <= 0 {
		return "", false
	}
	id, err := unix.Getsid(pid)
	if err != nil {
		return "", false
	}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:]); len(fields) > 4 {
		terminal = string(fields[4]) != "0"
	}
	return strconv.Itoa(id), terminal
}
