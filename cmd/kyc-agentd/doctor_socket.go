package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/shellquote"
	"github.com/legaltalent/kyc-agent/ipc"
)

const startAgent = "run: systemctl --user enable --now kyc-agentd.socket (or: kyc-agentd serve)"

// checkSocket looks at the way to the agent: the path, the folder, the socket, and who
// answers on it.
func checkSocket(_ context.Context, p *probe) []finding {
	for _, look := range []func() []finding{p.socketPathFaults, p.socketFolderFaults, p.socketFileFaults, p.unanswered} {
		if found := look(); len(found) > 0 {
			return found
		}
	}
	return []finding{fine("socket", "%s is answered by process %d", p.socket, p.status.PID)}
}

func (p *probe) socketPathFaults() []finding {
	const fix = "set KYC_AGENT_SOCK or XDG_RUNTIME_DIR to something shorter; the default is /run/user/UID/kyc-agentd/agent.sock"
	if n := len(p.socket); n > ipc.MaxSocketPath {
		return []finding{problem("socket.path", fix, "%s has %d bytes, and the system takes %d in the path of a socket", p.socket, n, ipc.MaxSocketPath)}
	}
	return nil
}

func (p *probe) socketFolderFaults() (found []finding) {
	dir := filepath.Dir(p.socket)
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []finding{problem("socket.folder-missing", startAgent, "there is no folder %s: no agent has run here", dir)}
	case err != nil:
		return []finding{problem("socket.folder-mode", "run: ls -ld "+shellquote.Quote(dir), "cannot look at %s: %s", dir, config.PlainCause(err))}
	}
	if uid := ownerOf(info); uid != os.Getuid() {
		found = append(found, problem("socket.folder-owner", "set KYC_AGENT_SOCK to a folder of your own",
			"folder %s belongs to uid %d, and you are uid %d", dir, uid, os.Getuid()))
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 && info.Mode()&fs.ModeSticky == 0 {
		found = append(found, problem("socket.folder-mode", "run: chmod 700 "+shellquote.Quote(dir),
			"folder %s is open to others (mode %04o); the agent does not start in it", dir, perm))
	}
	return found
}

func (p *probe) socketFileFaults() []finding {
	info, err := os.Lstat(p.socket)
	if errors.Is(err, fs.ErrNotExist) {
		return []finding{problem("socket.missing", startAgent, "there is no %s: no agent runs, and systemd does not listen for one", p.socket)}
	}
	if err != nil {
		return []finding{problem("socket.mode", "run: ls -l "+shellquote.Quote(p.socket), "cannot look at %s: %s", p.socket, config.PlainCause(err))}
	}
	perm := info.Mode().Perm()
	switch {
	case info.Mode().Type() != fs.ModeSocket:
		return []finding{problem("socket.kind", "move it away, then "+startAgent, "%s is not a socket", p.socket)}
	case ownerOf(info) != os.Getuid():
		return []finding{problem("socket.owner", "set KYC_AGENT_SOCK to the socket of your own agent",
			"%s belongs to uid %d, and you are uid %d", p.socket, ownerOf(info), os.Getuid())}
	case perm&0o077 != 0:
		return []finding{problem("socket.mode", "run: chmod 600 "+shellquote.Quote(p.socket), "%s is open to others (mode %04o)", p.socket, perm)}
	}
	return nil
}

// unanswered says why nobody answers.
func (p *probe) unanswered() []finding {
	if p.answers() {
		return nil
	}
	message, hint := advice(p.statusErr)
	switch {
	case agent.CodeOf(p.statusErr) == agent.CodeDenied:
		return []finding{problem("socket.foreign", hint, "%s", message)}
	case noAgent(p.statusErr):
		return []finding{problem("socket.stale", startAgent, "%s is there, and nobody answers on it: its agent is gone", p.socket)}
	}
	return []finding{problem("socket.silent", "run: systemctl --user restart kyc-agentd.service; if it stays: journalctl --user -u kyc-agentd -n 50",
		"%s takes connections, and the agent does not answer as it should: %s", p.socket, message)}
}

func ownerOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

// checkVariables looks at what this shell's environment says, which is not what a
// service or cron has.
func checkVariables(ctx context.Context, p *probe) (found []finding) {
	for _, look := range []func(context.Context) (finding, bool){p.socketVariable, p.environmentVariable, p.runtimeVariable} {
		if f, ok := look(ctx); ok {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		found = append(found, fine("variables", "nothing in this environment leads astray"))
	}
	return found
}

// socketVariable is about $KYC_AGENT_SOCK, which outlives the agent it was set for in a
// shell, in tmux or in an IDE.
func (p *probe) socketVariable(ctx context.Context) (finding, bool) {
	const id, unset = "variables.socket", "run: unset KYC_AGENT_SOCK"
	set := p.vars.Get("KYC_AGENT_SOCK")
	if set == "" {
		return finding{}, false
	}
	if !filepath.IsAbs(set) {
		return warning(id, unset+", or make it absolute", "KYC_AGENT_SOCK is %q, which is another socket in every folder", set), true
	}
	standard := ipc.SocketPath(func(name string) string {
		if name == "KYC_AGENT_SOCK" {
			return ""
		}
		return p.vars.Get(name)
	})
	if set == standard {
		return finding{}, false
	}
	_, here := p.askStatus(ctx, set)
	_, there := p.askStatus(ctx, standard)
	switch {
	case here != nil && there == nil:
		return problem(id, unset, "KYC_AGENT_SOCK is %s, where nobody answers; an agent does on %s", set, standard), true
	case here == nil && there == nil:
		return warning(id, unset+", if that is not on purpose", "KYC_AGENT_SOCK is %s, and another agent answers on %s: what one signs in to the other does not know", set, standard), true
	}
	return finding{}, false
}

func (p *probe) environmentVariable(context.Context) (finding, bool) {
	set := p.vars.Get("KYC_ENV")
	if _, ok := p.config.Environments[set]; set == "" || ok || p.configErr != nil {
		return finding{}, false
	}
	return problem("variables.environment", "run: unset KYC_ENV, or set it to one that is configured",
		"KYC_ENV is %.63q, and no such environment is configured", set), true
}

func (p *probe) runtimeVariable(context.Context) (finding, bool) {
	const id = "variables.runtime-dir"
	set := p.vars.Get("XDG_RUNTIME_DIR")
	standard := filepath.Join("/run/user", strconv.Itoa(os.Getuid()))
	again := fmt.Sprintf("run: export XDG_RUNTIME_DIR=%s, or log in again", standard)
	if set == "" {
		if _, err := os.Stat(standard); err != nil && p.vars.Get("KYC_AGENT_SOCK") == "" {
			return warning(id, "log in by ssh or at the console (not su), or run: loginctl enable-linger",
				"XDG_RUNTIME_DIR is not set, and there is no %s", standard), true
		}
		return finding{}, false
	}
	if !filepath.IsAbs(set) {
		return warning(id, again, "XDG_RUNTIME_DIR is %q, which is no absolute path and is ignored", set), true
	}
	info, err := os.Stat(set)
	switch {
	case err != nil:
		return warning(id, again, "XDG_RUNTIME_DIR is %s: %s", set, config.PlainCause(err)), true
	case ownerOf(info) != os.Getuid():
		return warning(id, again, "XDG_RUNTIME_DIR is %s, which belongs to uid %d: of a su or sudo?", set, ownerOf(info)), true
	case info.Mode().Perm()&0o022 != 0:
		return warning(id, "run: chmod 700 "+shellquote.Quote(set), "XDG_RUNTIME_DIR is %s, where others may write (mode %04o)", set, info.Mode().Perm()), true
	}
	return finding{}, false
}
