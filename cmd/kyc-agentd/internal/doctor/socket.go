package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/caller"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/service"
	"github.com/legaltalent/kyc-agent/internal/shellquote"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

const restartSocket = "systemctl --user restart kyc-agentd.socket"

const startAgent = "run: systemctl --user enable --now kyc-agentd.socket (or: kyc-agentd start)"

// started returns f, which a start of the agent fixes.
func (p *probe) started(f Finding) Finding {
	if u, err := p.units(); err == nil && !u.socket.missing() {
		return f.safe(enableSocket...)
	}
	return f.safe("kyc-agentd", "start")
}

// listensAgain returns f, which a restart of the socket unit fixes. That would also end a
// service that runs, and what only that has in memory.
func (p *probe) listensAgain(f Finding) Finding {
	if u, err := p.units(); err == nil && u.service.is("MainPID", "0") {
		return f.safe(strings.Fields(restartSocket)...)
	}
	return f
}

// checkSocket checks the way to the agent: the path, the folder, the socket, and whether the
// agent answers on it.
func checkSocket(_ context.Context, p *probe) []Finding {
	for _, look := range []func() []Finding{p.socketPath, p.socketFolder, p.socketFile, p.unanswered} {
		if found := look(); len(found) > 0 {
			return found
		}
	}
	return []Finding{ok("socket", "%s is answered by process %d", p.opts.Socket, p.status.PID)}
}

func (p *probe) socketPath() []Finding {
	const fix = "set KYC_AGENT_SOCK or XDG_RUNTIME_DIR to something shorter; the default is /run/user/UID/kyc-agentd/agent.sock"
	if n := len(p.opts.Socket); n > socket.MaxPath {
		return []Finding{problem("socket.path", fix, "%s has %d bytes, and the path of a socket may have %d",
			p.opts.Socket, n, socket.MaxPath)}
	}
	return nil
}

// missing is the finding for a socket that is not there, or not even its folder. Somebody may
// listen on it all the same, if it was removed. systemd's socket unit then still counts as
// active, and to start or to enable it does nothing.
func (p *probe) missing(id, message string) []Finding {
	a, running := p.agentWithoutSocket()
	switch {
	case p.unitListens() && running:
		return []Finding{problem(id, "wait 5 s; if it stays so, the log says why (kyc-agentd log), and this helps: "+restartSocket,
			"%s was removed; process %d serves it and makes it again", p.opts.Socket, a.pid)}
	case p.unitListens():
		return []Finding{p.listensAgain(problem(id, "run: "+restartSocket,
			"%s was removed, and systemd, which listens on it, does not know", p.opts.Socket))}
	case running:
		return []Finding{problem(id, "wait 5 s; if it stays so, its log says why",
			"%s was removed; process %d serves it and makes it again", p.opts.Socket, a.pid)}
	}
	return []Finding{p.started(problem(id, startAgent, "%s", message))}
}

// unitListens reports whether the socket unit is active, and for this socket.
func (p *probe) unitListens() bool {
	u, err := p.units()
	return err == nil && u.socket.is("ActiveState", "active") && service.ListensOn(u.socket["Listen"], p.opts.Socket, p.opts.Vars.Get)
}

// listening reports whether any process listens on the socket, also if it was removed.
func (p *probe) listening() bool {
	const acceptsConnections = "00010000"
	sockets, _ := os.ReadFile(filepath.Join(p.proc, "net", "unix"))
	for line := range strings.Lines(string(sockets)) {
		if f := strings.Fields(line); len(f) > 7 && f[3] == acceptsConnections && f[7] == p.opts.Socket {
			return true
		}
	}
	return false
}

// agentWithoutSocket returns the process that serves the socket, as far as can be told, while
// no client reaches it: that of the service unit, or one that was started for this path.
func (p *probe) agentWithoutSocket() (process, bool) {
	if p.answers() || !p.listening() {
		return process{}, false
	}
	u, err := p.units()
	for _, a := range p.processes() {
		switch {
		case a.uid != os.Getuid() || !a.serves():
		case err == nil && u.service["MainPID"] == strconv.Itoa(a.pid) && p.unitListens():
			return a, true
		case a.socket() == p.opts.Socket, a.socket() == "" && p.opts.Socket == socket.StandardPath(p.opts.Vars.Get):
			return a, true
		}
	}
	return process{}, false
}

