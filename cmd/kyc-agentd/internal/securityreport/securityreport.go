// Package securityreport tells from a daemon's status who can use the sign-ins, by which
// door, and from whom each door does not protect.
//
// [New] makes a [Report], [Report.Write] shows it to a person, and it is JSON for programs.
// docs/security.md has the reasons, and the test of each line.
package securityreport

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// A Report is everything that decides who can use the sign-ins, one line each.
type Report struct {
	Lines []Line `json:"lines"`
}

// A Line is one door or one protection.
type Line struct {
	// Subject is what it is about: "agent's socket", "socket ai", "store", "memory".
	Subject string `json:"subject"`
	// InForce is where it is, or what is set.
	InForce string `json:"in_force"`
	// OpenTo is who can use it; empty for a protection.
	OpenTo string `json:"open_to,omitempty"`
	// NotFrom is from whom or what it does not protect.
	NotFrom string `json:"does_not_protect_from"`
}

const yourPrograms = "your own programs"

// New makes the report of the agent with this status, whose own socket is at path.
func New(st agent.Status, path string) Report {
	var r Report
	r.add("agent's socket", path, yourPrograms, "a program that you run, a relay that makes it a TCP port")
	for _, s := range st.Sockets {
		r.socket(s)
	}
	r.add("run --api-only", "a port of 127.0.0.1 for each such command", "that command", "requests that it makes while it runs")
	for _, s := range st.Sinks {
		r.add("token file", s.Path+" ("+s.Environment+")", "who can read the file", "a copy, until the token ends")
	}
	r.store(st)
	for _, e := range st.Environments {
		r.environment(e)
	}
	r.network(st)
	r.lock(st.Lock)
	r.approvals(st)
	r.audit(st.Audit)
	r.hardening(st.Hardening)
	return r
}

func (r *Report) add(subject, inForce, openTo, notFrom string) {
	r.Lines = append(r.Lines, Line{sanitize.OneLine(subject), sanitize.OneLine(inForce), sanitize.OneLine(openTo), sanitize.OneLine(notFrom)})
}

// socket adds a socket with a policy, as a boundary for whom it is mounted or forwarded to.
func (r *Report) socket(s agent.SocketStatus) {
	notFrom := "a token that is passed on, until it ends"
	if len(s.Allow) == 1 && s.Allow[0] == agent.AccessAPI {
		notFrom = "requests that its policy allows"
	}
	if s.Error != "" {
		notFrom = s.Error
	}
	r.add("socket "+s.Name, cmp.Or(strings.Join(s.Paths, ", "), "not there")+" for "+strings.Join(s.Environments, ", ")+": "+statustext.Allowed(s),
		yourPrograms+", and where its folder is mounted or forwarded", notFrom)
}

func (r *Report) store(st agent.Status) {
	where := statustext.Store(st.Store)
	switch st.Store.Kind {
	case "memory":
		r.add("store", where, "nobody", "the end of the daemon: the sign-ins end with it")
	case "keyring":
		r.add("store", where, yourPrograms+", while the keyring is unlocked", "a program that you run")
	case "kubernetes", "postgres":
		r.add("store", where, "the agents that have the fleet's key", "who can read both the engine and that key")
	default:
		if st.Store.Key != "" {
			where += ", with the key in " + st.Store.Key
		}
		r.add("store", where, "who can read the files and their key", "a program that you run, a stolen disk that has both")
	}
}

// environment adds what is set for e alone.
func (r *Report) environment(e agent.EnvironmentStatus) {
	if e.Unattended {
		r.add(e.Name+": password", "read by the agent from where the configuration says", "who can read it", "a program that you run")
	}
	if e.APIKey {
		r.add(e.Name+": API key", "in the store instead of a sign-in", yourPrograms, "a copy, until the API revokes it")
	}
	if text := statustext.Endpoints(e); text != "" {
		r.add(e.Name+": servers", "not AWS's own: "+text, "", "who runs them: they see passwords and tokens")
	}
}

