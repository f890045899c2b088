package helper

import (
	"errors"
	"slices"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/origin"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/internal/suggest"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// errElsewhere is the cause of every error that says: no token goes to this URL. In a
// protocol whose tool asks about URLs of other servers too, the answer is then silence.
var errElsewhere = errors.New("not a host of any environment")

func elsewhere(code agent.Code, message, hint string) error {
	return &agent.Error{Code: code, Op: "helper", Message: message, Hint: hint, Err: errElsewhere}
}

// originOf returns the origin of the URL that a tool asks about.
func originOf(raw string) (origin.Origin, error) {
	o, err := origin.Parse(raw)
	if err != nil {
		return o, elsewhere(agent.CodeDenied, "no token goes to a URL that "+err.Error(), "")
	}
	return o, nil
}

// origins returns where the environment's tokens may go. Plain http is among them only if
// the api_url is a plain http URL, which the configuration allows on loopback only.
func origins(e agent.EnvironmentStatus) []origin.Origin {
	var all []origin.Origin
	urls := []string{e.APIURL}
	for _, host := range e.AllowedHosts {
		urls = append(urls, origin.HostURL("https", host))
	}
	for _, raw := range urls {
		if o, err := origin.Parse(raw); err == nil && !slices.Contains(all, o) {
			all = append(all, o)
		}
	}
	return all
}

// environmentOf returns the environment whose tokens may go to target. If only is not
// empty, no other environment will do. The error for a target of no environment has
// errElsewhere as its cause.
func environmentOf(st agent.Status, only string, target string) (string, error) {
	if only != "" && !slices.ContainsFunc(st.Environments, func(e agent.EnvironmentStatus) bool { return e.Name == only }) {
		return "", unknownEnvironment(only, st)
	}
	o, err := originOf(target)
	if err != nil {
		return "", err
	}
	// A host name has at most 253 bytes; what a program asks about may have more.
	where := sanitize.Cut(o.String(), 300)
	var names []string
	for _, e := range st.Environments {
		if (only == "" || only == e.Name) && slices.Contains(origins(e), o) {
			names = append(names, e.Name)
		}
	}
	switch {
	case len(names) == 1:
		return names[0], nil
	case len(names) > 1:
		return "", wire.UsageError("%s is a host of %s; name one as an argument of the helper", where, strings.Join(names, " and of "))
	case o.Scheme == "http":
		return "", elsewhere(agent.CodeDenied, where+": no token goes over plain http", "use https://")
	case only != "":
		return "", elsewhere(agent.CodeUnknownEnvironment, where+" is no host of "+only,
			"add it to environments."+only+".allowed_hosts and run: kyc-agentd reload")
	}
	return "", elsewhere(agent.CodeUnknownEnvironment, where+" is no host of any environment",
		"add it to the allowed_hosts of one and run: kyc-agentd reload")
}

func unknownEnvironment(name string, st agent.Status) error {
	var names []string
	for _, e := range st.Environments {
		names = append(names, e.Name)
	}
	return &agent.Error{
		Code: agent.CodeUnknownEnvironment, Op: "helper",
		Message: "unknown environment " + wire.Quote(name), Hint: suggest.Environments(name, names),
	}
}