func (p *probe) socketFolder() (found []Finding) {
	dir := filepath.Dir(p.opts.Socket)
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return p.missing("socket.folder-missing", "there is no folder "+dir+": no agent has run here")
	case err != nil:
		return []Finding{problem("socket.folder-mode", "run: ls -ld "+shellquote.Quote(dir),
			"cannot look at %s: %s", dir, config.PlainCause(err))}
	}
	if uid := ownerOf(info); uid != os.Getuid() {
		found = append(found, problem("socket.folder-owner", "set KYC_AGENT_SOCK to a path in a folder that you own",
			"folder %s belongs to uid %d, and you are uid %d", dir, uid, os.Getuid()))
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 && info.Mode()&fs.ModeSticky == 0 {
		f := problem("socket.folder-mode", "run: chmod 700 "+shellquote.Quote(dir),
			"folder %s is open to others (mode %04o); the agent does not start in it", dir, perm)
		if filepath.Base(dir) == "kyc-agentd" && ownerOf(info) == os.Getuid() { // other folders may have another use
			f = f.safe("chmod", "700", dir)
		}
		found = append(found, f)
	}
	return found
}

func (p *probe) socketFile() []Finding {
	info, err := os.Lstat(p.opts.Socket)
	if errors.Is(err, fs.ErrNotExist) {
		return p.missing("socket.missing", "there is no "+p.opts.Socket+": no agent runs, and systemd does not listen for one")
	}
	if err != nil {
		return []Finding{problem("socket.mode", "run: ls -l "+shellquote.Quote(p.opts.Socket),
			"cannot look at %s: %s", p.opts.Socket, config.PlainCause(err))}
	}
	perm := info.Mode().Perm()
	switch {
	case info.IsDir():
		return []Finding{problem("socket.kind", "set KYC_AGENT_SOCK to a path in a folder of your own, such as "+filepath.Join(p.opts.Socket, "agent.sock"),
			"%s is a folder, not a socket", p.opts.Socket)}
	case info.Mode().Type() != fs.ModeSocket:
		return []Finding{problem("socket.kind", "move it away, then "+startAgent, "%s is not a socket", p.opts.Socket)}
	case ownerOf(info) != os.Getuid():
		return []Finding{problem("socket.owner", "set KYC_AGENT_SOCK to the socket of your own agent",
			"%s belongs to uid %d, and you are uid %d", p.opts.Socket, ownerOf(info), os.Getuid())}
	case perm&0o077 != 0:
		return []Finding{problem("socket.mode", "run: chmod 600 "+shellquote.Quote(p.opts.Socket),
			"%s is open to others (mode %04o)", p.opts.Socket, perm).safe("chmod", "600", p.opts.Socket)}
	}
	return nil
}

// unanswered says why the agent does not answer.
func (p *probe) unanswered() []Finding {
	if p.answers() {
		return nil
	}
	message, hint := advice(p.statusErr)
	switch {
	case agent.CodeOf(p.statusErr) == agent.CodeDenied:
		return []Finding{problem("socket.foreign", hint, "%s", message)}
	case p.opts.NoAgent(p.statusErr) && p.unitListens():
		return []Finding{p.listensAgain(problem("socket.stale", "run: "+restartSocket,
			"%s is not the socket on which systemd listens: that was replaced", p.opts.Socket))}
	case p.opts.NoAgent(p.statusErr):
		return []Finding{p.started(problem("socket.stale", startAgent, "%s exists, and nothing answers on it: its agent is gone", p.opts.Socket))}
	}
	return []Finding{problem("socket.silent",
		"run: systemctl --user restart kyc-agentd.service; if that does not help: journalctl --user -u kyc-agentd -n 50",
		"%s accepts connections, but the agent does not answer as it should: %s", p.opts.Socket, message)}
}

func ownerOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

