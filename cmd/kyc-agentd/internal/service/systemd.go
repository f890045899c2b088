package service

import (
	"context"
	"os"
	"strconv"
	"strings"

	"github.com/legaltalent/kyc-agent/ipc/socket"
)

const (
	socketUnit  = "kyc-agentd.socket"
	extraUnit   = "kyc-agentd-extra.socket"
	serviceUnit = "kyc-agentd.service"
)

// units are those of systemd's user manager.
type units struct {
	opts     Options
	pid      int  // of the service, 0 if it does not run
	active   bool // the socket, or the service
	starting bool // the service is being started
	failed   bool // one of them
	extra    bool // the socket for forwarding is active
}

// findUnits returns the user's units if they are installed and are for this socket.
func (o Options) findUnits(ctx context.Context) (*units, bool) {
	out, err := o.run(ctx, "systemctl", "--user", "show", "-p", "Id,LoadState,ActiveState,MainPID,Listen", socketUnit, serviceUnit, extraUnit)
	if err != nil {
		return nil, false
	}
	u, installed := &units{opts: o}, false
	for block := range strings.SplitSeq(out, "\n\n") {
		p := map[string]string{}
		for line := range strings.Lines(block) {
			name, value, _ := strings.Cut(strings.TrimRight(line, "\n"), "=")
			p[name] = value
		}
		active := p["ActiveState"] != "inactive" && p["ActiveState"] != "failed"
		switch {
		case p["LoadState"] == "not-found", p["Id"] == "":
			continue
		case p["Id"] == extraUnit:
			u.extra = active
			continue
		case p["Id"] == socketUnit && !ListensOn(p["Listen"], o.Socket, o.Vars.Get):
			return nil, false
		case p["Id"] == serviceUnit:
			u.pid, _ = strconv.Atoi(p["MainPID"])
			u.starting = p["ActiveState"] == "activating"
		}
		installed, u.active, u.failed = true, u.active || active, u.failed || p["ActiveState"] == "failed"
	}
	return u, installed
}

// ListensOn reports whether a socket unit with the property Listen=listen is for the socket path,
// also if it is not active. One that is masked says nothing, and systemd's is at the standard path.
func ListensOn(listen, path string, getenv func(string) string) bool {
	return strings.HasPrefix(listen, path+" (") || listen == "" && path == socket.StandardPath(getenv)
}

func (u *units) Name() string { return "systemd, " + serviceUnit }

func (u *units) PID() int { return u.pid }

func (u *units) Runs() bool { return u.active }

// Start starts both units. To a socket unit that counts as active "start" does nothing, also
// if its socket was removed.
func (u *units) Start(ctx context.Context) error {
	if _, err := os.Lstat(u.opts.Socket); err != nil && u.active && u.pid == 0 {
		if err := u.do(ctx, "restart", socketUnit); err != nil {
			return err
		}
	}
	err := u.do(ctx, "start", socketUnit, serviceUnit)
	if err != nil && u.starting { // with the configuration of then, which may be corrected by now
		err = u.do(ctx, "start", socketUnit, serviceUnit)
	}
	return err
}

// Stop stops the sockets, too, because a request would start the service again.
func (u *units) Stop(ctx context.Context) error {
	defer u.opts.sayIfSlow()()
	all := []string{"--user", "stop", socketUnit, serviceUnit}
	if u.extra {
		all = append(all, extraUnit)
	}
	_, err := u.opts.run(ctx, "systemctl", all...)
	return err
}

func (u *units) Restart(ctx context.Context) error {
	defer u.opts.sayIfSlow()()
	if err := u.do(ctx, "start", socketUnit); err != nil {
		return err
	}
	return u.do(ctx, "restart", serviceUnit)
}

// do does what systemctl calls verb. If that fails, the agent may say why: one that cannot
// start answers its clients with the reason.
func (u *units) do(ctx context.Context, verb string, names ...string) error {
	if u.failed { // it may have started too often to be started again
		_, _ = u.opts.run(ctx, "systemctl", "--user", "reset-failed", socketUnit, serviceUnit)
	}
	_, err := u.opts.run(ctx, "systemctl", append([]string{"--user", verb}, names...)...)
	if err == nil {
		return nil
	}
	if _, reason := u.opts.Status(ctx); reason != nil && !u.opts.NoAgent(reason) {
		return reason
	}
	return err
}
