// Package caller knows who runs a verb, and from where: sudo, su, cron, ssh without a
// session, a container. There the usual next step, `systemctl --user …`, does not help.
//
// Call [Caller.Explain] with the error of a call to the agent, and [Caller.ElevatedBy] and
// [Caller.ForeignRuntimeDir] for what a report says. kyc-token has the same rules in
// whoasks.go.
package caller

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// A Caller is a process that asks the agent.
type Caller struct {
	UID    int
	Getenv func(string) string
	// Explicit is whether a flag names the socket.
	Explicit bool
	// Root is where the file system begins: "" outside tests.
	Root string
}

// Explain returns err, with another next step if the usual one would not help here.
func (c Caller) Explain(err error) error {
	e, ok := errors.AsType[*agent.Error](err)
	if !ok {
		return err
	}
	step := ""
	switch {
	case errors.Is(err, socket.ErrOtherUser), dialed(err) && errors.Is(err, fs.ErrPermission):
		step = c.otherUserStep()
	case dialed(err) && e.Code == agent.CodeUnavailable && !c.explicit():
		if step = c.otherUserStep(); step == "" {
			step = c.startStep()
		}
	}
	if step == "" {
		return err
	}
	out := *e
	out.Hint = step
	return &out
}

// dialed reports whether err is of connecting to the agent.
func dialed(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

func (c Caller) explicit() bool { return c.Explicit || c.Getenv("KYC_AGENT_SOCK") != "" }

// otherUserStep returns the next step for a process that runs as another user than the one
// who signed in, or "".
func (c Caller) otherUserStep() string {
	if by := c.ElevatedBy(); by != "" {
		return "you are uid 0 (" + by + "); run kyc-agentd as yourself, and " + by + " what needs it"
	}
	if c.ForeignRuntimeDir() && !c.explicit() {
		return "XDG_RUNTIME_DIR is another user's: run: unset XDG_RUNTIME_DIR"
	}
	return ""
}

// ElevatedBy returns the program by which an ordinary user became root: sudo, doas, pkexec;
// or "".
func (c Caller) ElevatedBy() string {
	if c.UID != 0 {
		return ""
	}
	for _, by := range []struct{ variable, name, root string }{
		{"SUDO_UID", "sudo", "0"}, {"DOAS_USER", "doas", "root"}, {"PKEXEC_UID", "pkexec", "0"},
	} {
		if who := c.Getenv(by.variable); who != "" && who != by.root {
			return by.name
		}
	}
	return ""
}

// ForeignRuntimeDir reports whether XDG_RUNTIME_DIR is the folder of another user, as after
// su.
func (c Caller) ForeignRuntimeDir() bool {
	owner, ok := strings.CutPrefix(c.Getenv("XDG_RUNTIME_DIR"), "/run/user/")
	owner, _, _ = strings.Cut(owner, "/")
	return ok && owner != strconv.Itoa(c.UID)
}

// startStep returns the next step where `systemctl --user` does not reach a user manager, or
// "". A manager makes the folder "systemd" in its runtime folder.
func (c Caller) startStep() string {
	if runtime.GOOS != "linux" {
		return ""
	}
	uid := strconv.Itoa(c.UID)
	dir, standard := c.Getenv("XDG_RUNTIME_DIR"), "/run/user/"+uid
	switch {
	case filepath.IsAbs(dir) && filepath.Clean(dir) != standard:
		return ""
	case c.exists(standard + "/systemd"):
		if dir != "" {
			return ""
		}
		return "run: XDG_RUNTIME_DIR=" + standard + " systemctl --user start kyc-agentd.socket"
	case c.exists("/run/systemd/system"): // systemd runs this machine
		return "your user manager does not run; run: sudo loginctl enable-linger " + uid
	case c.exists(standard):
		return "run: kyc-agentd serve"
	}
	return "run: export KYC_AGENT_SOCK=~/.kyc-agentd/agent.sock, then: kyc-agentd serve"
}

func (c Caller) exists(path string) bool {
	_, err := os.Stat(c.Root + path)
	return err == nil
}