// checkVariables checks this shell's environment, which differs from that of a service or
// of cron.
func checkVariables(ctx context.Context, p *probe) (found []Finding) {
	for _, look := range []func(context.Context) (Finding, bool){p.sudoVariable, p.socketVariable, p.environmentVariable, p.runtimeVariable} {
		if f, ok := look(ctx); ok {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		found = append(found, ok("variables", "no variable of this shell misleads the agent's clients"))
	}
	return found
}

// sudoVariable says that root asks, whose agent and sign-ins are others.
func (p *probe) sudoVariable(context.Context) (Finding, bool) {
	by := p.caller().ElevatedBy()
	return problem("variables.sudo", "run kyc-agentd and kyc-token as yourself, and "+by+" what needs it",
		"you are uid 0 (%s): root has another agent, or none", by), by != ""
}

func (p *probe) caller() caller.Caller {
	return caller.Caller{UID: os.Getuid(), Getenv: p.opts.Vars.Get}
}

// socketVariable checks $KYC_AGENT_SOCK, which can outlive the agent that it was set for:
// in a shell, in tmux or in an IDE.
func (p *probe) socketVariable(ctx context.Context) (Finding, bool) {
	const id, unset = "variables.socket", "run: unset KYC_AGENT_SOCK"
	set := p.opts.Vars.Get("KYC_AGENT_SOCK")
	if set == "" {
		return Finding{}, false
	}
	if !filepath.IsAbs(set) {
		return warning(id, unset+", or make it absolute", "KYC_AGENT_SOCK is %q, which means another socket in every folder", set), true
	}
	standard := socket.Path(func(name string) string {
		if name == "KYC_AGENT_SOCK" {
			return ""
		}
		return p.opts.Vars.Get(name)
	})
	if set == standard {
		return Finding{}, false
	}
	_, here := p.askStatus(ctx, set)
	_, there := p.askStatus(ctx, standard)
	switch {
	case here != nil && there == nil:
		return problem(id, unset, "KYC_AGENT_SOCK is %s, where nothing answers; an agent answers on %s", set, standard), true
	case here == nil && there == nil:
		return warning(id, unset+", if that is not on purpose",
			"KYC_AGENT_SOCK is %s, and another agent answers on %s: neither knows the other's sign-ins", set, standard), true
	}
	return Finding{}, false
}

func (p *probe) environmentVariable(context.Context) (Finding, bool) {
	set := p.opts.Vars.Get("KYC_ENV")
	if _, ok := p.config.Environments[set]; set == "" || ok || p.configErr != nil {
		return Finding{}, false
	}
	return problem("variables.environment", "run: unset KYC_ENV, or set it to a configured environment",
		"KYC_ENV is %.63q, and no such environment is configured", set), true
}

func (p *probe) runtimeVariable(context.Context) (Finding, bool) {
	const id = "variables.runtime-dir"
	set := p.opts.Vars.Get("XDG_RUNTIME_DIR")
	standard := filepath.Join("/run/user", strconv.Itoa(os.Getuid()))
	again := fmt.Sprintf("run: export XDG_RUNTIME_DIR=%s, or log in again", standard)
	if set == "" {
		if _, err := os.Stat(standard); err != nil && p.opts.Vars.Get("KYC_AGENT_SOCK") == "" {
			return warning(id, "log in by ssh or at the console (not su), or run: sudo loginctl enable-linger "+strconv.Itoa(os.Getuid()),
				"XDG_RUNTIME_DIR is not set, and there is no %s", standard), true
		}
		return Finding{}, false
	}
	if !filepath.IsAbs(set) {
		return warning(id, again, "XDG_RUNTIME_DIR is %q, which is not an absolute path and is ignored", set), true
	}
	if p.caller().ForeignRuntimeDir() {
		return warning(id, "run: unset XDG_RUNTIME_DIR", "XDG_RUNTIME_DIR is %s, which is another user's: was su or sudo used?", set), true
	}
	info, err := os.Stat(set)
	switch {
	case err != nil:
		return warning(id, again, "XDG_RUNTIME_DIR is %s: %s", set, config.PlainCause(err)), true
	case ownerOf(info) != os.Getuid():
		return warning(id, again, "XDG_RUNTIME_DIR is %s, which belongs to uid %d: was su or sudo used?", set, ownerOf(info)), true
	case info.Mode().Perm()&0o022 != 0:
		return warning(id, "run: chmod 700 "+shellquote.Quote(set),
			"XDG_RUNTIME_DIR is %s, where others may write (mode %04o)", set, info.Mode().Perm()), true
	}
	return Finding{}, false
}
