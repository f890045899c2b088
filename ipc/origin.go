package ipc

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
)

// An origin is where a request goes: what has to be the same for a token to go there.
type origin struct {
	scheme string // "https", or "http"
	host   string // in lower case, IPv6 in brackets
	port   string // never empty
}

// String returns the origin as a URL, without the scheme's own port.
func (o origin) String() string {
	if o.port == defaultPort(o.scheme) {
		return o.scheme + "://" + o.host
	}
	return o.scheme + "://" + o.host + ":" + o.port
}

// name is the origin in a message. A host name has at most 253 bytes; somebody's text
// may have more.
func (o origin) name() string {
	const most = 300
	s := o.String()
	if len(s) > most {
		s = s[:most] + "…"
	}
	return s
}

func defaultPort(scheme string) string {
	if scheme == "http" {
		return "80"
	}
	return "443"
}

// errElsewhere is the cause of every error that says: no token goes to this URL. A
// protocol that is asked for everybody's URLs answers that with silence.
var errElsewhere = errors.New("not a host of any environment")

func elsewhere(code agent.Code, message, hint string) error {
	return &agent.Error{Code: code, Op: "helper", Message: message, Hint: hint, Err: errElsewhere}
}

// originOf reads a URL. It is strict where programs differ in what they take for the
// host: those that asked must mean the host that is compared here. Upper case is the
// one thing that is forgiven, because host names do not differ by it (RFC 3986, 3.2.2),
// and no program that sends the request sees two hosts there. No error quotes the URL,
// which may have a password in it.
func originOf(raw string) (origin, error) {
	_, rest, absolute := strings.Cut(raw, "://")
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	u, err := url.Parse(raw)
	switch {
	case strings.Contains(authority, "@"):
		return origin{}, noToken("has a user or password in it")
	case strings.Contains(authority, "%"):
		return origin{}, noToken("has a percent-encoded host")
	case strings.ContainsFunc(authority, func(r rune) bool { return r > '~' }):
		return origin{}, noToken("has a host that is not ASCII; write it in its xn-- form")
	case err != nil:
		return origin{}, noToken("cannot be read")
	case !absolute || u.Scheme != "https" && u.Scheme != "http":
		return origin{}, noToken("does not begin with https://")
	case u.Hostname() == "":
		return origin{}, noToken("has no host")
	case u.Host != authority || strings.HasSuffix(authority, ":"):
		return origin{}, noToken("has a host that cannot be read")
	case strings.HasSuffix(u.Hostname(), "."):
		return origin{}, noToken("has a host that ends with a dot")
	}
	o := origin{scheme: u.Scheme, host: strings.ToLower(authority), port: defaultPort(u.Scheme)}
	if port := u.Port(); port != "" {
		o.host, o.port = strings.TrimSuffix(o.host, ":"+port), port
	}
	return o, nil
}

func noToken(why string) error {
	return elsewhere(agent.CodeDenied, "no token goes to a URL that "+why, "")
}

// hostURL is the URL of a host that a tool names by itself. Empty, which is no URL, is
// the answer to what could be read as a URL of another host.
func hostURL(scheme, host string) string {
	if scheme != "https" && scheme != "http" || strings.ContainsAny(host, "/?#") {
		return ""
	}
	return scheme + "://" + host
}

// origins are where the environment's tokens may go. Plain http is among them only
// where the API itself is spoken to that way, which the configuration allows on
// loopback alone.
func origins(e agent.EnvironmentStatus) []origin {
	var all []origin
	urls := []string{e.APIURL}
	for _, host := range e.AllowedHosts {
		urls = append(urls, hostURL("https", host))
	}
	for _, raw := range urls {
		if o, err := originOf(raw); err == nil && !slices.Contains(all, o) {
			all = append(all, o)
		}
	}
	return all
}

// environmentOf names the environment whose tokens may go to target. only, when it is
// not empty, is the one that may be it. Every error for a target that is none's has
// errElsewhere as its cause.
func environmentOf(st agent.Status, only string, target string) (string, error) {
	if only != "" && !slices.ContainsFunc(st.Environments, func(e agent.EnvironmentStatus) bool { return e.Name == only }) {
		return "", unknownEnvironment(only, st)
	}
	o, err := originOf(target)
	if err != nil {
		return "", err
	}
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
		return "", usage("%s is a host of %s; name one as an argument of the helper", o.name(), strings.Join(names, " and of "))
	case o.scheme == "http":
		return "", elsewhere(agent.CodeDenied, o.name()+": no token goes over plain http", "use https://")
	case only != "":
		return "", elsewhere(agent.CodeUnknownEnvironment, o.name()+" is no host of "+only,
			"add it to environments."+only+".allowed_hosts and run: kyc-agentd reload")
	}
	return "", elsewhere(agent.CodeUnknownEnvironment, o.name()+" is no host of any environment",
		"add it to the allowed_hosts of one and run: kyc-agentd reload")
}

func unknownEnvironment(name string, st agent.Status) error {
	var names []string
	for _, e := range st.Environments {
		names = append(names, e.Name)
	}
	return &agent.Error{
		Code: agent.CodeUnknownEnvironment, Op: "helper",
		Message: "unknown environment " + quoted(name), Hint: "configured are: " + strings.Join(names, ", "),
	}
}
