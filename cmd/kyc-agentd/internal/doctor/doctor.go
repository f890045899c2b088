// Package doctor checks, in parallel and within ten seconds, everything that can keep the
// agent from working, and says how to fix it.
//
// Call [Run] and write its [Report]. [StartError] is for the error of a command that no agent has
// answered: why systemd cannot start one. To add a check, add a name and a function to checks;
// the files are named after what their checks look at. probe.go has what the checks
// share: the configuration, the agent's status, and what is asked only once.
package doctor

import (
	"context"
	"time"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
)

// Options say what to check, and for whom.
type Options struct {
	ConfigFile  string // as of --config; "" is the default one
	Environment string // the only one to check; "" is all
	Offline     bool   // leave out what needs the network

	Vars    config.Environ // the environment of the shell that asks
	Socket  string         // the agent's
	Version string         // of this program

	// KeyringCommand runs the child process of package keyring.
	KeyringCommand []string
	// NoAgent reports whether a call failed because nobody answers on the socket.
	NoAgent func(error) bool
}

// Run does all checks and returns what they found.
func Run(ctx context.Context, o Options) Report { return newProbe(o).report(ctx) }

func (p *probe) report(ctx context.Context) Report {
	return Report{Version: p.opts.Version, Offline: p.opts.Offline, Findings: p.run(ctx, checks)}
}

// A check looks at one thing. The ids of its findings are its own id, or begin with it:
// "socket" has "socket.mode". Programs may rely on the ids, so they never change.
type check struct {
	id, area string
	network  bool // left out by --offline
	run      func(context.Context, *probe) []Finding
}

// areaNetwork is the area of what is between this machine and Cognito.
const areaNetwork = "network"

// checks are in the order of the report.
var checks = []check{
	{id: "socket", area: "agent", run: checkSocket},
	{id: "agent", area: "agent", run: checkAgent},
	{id: "agents", area: "agent", run: checkOtherAgents},
	{id: "variables", area: "agent", run: checkVariables},
	{id: "audit", area: "agent", run: checkAudit},
	{id: "units", area: "service", run: checkUnits},
	{id: "credentials", area: "service", run: checkCredentials},
	{id: "linger", area: "service", run: checkLinger},
	{id: "sockets", area: "service", run: checkPolicySockets},
	{id: "config", area: "configuration", run: checkConfig},
	{id: "secrets", area: "configuration", run: checkSecrets},
	{id: "store", area: "store", run: checkStore},
	{id: "keyring", area: "store", run: checkKeyring},
	{id: "state", area: "store", run: checkStateFolder},
	{id: "fleet", area: "store", run: checkFleet},
	{id: "clock", area: areaNetwork, run: checkClock},
	{id: "proxy", area: areaNetwork, run: checkProxy},
	{id: "ca", area: areaNetwork, run: checkCertificates},
	{id: "dns", area: areaNetwork, network: true, run: checkDNS},
	{id: "cognito", area: areaNetwork, network: true, run: checkCognito},
	{id: "jwks", area: areaNetwork, network: true, run: checkKeys},
	{id: "issuer", area: areaNetwork, network: true, run: checkIssuer},
	{id: "domain", area: areaNetwork, network: true, run: checkDomain},
	{id: "signin", area: "sign-in", run: checkSignIns},
	{id: "sinks", area: "sign-in", run: checkSinks},
}

// A person should not wait for longer than 10 s.
const (
	deadline     = 9 * time.Second        // then the checks are cancelled
	grace        = 500 * time.Millisecond // then the report does without those that still run
	localTimeout = 2 * time.Second        // for a question to another program on this machine
)

// run runs the checks in parallel and returns their findings in order.
func (p *probe) run(ctx context.Context, checks []check) []Finding {
	ctx, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	p.load(ctx)
	results := make([]chan []Finding, len(checks))
	for i, c := range checks {
		results[i] = make(chan []Finding, 1)
		if c.network && p.opts.Offline {
			results[i] <- nil
			continue
		}
		go func() { results[i] <- c.timed(ctx, p) }()
	}
	last := make(chan struct{})
	context.AfterFunc(ctx, func() { time.AfterFunc(grace, func() { close(last) }) })
	var all []Finding
	for i, c := range checks {
		all = append(all, c.await(results[i], last, p.limit)...)
	}
	for i, f := range all {
		if f.Area == areaNetwork && f.Environment != "" && !p.used(f.Environment) {
			all[i] = f.unused("nobody is signed in to " + f.Environment)
		}
	}
	return all
}

// timed runs c and sets the area and the duration of its findings.
func (c check) timed(ctx context.Context, p *probe) []Finding {
	started := time.Now()
	found := c.run(ctx, p)
	for i := range found {
		found[i].Area = c.area
		found[i].Duration = time.Since(started).Milliseconds()
	}
	return found
}

// await returns the result of c, or a warning that there is none: not everything can be
// interrupted, for example a read of a file on a server that is gone.
func (c check) await(result <-chan []Finding, last <-chan struct{}, limit time.Duration) []Finding {
	select {
	case found := <-result:
		return found
	case <-last:
	}
	select {
	case found := <-result:
		return found
	default:
		f := warning(c.id+".unfinished", "look at it by hand", "no answer within %s", statustext.Duration(limit))
		f.Area, f.Duration = c.area, limit.Milliseconds()
		return []Finding{f}
	}
}
