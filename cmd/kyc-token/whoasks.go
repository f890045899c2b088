package main

import (
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// This file finds the next step where no agent answers because of who asks, or from where:
// sudo, su, cron, ssh without a session, a container. kyc-agentd has the same rules in
// internal/caller; this program imports nothing of the module.

// whoAsks returns err, with another next step if the usual one would not help here. The
// agent's own errors stay as they are.
func (p process) whoAsks(opts options, err error) error {
	f, ok := err.(failure)
	if !ok {
		return err
	}
	explicit := opts.socket != "" || p.getenv("KYC_AGENT_SOCK") != ""
	step := ""
	switch {
	case f.exit == exitDenied:
		step = p.otherUserStep(explicit)
	case f.exit == exitUnavailable && !explicit && strings.HasPrefix(f.text, "no agent answers"):
		if step = p.otherUserStep(explicit); step == "" {
			step = p.startStep()
		}
	}
	if end := strings.LastIndex(f.text, "; "); step != "" && end > 0 {
		f.text = f.text[:end] + "; " + step
	}
	return f
}

// otherUserStep returns the next step for a process that runs as another user than the one
// who signed in, or "".
func (p process) otherUserStep(explicit bool) string {
	if by := p.elevatedBy(); by != "" {
		return "you are uid 0 (" + by + "); run kyc-token as yourself, and " + by + " what needs it"
	}
	owner, ok := strings.CutPrefix(p.getenv("XDG_RUNTIME_DIR"), "/run/user/")
	if owner, _, _ = strings.Cut(owner, "/"); ok && !explicit && owner != strconv.Itoa(p.uid) {
		return "XDG_RUNTIME_DIR is another user's: run: unset XDG_RUNTIME_DIR"
	}
	return ""
}

// elevatedBy returns the program by which an ordinary user became root, or "".
func (p process) elevatedBy() string {
	if p.uid != 0 {
		return ""
	}
	for _, by := range [...]struct{ variable, name, root string }{
		{"SUDO_UID", "sudo", "0"}, {"DOAS_USER", "doas", "root"}, {"PKEXEC_UID", "pkexec", "0"},
	} {
		if who := p.getenv(by.variable); who != "" && who != by.root {
			return by.name
		}
	}
	return ""
}

// startStep returns the next step where `systemctl --user` does not reach a user manager, or
// "". A manager makes the folder "systemd" in its runtime folder.
func (p process) startStep() string {
	dir, standard := p.getenv("XDG_RUNTIME_DIR"), p.runtimeDir()
	switch {
	case runtime.GOOS != "linux":
		return ""
	case strings.HasPrefix(dir, "/") && dir != standard:
		return ""
	case exists(standard + "/systemd"):
		if dir == standard {
			return ""
		}
		return "run: XDG_RUNTIME_DIR=" + standard + " " + startCommand
	case exists("/run/systemd/system"): // systemd runs this machine
		return "your user manager does not run; run: sudo loginctl enable-linger " + strconv.Itoa(p.uid)
	case exists(standard):
		return "run: kyc-agentd serve"
	}
	return "run: export KYC_AGENT_SOCK=~/.kyc-agentd/agent.sock, then: kyc-agentd serve"
}

func exists(path string) bool {
	var info syscall.Stat_t
	return syscall.Stat(path, &info) == nil
}
