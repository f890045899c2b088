package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// A section is one table of the report.
type section struct {
	title string
	about string // what is measured, and how
	head  []string
	rows  [][]string
	notes []string
}

// skip notes that a row is missing.
func (s *section) skip(what string, err error) {
	s.notes = append(s.notes, fmt.Sprintf("Left out: %s: %v.", what, err))
}

// target adds a note with a target and whether it was met.
func (s *section) target(text string, met bool) {
	verdict := "met"
	if !met {
		verdict = "MISSED"
	}
	s.notes = append(s.notes, text+": "+verdict+".")
}

// render returns the report as Markdown that can also be read as plain text.
func render(machine string, sections []section) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Measurements\n\nBy `make bench` on %s. %s\n", time.Now().UTC().Format("2006-01-02"), machine)
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", s.title, s.about)
		table(&b, s.head, s.rows)
		if len(s.notes) > 0 {
			b.WriteString("\n")
		}
		for _, note := range s.notes {
			fmt.Fprintf(&b, "- %s\n", note)
		}
	}
	return b.String()
}

// table writes head and rows, with the first column aligned left and the others right.
func table(b *strings.Builder, head []string, rows [][]string) {
	width := make([]int, len(head))
	for _, row := range append([][]string{head}, rows...) {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	line := func(row []string) {
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				fmt.Fprintf(b, "| %s%s |", cell, pad)
			} else {
				fmt.Fprintf(b, " %s%s |", pad, cell)
			}
		}
		b.WriteString("\n")
	}
	line(head)
	for i, w := range width {
		if i == 0 {
			fmt.Fprintf(b, "|%s|", strings.Repeat("-", w+2))
		} else {
			fmt.Fprintf(b, "%s:|", strings.Repeat("-", w+1))
		}
	}
	b.WriteString("\n")
	for _, row := range rows {
		line(row)
	}
}

// machine describes the hardware and system of this machine, but does not name it.
func machine(ctx context.Context) string {
	kernel := "unknown kernel"
	if out, err := exec.CommandContext(ctx, "uname", "-sr").Output(); err == nil {
		kernel, _, _ = strings.Cut(strings.TrimSpace(string(out)), "-")
	}
	return fmt.Sprintf("%d cores, %s of memory, %s, %s %s/%s. %s", runtime.NumCPU(), memory(), kernel,
		runtime.Version(), runtime.GOOS, runtime.GOARCH, load())
}

// load says how busy the machine is before the measurements, or nothing if that is unknown.
func load() string {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	minute, _, _ := strings.Cut(string(raw), " ")
	return "Load average at the start: " + minute + "."
}

// memory returns the size of the machine's memory, in whole GB.
func memory() string {
	kb := procField("/proc/meminfo", "MemTotal")
	return strconv.Itoa((kb+512*1024)/(1024*1024)) + " GB"
}

// procField reads a number from a file of the kernel with lines such as "Name:  123 kB".
// It returns 0 if there is none.
func procField(path, name string) int {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.Atoi(strings.Fields(value)[0])
			return n
		}
	}
	return 0
}

// cpuTime returns how long the server that listens on a Unix socket has run on a CPU, or 0 if
// that is unknown.
func cpuTime(path string) time.Duration {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return 0
	}
	defer conn.Close()
	peer, err := socket.PeerOf(conn)
	if err != nil {
		return 0
	}
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(peer.PID), "stat"))
	if err != nil {
		return 0
	}
	const perSecond = 100 // USER_HZ
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * time.Second / perSecond
}
