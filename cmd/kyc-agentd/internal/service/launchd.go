package service

import (
	"context"
	"os"
	"path/filepath"
	"strconv"

	"github.com/legaltalent/kyc-agent/internal/lazyregexp"
)

// labels are those of packaging/launchd and of Homebrew.
var labels = []string{"ai.legaltalent.kyc-agentd", "homebrew.mxcl.kyc-agent"}

// launchd is a job of launchd, which calls such a job an agent.
type launchd struct {
	opts   Options
	domain string // gui/UID
	label  string
	plist  string
	loaded bool
	pid    int // 0 if it does not run
}

var launchdPID = lazyregexp.New(`(?m)^\s*pid = ([0-9]+)$`)

// findLaunchd returns the job that is loaded, or the one whose file is there.
func (o Options) findLaunchd(ctx context.Context) (*launchd, bool) {
	if !o.standard() || o.lookPath("launchctl") == "" {
		return nil, false
	}
	var found *launchd
	for _, label := range labels {
		l := &launchd{
			opts: o, domain: "gui/" + strconv.Itoa(os.Getuid()), label: label,
			plist: filepath.Join(o.Vars.Get("HOME"), "Library", "LaunchAgents", label+".plist"),
		}
		if out, err := o.run(ctx, "launchctl", "print", l.target()); err == nil {
			if m := launchdPID.Get().FindStringSubmatch(out); m != nil {
				l.pid, _ = strconv.Atoi(m[1])
			}
			l.loaded = true
			return l, true
		}
		if _, err := os.Stat(l.plist); err == nil && found == nil {
			found = l
		}
	}
	return found, found != nil
}

func (l *launchd) target() string { return l.domain + "/" + l.label }

func (l *launchd) Name() string { return "launchd, " + l.label }

func (l *launchd) PID() int { return l.pid }

func (l *launchd) Runs() bool { return l.loaded }

func (l *launchd) Start(ctx context.Context) error {
	args := []string{"bootstrap", l.domain, l.plist}
	if l.loaded {
		args = []string{"kickstart", l.target()}
	}
	_, err := l.opts.run(ctx, "launchctl", args...)
	if err == nil {
		_, err = l.opts.answers(ctx, 0)
	}
	return err
}

// Stop unloads the job, because launchd starts again what only ended (KeepAlive). bootout may
// return before the process has ended.
func (l *launchd) Stop(ctx context.Context) error {
	defer l.opts.sayIfSlow()()
	if _, err := l.opts.run(ctx, "launchctl", "bootout", l.target()); err != nil {
		return err
	}
	return waitForEnd(ctx, l.pid)
}

// Restart ends the process, and launchd starts it again. `kickstart -k` might kill it.
func (l *launchd) Restart(ctx context.Context) error {
	if l.pid == 0 {
		return l.Start(ctx)
	}
	defer l.opts.sayIfSlow()()
	if _, err := l.opts.run(ctx, "launchctl", "kill", "SIGTERM", l.target()); err != nil {
		return err
	}
	if err := waitForEnd(ctx, l.pid); err != nil {
		return err
	}
	_, err := l.opts.answers(ctx, l.pid)
	return err
}