// network adds what reads or redirects the agent's calls.
func (r *Report) network(st agent.Status) {
	if text := statustext.Network(st); text != "" {
		r.add("network", text, "", "a proxy whose CA is trusted: it reads everything")
	}
	if text := statustext.Variables(st); text != "" {
		r.add("variables", text, "who can set the variables of your services", "what they override in config.toml")
	}
}

func (r *Report) lock(l *agent.LockStatus) {
	switch {
	case l == nil || !l.Passphrase:
		r.add("lock", "none: there is no passphrase", "", "a program that you run while you are away")
	case l.Error != "":
		r.add("lock", l.Error, "", "who can read what is not locked")
	case l.Locked:
		r.add("lock", "locked", "who knows the passphrase", "a password file: the agent of who can read it can sign in again")
	default:
		r.add("lock", "open; "+autoLock(l.Auto), "who knows the passphrase, after the next lock", "a program that you run while it is open")
	}
}

func autoLock(a agent.AutoLock) string {
	var when []string
	if a.IdleSeconds > 0 {
		when = append(when, "after "+statustext.Duration(time.Duration(a.IdleSeconds)*time.Second)+" without use")
	}
	if a.OnScreenLock {
		when = append(when, "with the screen")
	}
	if a.OnSuspend {
		when = append(when, "at a suspend")
	}
	if when == nil {
		return "it locks by `kyc-agentd lock` alone"
	}
	return "it locks " + strings.Join(when, ", ")
}

// approvals says which doors ask a person, and what the answer proves.
func (r *Report) approvals(st agent.Status) {
	var asks []string
	for _, e := range st.Environments {
		if e.Confirm {
			asks = append(asks, e.Name)
		}
	}
	for _, s := range st.Sockets {
		if s.Confirm {
			asks = append(asks, "socket "+s.Name)
		}
	}
	switch {
	case asks == nil:
		r.add("approvals", "nothing asks", "", "a program that you run")
	case st.Lock != nil && st.Lock.Passphrase:
		r.add("approvals", "asked for: "+strings.Join(asks, ", ")+"; the answer takes the passphrase", "", "a program that reads what you type")
	default:
		r.add("approvals", "asked for: "+strings.Join(asks, ", ")+"; without a passphrase", "", "a program that types the answer itself")
	}
}

func (r *Report) audit(a *agent.AuditStatus) {
	const beforeInit = "a program of yours that writes the file anew; after `kyc-agentd audit init` what was written before it came is proof"
	switch {
	case a == nil:
		r.add("audit log", "not known: the daemon is older than this program", "", "anything")
	case a.Error != "":
		r.add("audit log", a.Mode+", and it cannot be written: "+a.Error, "", "what happens meanwhile leaves no line")
	case a.Mode == "required":
		r.add("audit log", "required: no line, no token", "", beforeInit)
	case a.Mode == "on":
		r.add("audit log", "on, beside the requests", "", "a full or frozen disk; "+beforeInit)
	default:
		r.add("audit log", "off", "", "anything: nobody can tell who used what")
	}
}

func (r *Report) hardening(h *agent.Hardening) {
	switch {
	case h == nil: // an older daemon
		r.add("memory", "not known: the daemon is older than this program", "", "a program that you run")
	case h.MemoryClosedFromStart:
		r.add("memory", "closed to your other programs from the first instruction on, no core dump", "", "root")
	case h.MemoryClosed:
		r.add("memory", "closed to your other programs, no core dump", "", "root, a program that attaches while the daemon starts")
	default:
		r.add("memory", "open", yourPrograms, "a program that attaches to the daemon")
	}
}

// Write shows r, for a terminal of width columns; 0 means any.
func (r Report) Write(w io.Writer, width int) error {
	w = statustext.Wrapped(w, width)
	for _, l := range r.Lines {
		fmt.Fprintf(w, "%s: %s\n", l.Subject, l.InForce)
		line := "  not protected from: " + l.NotFrom
		if l.OpenTo != "" {
			line = "  open to: " + l.OpenTo + "; not protected from: " + l.NotFrom
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
