package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const restartAgent = "run: systemctl --user restart kyc-agentd.service (or start it again as you did)"

// checkAgent compares the agent that answers with what is installed.
func checkAgent(_ context.Context, p *patient) []finding {
	if !p.answers() {
		return nil // checkSocket says so
	}
	if p.status.Version != programVersion() {
		return []finding{warn("agent.version", restartAgent, "the agent is version %s, and this program is %s", p.status.Version, programVersion())}
	}
	if f, ok := p.replaced(); ok {
		return []finding{f}
	}
	return []finding{fine("agent", "version %s, up %s", p.status.Version, span(time.Duration(p.status.UptimeSeconds)*time.Second))}
}

// replaced looks whether the agent's program is still what it was started from. The
// kernel shows /proc/PID/exe of a process that is not dumpable, as the agent is, to
// root alone; so the path it was started by decides.
func (p *patient) replaced() (finding, bool) {
	a := p.process(p.status.PID)
	exe, _ := os.Readlink(filepath.Join(p.proc, strconv.Itoa(p.status.PID), "exe"))
	path := a.program()
	if path != "" && !strings.Contains(path, "/") {
		path = p.lookPath(path)
	}
	info, err := os.Stat(path)
	switch {
	case strings.HasSuffix(exe, " (deleted)") || filepath.IsAbs(path) && err != nil:
		return warn("agent.deleted", restartAgent, "the agent runs a program that is no longer installed (process %d, %s)", a.pid, path), true
	case err == nil && changedAt(info).After(p.status.StartedAt.Add(time.Second)):
		return warn("agent.replaced", restartAgent, "%s was installed anew after the agent had started: what runs is the one before", path), true
	}
	return finding{}, false
}

// checkOtherAgents finds other agents of this user's. Two that use the same keyring or
// folder refresh the same sign-in, and may end it for each other.
func checkOtherAgents(_ context.Context, p *patient) []finding {
	var found []finding
	for _, a := range p.processes() {
		if a.uid == os.Getuid() && a.serves() && a.pid != p.status.PID {
			found = append(found, warn("agents.second", fmt.Sprintf("stop it, if it is not on purpose: kill %d", a.pid),
				"process %d is another agent%s", a.pid, a.where()))
		}
	}
	if len(found) == 0 && p.answers() {
		found = append(found, fine("agents", "no other agent of yours runs"))
	}
	return found
}

// A listed is a process as the kernel lists it.
type listed struct {
	pid, uid int
	args     []string
}

// processes are all there are; none where the system has no /proc.
func (p *patient) processes() (all []listed) {
	entries, _ := os.ReadDir(p.proc)
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			all = append(all, p.process(pid))
		}
	}
	return all
}

// process reads one. Of a process that is not dumpable the folder belongs to root, so
// its user is read from status.
func (p *patient) process(pid int) listed {
	dir := filepath.Join(p.proc, strconv.Itoa(pid))
	line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
	status, _ := os.ReadFile(filepath.Join(dir, "status"))
	a := listed{pid: pid, uid: -1}
	if line = bytes.TrimSuffix(line, []byte{0}); len(line) > 0 {
		a.args = strings.Split(string(line), "\x00")
	}
	for l := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(l, "Uid:"); ok {
			if ids := strings.Fields(rest); len(ids) > 0 {
				a.uid, _ = strconv.Atoi(ids[0])
			}
		}
	}
	return a
}

// program is what the process was started by; "" where that is not known.
func (a listed) program() string {
	if len(a.args) == 0 {
		return ""
	}
	return a.args[0]
}

func (a listed) serves() bool {
	return filepath.Base(a.program()) == "kyc-agentd" && slices.Contains(a.args, "serve")
}

// where names the socket that the process was told.
func (a listed) where() string {
	for i, arg := range a.args {
		if path, ok := strings.CutPrefix(arg, "--socket="); ok {
			return " (on " + path + ")"
		}
		if arg == "--socket" && i+1 < len(a.args) {
			return " (on " + a.args[i+1] + ")"
		}
	}
	return ""
}
