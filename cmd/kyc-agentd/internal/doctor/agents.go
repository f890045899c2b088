package doctor

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

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
)

const restartAgent = "run: kyc-agentd restart (systemctl --user restart kyc-agentd.service)"

// restarted returns f, which a restart fixes. That is safe unless something that only the agent
// has in memory ends with it: every sign-in, or the newest refresh token of one.
func (p *probe) restarted(f Finding) Finding {
	unsaved := slices.ContainsFunc(p.status.Environments, func(e agent.EnvironmentStatus) bool { return e.State == agent.StateUnsaved })
	if p.status.Store.Lasting && !unsaved {
		return f.safe("kyc-agentd", "restart")
	}
	return f
}

// checkAgent compares the running agent with the installed program.
func checkAgent(_ context.Context, p *probe) []Finding {
	if !p.answers() {
		return nil // checkSocket says so
	}
	if p.status.Version != p.opts.Version {
		return []Finding{p.restarted(warning("agent.version", restartAgent,
			"the agent is version %s, and this program is %s", p.status.Version, p.opts.Version))}
	}
	if f, ok := p.binaryReplaced(); ok {
		return []Finding{p.restarted(f)}
	}
	up := time.Duration(p.status.UptimeSeconds) * time.Second
	return []Finding{ok("agent", "version %s, up %s", p.status.Version, statustext.Duration(up))}
}

// binaryReplaced warns if the agent's program file was removed or replaced since its start.
// The agent is not dumpable, so the kernel shows its /proc/PID/exe only to root; for other
// users the path in its command line decides.
func (p *probe) binaryReplaced() (Finding, bool) {
	a := p.process(p.status.PID)
	exe, _ := os.Readlink(filepath.Join(p.proc, strconv.Itoa(p.status.PID), "exe"))
	path := a.program()
	if path != "" && !strings.Contains(path, "/") {
		path = p.lookPath(path)
	}
	info, err := os.Stat(path)
	switch {
	case strings.HasSuffix(exe, " (deleted)") || filepath.IsAbs(path) && err != nil:
		return warning("agent.deleted", restartAgent,
			"the agent runs a program that is no longer installed (process %d, %s)", a.pid, path), true
	case err == nil && changedAt(info).After(p.status.StartedAt.Add(time.Second)):
		return warning("agent.replaced", restartAgent, "%s was replaced after the agent had started: the agent runs the old one", path), true
	}
	return Finding{}, false
}

// checkOtherAgents finds other agents of this user. Two agents with the same keyring or
// folder refresh the same sign-in, and one may end it for the other.
func checkOtherAgents(_ context.Context, p *probe) []Finding {
	var found []Finding
	own := p.status.PID
	if a, ok := p.agentWithoutSocket(); ok {
		own = a.pid
		found = append(found, info("agents.unreachable", "", "process %d is your agent, without a socket that clients reach", a.pid))
	}
	for _, a := range p.processes() {
		if a.uid == os.Getuid() && a.serves() && a.pid != own {
			found = append(found, warning("agents.second", fmt.Sprintf("if you did not start it on purpose, stop it: kill %d", a.pid),
				"process %d is another agent%s", a.pid, a.socketArg()))
		}
	}
	if len(found) == 0 && p.answers() {
		found = append(found, ok("agents", "no other agent of yours runs"))
	}
	return found
}

// A process is one that the kernel lists.
type process struct {
	pid, uid int
	args     []string
}

// processes returns all processes, or none if the system has no /proc.
func (p *probe) processes() (all []process) {
	entries, _ := os.ReadDir(p.proc)
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			all = append(all, p.process(pid))
		}
	}
	return all
}

// process reads one. Its user is read from the file status, because the folder of a process
// that is not dumpable belongs to root.
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

// program returns the first word of the command line, or "".
func (a process) program() string {
	if len(a.args) == 0 {
		return ""
	}
	return a.args[0]
}

func (a process) serves() bool {
	return filepath.Base(a.program()) == "kyc-agentd" && slices.Contains(a.args, "serve")
}

// socketArg names the socket in the command line, if it has one.
func (a process) socketArg() string {
	if path := a.socket(); path != "" {
		return " (on " + path + ")"
	}
	return ""
}

func (a process) socket() string {
	for i, arg := range a.args {
		if path, ok := strings.CutPrefix(arg, "--socket="); ok {
			return path
		}
		if arg == "--socket" && i+1 < len(a.args) {
			return a.args[i+1]
		}
	}
	return ""
}
