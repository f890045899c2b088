package apiproxy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/origin"
	"github.com/legaltalent/kyc-agent/internal/urlpath"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// checkRequest refuses a request that is meant for another kind of proxy, or that would
// change what the agent adds.
func checkRequest(r *http.Request) error {
	switch {
	case r.Method == http.MethodConnect || !slices.Contains(agent.APIMethods, r.Method):
		err := wire.NewStatusError(http.StatusMethodNotAllowed, "method %s is not forwarded; use %s", wire.Quote(r.Method), strings.Join(agent.APIMethods, ", "))
		err.Allow = strings.Join(agent.APIMethods, ", ")
		return err
	case r.URL.Scheme != "" || r.URL.Host != "":
		return wire.UsageError("a request for a whole URL is refused: name the environment as the host, and the path alone")
	case strings.Contains(r.Host, ":"):
		return wire.UsageError("the host %s has a port; name the environment alone, as in http://prod/", wire.Quote(r.Host))
	case !r.ProtoAtLeast(1, 1):
		// Its clients cannot tell a transfer that was cut off from a complete one.
		return wire.NewStatusError(http.StatusHTTPVersionNotSupported, "requests to the API have to be HTTP/1.1")
	}
	if err := checkHeader(r); err != nil {
		return err
	}
	return checkPath(r.URL.EscapedPath())
}

// checkPolicy refuses what the policy does not allow. The path is the one that is sent: it has
// passed checkRequest and is not changed any more.
func (q *proxyRequest) checkPolicy() error {
	if q.proxy.Policy == nil {
		return nil
	}
	return q.proxy.Policy.CheckAPI(q.in.Host, q.in.Method, q.in.URL.EscapedPath(), q.in.URL.RawQuery)
}

func checkHeader(r *http.Request) error {
	for _, name := range []string{"Authorization", "Proxy-Authorization"} {
		if _, ok := r.Header[name]; ok {
			return wire.UsageError("leave %s out: the agent adds its own", name)
		}
	}
	if _, ok := r.Header["Upgrade"]; ok {
		return wire.UsageError("Upgrade is not forwarded")
	}
	if len(r.Trailer) > 0 {
		return wire.UsageError("trailers are not forwarded")
	}
	return nil
}

// A parsedURL is an api_url, and what [baseURL] says of it.
type parsedURL struct {
	text string
	base *url.URL
}

// baseURL is the function baseURL. It keeps the newest one: most requests are for one API.
func (p *Proxy) baseURL(t agent.Token) (*url.URL, error) {
	if kept := p.base.Load(); kept != nil && kept.text == t.APIURL {
		return kept.base, nil
	}
	base, err := baseURL(t)
	if err == nil {
		p.base.Store(&parsedURL{t.APIURL, base})
	}
	return base, err
}

// baseURL returns the api_url of t, if a token may be sent there.
func baseURL(t agent.Token) (*url.URL, error) {
	if _, err := origin.Parse(t.APIURL); err == nil {
		base, err := url.Parse(t.APIURL)
		if err == nil && (base.Scheme == "https" || origin.IsLoopback(base.Hostname())) {
			return base, nil
		}
	}
	return nil, &agent.Error{
		Code: agent.CodeConfiguration, Op: "proxy", Environment: t.Environment,
		Message: "api_url is not an https URL", Hint: "set it in config.toml, then run: kyc-agentd reload",
	}
}

// forwardURL returns where a request for the path and query of target goes, which is always
// below base. The query is sent as it is, including what net/http cannot parse.
func forwardURL(base, target *url.URL) (*url.URL, error) {
	raw := target.EscapedPath()
	if err := checkPath(raw); err != nil {
		return nil, err
	}
	return &url.URL{
		Scheme: base.Scheme, Host: base.Host, RawQuery: target.RawQuery, ForceQuery: target.ForceQuery,
		Path:    strings.TrimSuffix(base.Path, "/") + target.Path,
		RawPath: strings.TrimSuffix(base.EscapedPath(), "/") + raw,
	}, nil
}

// checkPath refuses a path that could lead out of the path of api_url.
func checkPath(escaped string) error {
	if err := urlpath.Check(escaped); err != nil {
		return wire.UsageError("the path %s", err)
	}
	return nil
}
