package awscall

import (
	"net/url"

	"github.com/legaltalent/kyc-agent/internal/origin"
)

// CheckURL returns what is wrong with an endpoint, or "".
func CheckURL(raw string) string {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return "is not a URL like https://host"
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "must be scheme, host and path only: no user, query or fragment"
	case u.Scheme == "https":
		return ""
	case u.Scheme == "http" && origin.IsLoopback(u.Hostname()):
		return ""
	case u.Scheme == "http":
		return "is plain http to " + u.Host + ", which is not a loopback address: use https"
	}
	return "must begin with https://"
}

// Host returns the host and port of a URL, for errors.
func Host(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "the endpoint"
	}
	return u.Host
}
