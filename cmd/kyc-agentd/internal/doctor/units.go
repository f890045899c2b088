package doctor

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

var enableSocket = []string{"systemctl", "--user", "enable", "--now", socketUnit}

// units is what the user's service manager knows about the agent.
type units struct {
	socket, service unit
	// variables are the manager's environment and the service's own, "NAME=value".
	variables string
}

// missing reports whether neither is installed.
func (u units) missing() bool { return u.socket.missing() && u.service.missing() }

// A unit has some of its properties: see systemctl(1), show.
type unit map[string]string

func (u unit) missing() bool { return u["LoadState"] == "not-found" }

func (u unit) is(property, value string) bool { return u[property] == value }

const unitProperties = "Id,LoadState,ActiveState,Result,UnitFileState,NeedDaemonReload,ExecStart,Environment,MainPID,NRestarts,ExecMainCode,ExecMainStatus,Listen,FragmentPath,DropInPaths"

// askUnits asks systemctl. Its error says why there is no service manager to ask.
func (p *probe) askUnits(ctx context.Context) (units, error) {
	out, err := p.runProgram(ctx, "systemctl", "--user", "show", "-p", unitProperties, socketUnit, serviceUnit)
	if err != nil {
		return units{}, err
	}
	u := parseUnits(out)
	if u.socket == nil || u.service == nil {
		return units{}, errors.New("systemctl does not show the units")
	}
	shared, _ := p.runProgram(ctx, "systemctl", "--user", "show-environment")
	u.variables = shared + "\n" + strings.ReplaceAll(u.service["Environment"], " ", "\n")
	return u, nil
}

// runProgram runs a program of the system and returns its output. It has a timeout because
// systemctl waits 25 s or more for a manager that hangs.
func (p *probe) runProgram(ctx context.Context, name string, args ...string) (string, error) {
	path := p.lookPath(name)
	if path == "" {
		return "", fmt.Errorf("there is no %s", name)
	}
	ctx, cancel := context.WithTimeout(ctx, p.shortTimeout())
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.WaitDelay = append(slices.Clone(p.opts.Vars), "LC_ALL=C"), p.shortTimeout()/2
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return "", fmt.Errorf("%s does not answer within %s", name, p.shortTimeout())
	}
	if err != nil {
		return "", fmt.Errorf("%s failed", name)
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

// program returns the path in ExecStart, which is shown as "{ path=/usr/bin/x ; argv[]=… }".
func (u unit) program() string {
	_, rest, _ := strings.Cut(u["ExecStart"], "path=")
	path, _, _ := strings.Cut(rest, " ;")
	return path
}

// checkUnits checks the pair of units that starts the agent at the first request.
func checkUnits(_ context.Context, p *probe) []Finding {
	u, err := p.units()
	if err != nil {
		return []Finding{info("units.no-manager", p.fixUnlessRunning("run `kyc-agentd serve` under the process manager of this machine"),
			"your service manager cannot be asked (%v)", err)}
	}
	if u.missing() {
		return []Finding{p.uninstalled()}
	}
	found := append(u.missingPair(), append(u.socket.faults(socketUnit), u.service.faults(serviceUnit)...)...)
	found = append(found, u.programFaults()...)
	if len(found) == 0 {
		found = u.inactive(p.answers())
	}
	if len(found) == 0 {
		found = append(found, ok("units", "%s is enabled and %s", socketUnit, u.socket["ActiveState"]))
	}
	return found
}

// programFaults reports a program that is not there.
func (u units) programFaults() []Finding {
	path := u.service.program()
	if path == "" {
		return nil
	}
	if _, err := os.Stat(path); err != nil {
		return []Finding{problem("units.binary", "install kyc-agentd again, or correct ExecStart: systemctl --user edit --full "+serviceUnit,
			"%s starts %s, which is not there", serviceUnit, path)}
	}
	return nil
}

// fixUnlessRunning returns fix, or "" if an agent runs without units.
func (p *probe) fixUnlessRunning(fix string) string {
	if p.answers() {
		return ""
	}
	return fix
}

func (p *probe) uninstalled() Finding {
	if p.answers() {
		return info("units.missing", "", "no units are installed; the agent runs without them")
	}
	return warning("units.missing", "install the package of kyc-agentd (or: make install), or run: kyc-agentd serve",
		"no units are installed, so nothing starts the agent")
}

// missingPair reports a unit whose counterpart is missing.
func (u units) missingPair() (found []Finding) {
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

// loadFaults reports a unit that systemd does not load.
func (u unit) loadFaults(name string) []Finding {
	switch {
	case u.is("LoadState", "masked"):
		return []Finding{problem("units.masked", "run: systemctl --user unmask "+name, "%s is masked: it cannot be started", name)}
	case u.is("LoadState", "bad-setting") || u.is("LoadState", "error"):
		return []Finding{problem("units.broken", "run: systemctl --user status "+name+", and install kyc-agentd again",
			"%s cannot be loaded (%s)", name, u["LoadState"])}
	}
	return nil
}

func (u unit) faults(name string) []Finding {
	if found := u.loadFaults(name); len(found) > 0 {
		return found
	}
	switch {
	case u.is("ActiveState", "failed"):
		return []Finding{problem("units.failed", "see: journalctl --user -u kyc-agentd -n 50; then run: "+
			"systemctl --user reset-failed "+name+" && systemctl --user start "+socketUnit,
			"%s has failed%s", name, u.outcome()).safe("kyc-agentd", "start")}
	case u.restarts():
		return []Finding{problem("units.restarting", "see: journalctl --user -u kyc-agentd -n 50; with that corrected, it starts by itself",
			"%s ends at each start%s, and systemd starts it again and again", name, u.outcome())}
	case u.is("NeedDaemonReload", "yes"):
		return []Finding{warning("units.reload", "run: systemctl --user daemon-reload",
			"%s was changed on the disk, and systemd still has the old one", name).safe("systemctl", "--user", "daemon-reload")}
	}
	return nil
}

// inactive reports a socket unit that does not listen, or will not listen after the next
// start of the machine.
func (u units) inactive(answered bool) []Finding {
	state := u.socket["UnitFileState"]
	switch {
	case !u.socket.is("ActiveState", "active") && answered:
		return []Finding{info("units.inactive", "", "%s is %s; the agent that answers runs without it", socketUnit, u.socket["ActiveState"])}
	case !u.socket.is("ActiveState", "active"):
		return []Finding{problem("units.inactive", "run: systemctl --user enable --now "+socketUnit,
			"%s is %s: nothing starts the agent", socketUnit, u.socket["ActiveState"]).safe(enableSocket...)}
	case state == "disabled":
		return []Finding{warning("units.disabled", "run: systemctl --user enable "+socketUnit,
			"%s is not enabled: it will be gone after the next start", socketUnit).safe("systemctl", "--user", "enable", socketUnit)}
	}
	return nil
}

// checkLinger says whether the agent keeps running after the last logout.
func checkLinger(ctx context.Context, p *probe) []Finding {
	out, err := p.runProgram(ctx, "loginctl", "show-user", strconv.Itoa(os.Getuid()), "-p", "Linger")
	switch {
	case err != nil:
		return nil
	case strings.TrimSpace(out) == "Linger=no":
		return []Finding{info("linger.off", "for cron and the like, run: sudo loginctl enable-linger "+strconv.Itoa(os.Getuid()),
			"the agent ends with your last session, and starts with the next one")}
	}
	return []Finding{ok("linger", "the agent keeps running after you log out")}
}
