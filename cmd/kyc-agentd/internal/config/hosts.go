package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/legaltalent/kyc-agent/internal/lazyregexp"
	"github.com/legaltalent/kyc-agent/internal/origin"
)

// Host is a host name or an IP address, and maybe a port.
type Host = Text[hostKind]

// Hosts are the value of allowed_hosts.
type Hosts []Host

type hostKind struct{}

// hostShape is a host name of RFC 1123 in lower case.
var hostShape = lazyregexp.New(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// numberShape is the end of a name that some programs read as an IPv4 address: "127.1".
var numberShape = lazyregexp.New(`(^|\.)(0x[0-9a-f]*|[0-9]+)$`)

func (hostKind) check(s string) error {
	o, err := origin.Parse(origin.HostURL("https", s))
	if err != nil || s != o.Host && s != o.Host+":"+o.Port || !plainHost(o.Host) {
		return fmt.Errorf(`bad host %q; want a lower-case name or an IP address, and a port if it is not 443, `+
			`such as "files.kyc.example" or "10.0.0.7:8443"`, s)
	}
	return nil
}

// plainHost reports whether every program reads host in the same way.
func plainHost(host string) bool {
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	switch {
	case err != nil:
		return len(host) <= 253 && hostShape.MatchString(host) && !numberShape.MatchString(host)
	case ip.Is6():
		return !ip.Is4In6() && host == "["+ip.String()+"]"
	}
	return true
}

// checkHosts checks that a host in allowed_hosts means one environment. Two environments may
// have one api_url: a helper then has to be told which one is meant.
func (c Config) checkHosts() error {
	owners, claims := map[string][]string{}, map[string]string{}
	for _, name := range c.Names() {
		key := hostPort(c.Environments[name].APIURL.s)
		owners[key] = append(owners[key], name)
	}
	for _, name := range c.Names() {
		for _, host := range c.Environments[name].AllowedHosts {
			key := hostPort(origin.HostURL("https", host.s))
			if slices.Contains(owners[key], name) {
				continue // its own API
			}
			other := claims[key]
			if of := owners[key]; len(of) > 0 {
				other = of[0]
			}
			if other != "" && other != name {
				return Errorf("environments.%s: allowed_hosts: %s is a host of %s, too; one host can mean one environment only",
					name, host.s, other)
			}
			claims[key] = name
		}
	}
	return nil
}

// hostPort is the URL's host in lower case and its port. The scheme does not count: an
// http one is on loopback, where the port tells them apart.
func hostPort(raw string) string {
	o, err := origin.Parse(raw)
	if err != nil {
		return ""
	}
	return o.Host + ":" + o.Port
}
