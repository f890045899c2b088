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
func checkAgent(_ context.Context, p *probe) []finding {
	if !p.answers() {
		return nil // checkSocket says so
	}
	if p.status.Version != programVersion() {
		return []finding{warning("agent.version", restartAgent, "the agent is version %s, and this program is %s", p.status.Version, programVersion())}
	}
	if f, ok := p.binaryReplaced(); ok {
		return []finding{f}
	}
	return []finding{fine("agent", "version %s, up %s", p.status.Version, span(time.Duration(p.status.UptimeSeconds)*time.Second))}
}

// binaryReplaced looks whether the agent's program is still what it was started from. The
// kernel shows /proc/PID/exe of a process that is not dumpable, as the agent is, to
// root alone; so the path it was started by decides.
func (p *probe) binaryReplaced() (finding, bool) {
	a := p.process(p.status.PID)
	exe, _ := os.Readlink(filepath.Join(p.proc, strconv.Itoa(p.status.PID), "exe"))
	path := a.program()
	if path != "" && !strings.Contains(path, "/") {
		path = p.lookPath(path)
	}
	info, err := os.Stat(path)
	switch {
	case strings.HasSuffix(exe, " (deleted)") || filepath.IsAbs(path) && err != nil:
		return warning("agent.deleted", restartAgent, "the agent runs a program that is no longer installed (process %d, %s)", a.pid, path), true
	case err == nil && changedAt(info).After(p.status.StartedAt.Add(time.Second)):
		return warning("agent.replaced", restartAgent, "%s was installed anew after the agent had started: what runs is the one before", path), true
	}
	return finding{}, false
}

// checkOtherAgents finds other agents of this user's. Two that use the same keyring or
// folder refresh the same sign-in, and may end it for each other.
func checkOtherAgents(_ context.Context, p *probe) []finding {
	var found []finding
	for _, a := range p.processes() {
		if a.uid == os.Getuid() && a.serves() && a.pid != p.status.PID {
			found = append(found, warning("agents.second", fmt.Sprintf("stop it, if it is not on purpose: kill %d", a.pid),
				"process %d is another agent%s", a.pid, a.socketArg()))
		}
	}
	if len(found) == 0 && p.answers() {
		found = append(found, fine("agents", "no other agent of yours runs"))
	}
	return found
}

// A process is a process as the kernel lists it.
type process struct {
	pid, uid int
	args     []string
}

// processes are all there are; none where the system has no /proc.
func (p *probe) processes() (all []process) {
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
func (p *probe) process(pid int) process {
	dir := filepath.Join(p.proc, strconv.Itoa(pid))
	line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
	status, _ := os.ReadFile(filepath.Join(dir, "status"))
	a := process{pid: pid, uid: -1}
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
func (a process) program() string {
	if len(a.args) == 0 {
		return ""
	}
	return a.args[0]
}

func (a process) serves() bool {
	return filepath.Base(a.program()) == "kyc-agentd" && slices.Contains(a.args, "serve")
}

// socketArg names the socket that the process was told.
func (a process) socketArg() string {
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
