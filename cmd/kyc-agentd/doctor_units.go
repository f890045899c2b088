package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

const (
	socketUnit  = "kyc-agentd.socket"
	serviceUnit = "kyc-agentd.service"
)

// units are what the user's service manager knows of the agent.
type units struct {
	socket, service unit
	// variables are the manager's environment and the service's own, "NAME=value".
	variables string
}

// A unit is some properties of one: see systemctl(1), show.
type unit map[string]string

func (u unit) missing() bool { return u["LoadState"] == "not-found" }

func (u unit) is(property, value string) bool { return u[property] == value }

const unitProperties = "Id,LoadState,ActiveState,Result,UnitFileState,NeedDaemonReload,ExecStart,Environment,MainPID"

// askUnits asks systemctl. An error says that there is no manager to ask.
func (p *probe) askUnits(ctx context.Context) (units, error) {
	out, err := p.runProgram(ctx, "systemctl", "--user", "show", "-p", unitProperties, socketUnit, serviceUnit)
	if err != nil {
		return units{}, err
	}
	u := parseUnits(out)
	if u.socket == nil || u.service == nil {
		return units{}, errors.New("systemctl does not tell")
	}
	shared, _ := p.runProgram(ctx, "systemctl", "--user", "show-environment")
	u.variables = shared + "\n" + strings.ReplaceAll(u.service["Environment"], " ", "\n")
	return u, nil
}

// runProgram runs a program of the system's and returns what it printed. It has a deadline: a
// manager that is stuck keeps systemctl waiting for 25 s or more.
func (p *probe) runProgram(ctx context.Context, name string, args ...string) (string, error) {
	path := p.lookPath(name)
	if path == "" {
		return "", fmt.Errorf("there is no %s", name)
	}
	ctx, cancel := context.WithTimeout(ctx, p.shortTimeout())
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.WaitDelay = append(slices.Clone(p.vars), "LC_ALL=C"), p.shortTimeout()/2
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return "", fmt.Errorf("%s does not answer within %s", name, p.shortTimeout())
	}
	if err != nil {
		return "", fmt.Errorf("%s cannot tell", name)
	}
	return string(out), nil
}

// parseUnits reads `systemctl show` of several units: NAME=value, a blank line between units.
func parseUnits(text string) (u units) {
	for block := range strings.SplitSeq(text, "\n\n") {
		properties := unit{}
		for line := range strings.Lines(block) {
			name, value, _ := strings.Cut(strings.TrimRight(line, "\n"), "=")
			properties[name] = value
		}
		switch properties["Id"] {
		case socketUnit:
			u.socket = properties
		case serviceUnit:
			u.service = properties
		}
	}
	return u
}

// program is the path in ExecStart, which is shown as "{ path=/usr/bin/x ; argv[]=… }".
func (u unit) program() string {
	_, rest, _ := strings.Cut(u["ExecStart"], "path=")
	path, _, _ := strings.Cut(rest, " ;")
	return path
}

// checkUnits looks at the pair of units, which makes the agent start at the first need.
func checkUnits(_ context.Context, p *probe) []finding {
	u, err := p.units()
	if err != nil {
		return []finding{info("units.no-manager", p.fixUnlessRunning("keep `kyc-agentd serve` running in whatever keeps programs running here"),
			"no service manager of yours can be asked (%v)", err)}
	}
	if u.socket.missing() && u.service.missing() {
		return []finding{p.uninstalled()}
	}
	found := append(u.missingPair(), append(u.unitFaults(socketUnit, u.socket), u.unitFaults(serviceUnit, u.service)...)...)
	if path := u.service.program(); path != "" {
		if _, err := os.Stat(path); err != nil {
			found = append(found, problem("units.binary", "install kyc-agentd again, or correct ExecStart: systemctl --user edit --full "+serviceUnit,
				"%s starts %s, which is not there", serviceUnit, path))
		}
	}
	if len(found) == 0 {
		found = u.inactive(p.answers())
	}
	if len(found) == 0 {
		found = append(found, fine("units", "%s is enabled and %s", socketUnit, u.socket["ActiveState"]))
	}
	return found
}

// fixUnlessRunning is the fix for there being no units, where it needs one.
func (p *probe) fixUnlessRunning(fix string) string {
	if p.answers() {
		return ""
	}
	return fix
}

func (p *probe) uninstalled() finding {
	if p.answers() {
		return info("units.missing", "", "no units are installed; the agent runs without them")
	}
	return warning("units.missing", "install the package of kyc-agentd (or: make install), or run: kyc-agentd serve", "no units are installed, so nothing starts the agent")
}

// missingPair are units whose other half is missing.
func (u units) missingPair() (found []finding) {
	for _, pair := range []struct {
		there, gone string
		missing     bool
	}{{socketUnit, serviceUnit, u.service.missing()}, {serviceUnit, socketUnit, u.socket.missing()}} {
		if pair.missing {
			found = append(found, problem("units.half", "install kyc-agentd again, then run: systemctl --user daemon-reload",
				"%s is installed and %s is not", pair.there, pair.gone))
		}
	}
	return found
}

func (u units) unitFaults(name string, x unit) []finding {
	switch {
	case x.is("LoadState", "masked"):
		return []finding{problem("units.masked", "run: systemctl --user unmask "+name, "%s is masked: it cannot be started", name)}
	case x.is("LoadState", "bad-setting") || x.is("LoadState", "error"):
		return []finding{problem("units.broken", "run: systemctl --user status "+name+", and install kyc-agentd again", "%s cannot be loaded (%s)", name, x["LoadState"])}
	case x.is("ActiveState", "failed"):
		return []finding{problem("units.failed", "see: journalctl --user -u kyc-agentd -n 50; then run: systemctl --user reset-failed "+name+" && systemctl --user start "+socketUnit,
			"%s has failed (%s)", name, x["Result"])}
	case x.is("NeedDaemonReload", "yes"):
		return []finding{warning("units.reload", "run: systemctl --user daemon-reload", "%s was changed on the disk, and systemd has the old one", name)}
	}
	return nil
}

// inactive is a socket unit that does not listen, or will not after the next login.
func (u units) inactive(answered bool) []finding {
	state := u.socket["UnitFileState"]
	switch {
	case !u.socket.is("ActiveState", "active") && answered:
		return []finding{info("units.inactive", "", "%s is %s; the agent that answers runs without it", socketUnit, u.socket["ActiveState"])}
	case !u.socket.is("ActiveState", "active"):
		return []finding{problem("units.inactive", "run: systemctl --user enable --now "+socketUnit, "%s is %s: nothing starts the agent", socketUnit, u.socket["ActiveState"])}
	case state == "disabled":
		return []finding{warning("units.disabled", "run: systemctl --user enable "+socketUnit, "%s is not enabled: it will be gone after the next start", socketUnit)}
	}
	return nil
}

// checkLinger says whether the agent outlives the last logout.
func checkLinger(ctx context.Context, p *probe) []finding {
	out, err := p.runProgram(ctx, "loginctl", "show-user", strconv.Itoa(os.Getuid()), "-p", "Linger")
	switch {
	case err != nil:
		return nil
	case strings.TrimSpace(out) == "Linger=no":
		return []finding{info("linger.off", "for cron and the like, run: loginctl enable-linger", "the agent ends with your last session, and starts with the next")}
	}
	return []finding{fine("linger", "the agent outlives your sessions")}
}
