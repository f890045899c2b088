// Package origin decides whether a token may be sent to a URL: scheme, host and port
// must match exactly.
//
// Call [Parse] for both URLs and compare the results with ==. Call [HostURL] first where
// a program names a host and no URL.
package origin

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// An Origin is where a request goes. Two are the same place if they are equal; the zero
// Origin is no place, and Parse does not return it without an error.
type Origin struct {
	Scheme string // "https" or "http"
	Host   string // in lower case, IPv6 in brackets
	Port   string // decimal, never empty
}

// String returns o as a URL, without the scheme's own port.
func (o Origin) String() string {
	if o.Port == defaultPort(o.Scheme) {
		return o.Scheme + "://" + o.Host
	}
	return o.Scheme + "://" + o.Host + ":" + o.Port
}

func defaultPort(scheme string) string {
	if scheme == "http" {
		return "80"
	}
	return "443"
}

// A Reason is the error of [Parse]: what is wrong, to follow "a URL that ". It does not
// quote the URL, which may have a password in it.
type Reason string

// Error returns the reason.
func (r Reason) Error() string { return string(r) }

// The reasons, in the order of the checks.
const (
	HasUser      Reason = "has a user or password in it"
	HostEncoded  Reason = "has a percent-encoded host"
	HostNotASCII Reason = "has a host that is not ASCII; write it in its xn-- form"
	Unreadable   Reason = "cannot be read"
	NotHTTP      Reason = "does not begin with https://"
	NoHost       Reason = "has no host"
	HostOdd      Reason = "has a host that cannot be read"
	HostDot      Reason = "has a host that ends with a dot"
	PortOdd      Reason = "has a port that is not a number from 1 to 65535"
)

// Parse returns the origin of a URL. It is strict where programs differ in what they
// take for the host: the program that sends the request must mean the host that is
// compared here. Only upper case is forgiven, because host names do not differ by it
// (RFC 3986, 3.2.2), and no program that sends the request sees two hosts there.
//
// The error is a [Reason].
func Parse(raw string) (Origin, error) {
	_, rest, absolute := strings.Cut(raw, "://")
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	u, err := url.Parse(raw)
	switch {
	case strings.Contains(authority, "@"):
		return Origin{}, HasUser
	case strings.Contains(authority, "%"):
		return Origin{}, HostEncoded
	case strings.ContainsFunc(authority, func(r rune) bool { return r > '~' }):
		return Origin{}, HostNotASCII
	case err != nil:
		return Origin{}, Unreadable
	case !absolute || u.Scheme != "https" && u.Scheme != "http":
		return Origin{}, NotHTTP
	case u.Hostname() == "":
		return Origin{}, NoHost
	case u.Host != authority || strings.HasSuffix(authority, ":"):
		return Origin{}, HostOdd
	case strings.HasSuffix(u.Hostname(), "."):
		return Origin{}, HostDot
	}
	return fromAuthority(u.Scheme, strings.ToLower(authority), u.Port())
}

// fromAuthority takes "host", "host:port", "[ip]" or "[ip]:port" apart.
func fromAuthority(scheme, authority, port string) (Origin, error) {
	o := Origin{Scheme: scheme, Host: authority, Port: defaultPort(scheme)}
	if port != "" {
		o.Host, o.Port = strings.TrimSuffix(authority, ":"+port), port
	}
	if !isName(o.Host) && !isIPv6Literal(o.Host) {
		return Origin{}, HostOdd
	}
	if n, err := strconv.ParseUint(o.Port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != o.Port {
		return Origin{}, PortOdd
	}
	return o, nil
}

// isName reports whether host has only what names and IPv4 addresses are made of.
// net/url lets far more through: "https://]" has the host "]".
func isName(host string) bool {
	return strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-._") == ""
}

func isIPv6Literal(host string) bool {
	inner, opened := strings.CutPrefix(host, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	ip, err := netip.ParseAddr(inner)
	return opened && closed && err == nil && ip.Is6() && ip.Zone() == ""
}

// HostURL returns the URL of a host, and maybe a port, that a program names by itself.
// It returns "", which Parse refuses, for what could be read as a URL of another host.
func HostURL(scheme, host string) string {
	if scheme != "https" && scheme != "http" || strings.ContainsAny(host, "/?#") {
		return ""
	}
	return scheme + "://" + host
}

// IsLoopback reports whether host, without brackets, is this machine by its spelling.
// No name is looked up, because a resolver may answer anything.
func IsLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback() && ip.Zone() == ""
}
