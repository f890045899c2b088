package peer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// A stat is what /proc/PID/stat says.
type stat struct {
	pid     int
	comm    string
	state   byte
	parent  int
	session int // 0 if its leader is of an outer pid name space
	tty     uint64
	start   uint64
}

func procFile(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

func readStat(pid int) (stat, error) {
	if pid <= 0 {
		return stat{}, os.ErrNotExist
	}
	text, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return stat{}, err
	}
	st, err := parseStat(text)
	st.pid = pid
	return st, err
}

// parseStat reads "PID (NAME) STATE PPID PGRP SESSION TTY …", where NAME may have parentheses,
// blanks and line breaks in it (proc_pid_stat(5)). The start time is field 22.
func parseStat(text []byte) (stat, error) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return stat{}, errors.New("bad stat")
	}
	fields := bytes.Fields(text[end+1:])
	if len(fields) < 20 {
		return stat{}, errors.New("short stat")
	}
	number := func(field int) uint64 {
		n, _ := strconv.ParseUint(string(fields[field-3]), 10, 64)
		return n
	}
	return stat{
		comm: string(text[open+1 : end]), state: fields[0][0],
		parent: int(number(4)), session: int(number(6)), tty: number(7), start: number(22),
	}, nil
}

// ended reports whether the process is a zombie, or about to vanish.
func (s stat) ended() bool { return s.state == 'Z' || s.state == 'X' || s.state == 'x' }

// process reads what else there is to show. Linux tells the program of no process whose memory
// is closed to this one, as that of an installed kyc-agentd is.
func (s stat) process() Process {
	exe, _ := os.Readlink(procFile(s.pid, "exe"))
	return Process{PID: s.pid, Start: s.start, Exe: sanitize.OneLine(exe), Comm: sanitize.OneLine(s.comm), TTY: ttyName(s.tty)}
}

// ttyName names a terminal by its device number, in the kernel's packing. The majors are those
// of the kernel's list of devices.
func ttyName(dev uint64) string {
	major, minor := dev>>8&0xfff, dev&0xff|dev>>12&0xfff00
	switch {
	case dev == 0:
		return ""
	case 136 <= major && major <= 143:
		return fmt.Sprintf("pts/%d", (major-136)<<8+minor)
	case major == 4 && minor < 64:
		return fmt.Sprintf("tty%d", minor)
	case major == 4:
		return fmt.Sprintf("ttyS%d", minor-64)
	case major == 5 && minor == 1:
		return "console"
	}
	return fmt.Sprintf("terminal %d:%d", major, minor)
}
