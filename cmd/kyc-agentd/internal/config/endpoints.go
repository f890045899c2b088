package config

import (
	"net/url"
	"runtime"
	"slices"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
)

// Endpoints returns the servers that the environment uses instead of AWS's own, by their keys
// in config.toml: a password, a refresh token or trust goes there, so a person must be able
// to see them. issuer is there, too, if endpoint implies another one.
func Endpoints(e agent.Environment) map[string]string {
	own := agent.Environment{Region: e.Region, UserPoolID: e.UserPoolID}
	used := map[string]string{"jwks_url": e.JWKSURL, "aws_endpoint": e.AWSEndpoint}
	if e.EndpointURL() != own.EndpointURL() {
		used["endpoint"] = e.EndpointURL()
	}
	if issuers := e.Issuers(); !slices.Equal(issuers, own.Issuers()) {
		used["issuer"] = strings.Join(issuers, ", ")
	}
	if domain, err := url.Parse(e.Domain); err == nil && !strings.HasSuffix(domain.Hostname(), ".amazoncognito.com") {
		used["domain"] = e.Domain // a custom domain, or another server
	}
	return withoutEmpty(used)
}

// Network returns what else decides whom the agent talks to and trusts, by the names of
// status.json: the proxy, without its password, and the files of CA certificates. Only
// HTTPS_PROXY counts, because plain http goes to this machine alone. On macOS the system has
// the certificates, and Go does not look at these variables.
func Network(vars Environ) map[string]string {
	used := map[string]string{}
	if proxy := first(vars, "HTTPS_PROXY", "https_proxy"); proxy != "" {
		used["proxy"] = withoutPassword(proxy)
		used["no_proxy"] = first(vars, "NO_PROXY", "no_proxy")
	}
	if runtime.GOOS != "darwin" {
		used["ca_file"], used["ca_dir"] = vars.Get("SSL_CERT_FILE"), vars.Get("SSL_CERT_DIR")
	}
	return withoutEmpty(used)
}

func first(vars Environ, names ...string) string {
	for _, name := range names {
		if v := vars.Get(name); v != "" {
			return v
		}
	}
	return ""
}

// withoutPassword returns the scheme, host and port of a proxy. What cannot be read is not
// shown at all: in user:12/34@host the host is "user", and the port a part of the password.
func withoutPassword(proxy string) string {
	if !strings.Contains(proxy, "://") {
		proxy = "http://" + proxy
	}
	u, err := url.Parse(proxy)
	if err != nil || u.Host == "" || u.User == nil && strings.Contains(proxy, "@") {
		return "set, but not a URL"
	}
	return u.Scheme + "://" + u.Host
}

// withoutEmpty removes what is not set. It returns nil if that leaves nothing.
func withoutEmpty(m map[string]string) map[string]string {
	for key, value := range m {
		if value == "" {
			delete(m, key)
		}
	}
	if len(m) == 0 {
		return nil
	}
	return m
}
