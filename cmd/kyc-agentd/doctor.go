package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// The exit codes of doctor, which are nobody else's: a script asks it how bad it is.
const (
	exitWarnings = 1
	exitProblems = 2
)

func (c *cli) doctorCommand() *cobra.Command {
	var flags doctorFlags
	cmd := &cobra.Command{
		Use: "doctor", Long: usageDoctor, Args: atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.examine(cmd.Context(), newProbe(c, flags, c.environment(args)))
		},
	}
	cmd.Flags().StringVar(&flags.config, "config", "", "")
	cmd.Flags().BoolVar(&flags.json, "json", false, "")
	cmd.Flags().BoolVar(&flags.offline, "offline", false, "")
	return cmd
}

type doctorFlags struct {
	config        string
	json, offline bool
}

// examine does all checks on p and reports what they found.
func (c *cli) examine(ctx context.Context, p *probe) error {
	r := report{Version: programVersion(), Offline: p.flags.offline, Findings: p.run(ctx, checks)}
	write := r.write
	if p.flags.json {
		write = r.writeJSON
	}
	if err := write(c.out, colourOf(c.out, p.vars)); err != nil {
		return err
	}
	switch r.worst() {
	case severityProblem:
		return exitStatus(exitProblems)
	case severityWarning:
		return exitStatus(exitWarnings)
	}
	return nil
}

// A check looks at one thing. Its findings have its id, or that and more: "socket" has
// "socket.mode". A program may build on the ids, so they never change.
type check struct {
	id, area string
	network  bool // left out by --offline
	run      func(context.Context, *probe) []finding
}

// checks are all there are, in the order of the report.
var checks = []check{
	{id: "socket", area: "agent", run: checkSocket},
	{id: "agent", area: "agent", run: checkAgent},
	{id: "agents", area: "agent", run: checkOtherAgents},
	{id: "variables", area: "agent", run: checkVariables},
	{id: "units", area: "service", run: checkUnits},
	{id: "linger", area: "service", run: checkLinger},
	{id: "config", area: "configuration", run: checkConfig},
	{id: "secrets", area: "configuration", run: checkSecrets},
	{id: "store", area: "store", run: checkStore},
	{id: "keyring", area: "store", run: checkKeyring},
	{id: "state", area: "store", run: checkStateFolder},
	{id: "clock", area: "network", run: checkClock},
	{id: "proxy", area: "network", run: checkProxy},
	{id: "dns", area: "network", network: true, run: checkDNS},
	{id: "cognito", area: "network", network: true, run: checkCognito},
	{id: "jwks", area: "network", network: true, run: checkKeys},
	{id: "signin", area: "sign-in", run: checkSignIns},
	{id: "sinks", area: "sign-in", run: checkSinks},
}

// How long it all may take. Nothing is worth more than 10 s of a person's time.
const (
	deadline     = 9 * time.Second        // then the checks are told to end
	grace        = 500 * time.Millisecond // then those that did not are left alone
	localTimeout = 2 * time.Second        // for a question to something on this machine
)

// run runs the checks at the same time and returns their findings in order.
func (p *probe) run(ctx context.Context, checks []check) []finding {
	ctx, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	p.load(ctx)
	results := make([]chan []finding, len(checks))
	for i, c := range checks {
		results[i] = make(chan []finding, 1)
		if c.network && p.flags.offline {
			results[i] <- nil
			continue
		}
		go func() { results[i] <- c.timed(ctx, p) }()
	}
	last := make(chan struct{})
	context.AfterFunc(ctx, func() { time.AfterFunc(grace, func() { close(last) }) })
	var all []finding
	for i, c := range checks {
		all = append(all, c.await(results[i], last, p.limit)...)
	}
	return all
}

// shortTimeout is the time for a question to something on this machine.
func (p *probe) shortTimeout() time.Duration { return min(localTimeout, p.limit/4) }

// timed runs c and puts its area and duration into what it found.
func (c check) timed(ctx context.Context, p *probe) []finding {
	started := time.Now()
	found := c.run(ctx, p)
	for i := range found {
		found[i].Area = c.area
		found[i].Duration = time.Since(started).Milliseconds()
	}
	return found
}

// await returns the result of c, or that there is none: what it asks is not always
// something that can be interrupted, such as a file on a server that is gone.
func (c check) await(result <-chan []finding, last <-chan struct{}, limit time.Duration) []finding {
	select {
	case found := <-result:
		return found
	case <-last:
	}
	select {
	case found := <-result:
		return found
	default:
		f := warning(c.id+".unfinished", "look at what it asks by hand", "no answer within %s", span(limit))
		f.Area, f.Duration = c.area, limit.Milliseconds()
		return []finding{f}
	}
}

// A finding is what a check has to say.
type finding struct {
	ID          string   `json:"id"`
	Area        string   `json:"area"`
	Severity    severity `json:"severity"`
	Environment string   `json:"environment,omitempty"`
	Message     string   `json:"message"`
	// Fix is what to do about it; empty when nothing has to be done.
	Fix      string `json:"fix,omitempty"`
	Duration int64  `json:"duration_ms"` // of the check, in milliseconds
}

// A severity is how bad a finding is.
type severity string

// The severities, from good to bad.
const (
	severityOK      severity = "ok"
	severityNote    severity = "note"    // worth knowing, nothing to do
	severityWarning severity = "warning" // works, and may not for long
	severityProblem severity = "problem" // does not work
)

func fine(id, format string, args ...any) finding {
	return finding{ID: id, Severity: severityOK, Message: fmt.Sprintf(format, args...)}
}

func info(id, fix, format string, args ...any) finding {
	return finding{ID: id, Severity: severityNote, Fix: fix, Message: fmt.Sprintf(format, args...)}
}

func warning(id, fix, format string, args ...any) finding {
	return finding{ID: id, Severity: severityWarning, Fix: fix, Message: fmt.Sprintf(format, args...)}
}

func problem(id, fix, format string, args ...any) finding {
	return finding{ID: id, Severity: severityProblem, Fix: fix, Message: fmt.Sprintf(format, args...)}
}

// forEnv makes f one about an environment.
func (f finding) forEnv(environment string) finding {
	f.Environment = environment
	return f
}
