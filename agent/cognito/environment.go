package cognito

import (
	"net"
	"net/url"

	"github.com/legaltalent/kyc-agent/agent"
)

// checkEnvironment refuses an environment that cannot work or that would show a
// password or a refresh token to the network.
func (t *task) checkEnvironment() error {
	e := t.env
	for _, field := range []struct{ name, value string }{
		{"region", e.Region}, {"user_pool_id", e.UserPoolID}, {"client_id", e.ClientID},
	} {
		if field.value == "" {
			return t.misconfigured("no " + field.name + " is configured")
		}
	}
	for _, field := range []struct{ name, value string }{
		{"endpoint", e.EndpointURL()}, {"issuer", e.IssuerURL()}, {"jwks_url", e.KeysURL()},
	} {
		if problem := checkURL(field.value); problem != "" {
			return t.misconfigured(field.name + " " + problem)
		}
	}
	return nil
}

func (t *task) misconfigured(message string) error {
	return &agent.Error{
		Code: agent.CodeConfiguration, Op: t.op, Environment: t.env.Name, Message: message,
		Hint: "correct the configuration of environment " + t.env.Name + ", then run: kyc-agentd reload",
	}
}

// checkURL says what is wrong with a URL, or nothing.
func checkURL(raw string) string {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return "is not a URL like https://host"
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "must be scheme, host and path alone: no user, query or fragment"
	case u.Scheme == "https":
		return ""
	case u.Scheme == "http" && loopback(u.Hostname()):
		return ""
	case u.Scheme == "http":
		return "is plain http to " + u.Host + ", which is not a loopback address: use https"
	}
	return "must begin with https://"
}

// loopback reports whether host is this machine's own, by its spelling: no name
// is looked up, for a resolver may answer anything.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// host is the part of a URL that errors name.
func host(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "the endpoint"
	}
	return u.Host
}
