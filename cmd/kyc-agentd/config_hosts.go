package main

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Host is a host name or an IP address, and maybe a port.
type Host = Text[hostKind]

// Hosts are the value of allowed_hosts.
type Hosts []Host

// commas are Hosts as a variable has them: separated by commas. (Hosts themselves are
// no text: go-toml would take an array for one.)
type commas struct{ *Hosts }

func (c commas) UnmarshalText(text []byte) error {
	*c.Hosts = nil
	for part := range strings.SplitSeq(string(text), ",") {
		var host Host
		if err := host.UnmarshalText([]byte(strings.TrimSpace(part))); err != nil {
			return err
		}
		if host.s != "" {
			*c.Hosts = append(*c.Hosts, host)
		}
	}
	return nil
}

func (c commas) String() string { return strings.Join(c.list(), ",") }

func (h Hosts) list() []string {
	var list []string
	for _, host := range h {
		list = append(list, host.s)
	}
	return list
}

type hostKind struct{}

// hostShape is a host name of RFC 1123 in lower case.
var hostShape = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// numberShape ends what some programs take for an IPv4 address, written oddly: "127.1".
var numberShape = regexp.MustCompile(`(^|\.)(0x[0-9a-f]*|[0-9]+)$`)

func (hostKind) check(s string) error {
	host, port := splitHost(s)
	name := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	n, err := strconv.ParseUint(cmp.Or(port, httpsPort), 10, 16)
	ip := net.ParseIP(name)
	switch {
	case host != name: // in brackets
		if ip == nil || ip.To4() != nil || host != "["+name+"]" || name != ip.String() {
			err = strconv.ErrSyntax
		}
	case ip == nil && (len(host) > 253 || !hostShape.MatchString(host) || numberShape.MatchString(host)), ip != nil && ip.To4() == nil:
		err = strconv.ErrSyntax
	}
	if err != nil || n == 0 || port != "" && strconv.FormatUint(n, 10) != port || strings.HasSuffix(s, ":") {
		return fmt.Errorf(`bad host %q; want a lower-case name or an IP address, and a port where it is not 443, such as "files.kyc.example" or "10.0.0.7:8443"`, s)
	}
	return nil
}

const httpsPort = "443"

// splitHost splits "host:port"; without a port that is empty.
func splitHost(s string) (host, port string) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.HasSuffix(s, "]") {
		return s, ""
	}
	return s[:i], s[i+1:]
}

// checkHosts makes sure that a host means one environment. Two with one api_url are
// no error: a helper that is asked for it has to be told which.
func (c Config) checkHosts() error {
	claims := map[string]string{}
	for _, name := range c.names() {
		claims[hostPort(c.Environments[name].APIURL)] = name
	}
	for _, name := range c.names() {
		for _, host := range c.Environments[name].AllowedHosts {
			h, port := splitHost(host.s)
			key := h + ":" + cmp.Or(port, httpsPort)
			if other := claims[key]; other != "" && other != name {
				return configError("environments.%s: allowed_hosts: %s is a host of %s, too; one host can mean one environment only", name, host.s, other)
			}
			claims[key] = name
		}
	}
	return nil
}

// hostPort is the URL's host in lower case and its port. An http one is on loopback,
// where the port tells them apart.
func hostPort(t URL) string {
	u, err := url.Parse(t.s)
	if err != nil {
		return ""
	}
	port := map[string]string{"http": "80", "https": httpsPort}[u.Scheme]
	host, own := splitHost(strings.ToLower(u.Host))
	return host + ":" + cmp.Or(own, port)
}
