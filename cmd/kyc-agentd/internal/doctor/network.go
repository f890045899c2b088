package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/internal/shellquote"
)

// A poolProbe asks the user pool of an environment, once.
type poolProbe struct {
	name      string // of the environment
	env       agent.Environment
	configErr error // why it cannot be asked
	// resolved looks up the host's name, unless a proxy does that.
	resolved func() error
	// result is nil if the host's name cannot be resolved.
	result func() *cognito.ProbeResult
}

func (p *probe) newPool(ctx context.Context, name string) *poolProbe {
	e := p.config.Environments[name]
	e.Username, e.PasswordFile = config.Username{}, config.SecretPath{} // the probe does not sign in
	o := &poolProbe{name: name}
	o.env, o.configErr = e.AgentEnvironment(name, p.opts.Vars)
	o.resolved = sync.OnceValue(func() error {
		if o.configErr != nil || o.viaProxy(p) {
			return o.configErr
		}
		return p.resolve(ctx, hostOf(o.env.EndpointURL()))
	})
	o.result = sync.OnceValue(func() *cognito.ProbeResult {
		if o.resolved() != nil {
			return nil
		}
		return new(p.auth.Probe(ctx, o.env))
	})
	return o
}

func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func (o *poolProbe) viaProxy(p *probe) bool {
	req, err := http.NewRequest(http.MethodGet, o.env.EndpointURL(), nil)
	if err != nil {
		return false
	}
	via, err := p.proxy(req)
	return via != nil || err != nil
}

// resolve looks up host. It has its own timeout because the standard library waits 10 s or
// more for a resolver that never answers.
func (p *probe) resolve(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, min(p.limit/3, 3*time.Second))
	defer cancel()
	resolver := p.resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	_, err := resolver.LookupHost(ctx, host)
	return err
}

// readyPools returns the pools that can be asked, in the order of their names.
func (p *probe) readyPools() (all []*poolProbe) {
	for _, name := range p.names() {
		if o := p.pools[name]; o.configErr == nil { // else checkSecrets says why
			all = append(all, o)
		}
	}
	return all
}

// checkDNS looks up the hosts of the environments, each one once.
func checkDNS(_ context.Context, p *probe) []Finding {
	byHost := map[string]Finding{}
	forEachParallel(p.readyPools(), func(o *poolProbe) Finding {
		host := hostOf(o.env.EndpointURL())
		err := o.resolved()
		dns, _ := errors.AsType[*net.DNSError](err)
		switch {
		case err == nil && o.viaProxy(p):
			return ok("dns", "the proxy looks up %s", host)
		case err == nil:
			return ok("dns", "%s can be resolved", host)
		case dns != nil && dns.IsNotFound:
			return problem("dns.unknown",
				"check region and endpoint of the environment, and this machine's DNS: getent hosts "+shellquote.Quote(host),
				"%s cannot be resolved: no such host", host)
		}
		return problem("dns.silent",
			"check /etc/resolv.conf, the network and the VPN; then: getent hosts "+shellquote.Quote(host),
			"%s cannot be resolved: no answer from DNS", host)
	}, func(o *poolProbe, f Finding) { byHost[hostOf(o.env.EndpointURL())] = f })
	var found []Finding
	used := map[string]bool{}
	for _, o := range p.readyPools() {
		host := hostOf(o.env.EndpointURL())
		used[host] = used[host] || p.used(o.name)
	}
	for _, o := range p.readyPools() {
		host := hostOf(o.env.EndpointURL())
		if f, ok := byHost[host]; ok {
			if !used[host] {
				f = f.unused("nobody is signed in there")
			}
			found = append(found, f)
			delete(byHost, host)
		}
	}
	return found
}

// forEachParallel applies f to all pools in parallel, then calls put for each in order.
func forEachParallel(pools []*poolProbe, f func(*poolProbe) Finding, put func(*poolProbe, Finding)) {
	results := make([]Finding, len(pools))
	var all sync.WaitGroup
	for i, o := range pools {
		all.Go(func() { results[i] = f(o) })
	}
	all.Wait()
	for i, o := range pools {
		put(o, results[i])
	}
}

// perEnvironment runs a check that has one finding for each environment, or none: one
// without an id is left out.
func (p *probe) perEnvironment(f func(*poolProbe) Finding) (found []Finding) {
	forEachParallel(p.readyPools(), f, func(o *poolProbe, x Finding) {
		if x.ID != "" {
			found = append(found, x.forEnv(o.name))
		}
	})
	return found
}

// checkCognito asks Cognito whether a sign-in could succeed.
func checkCognito(_ context.Context, p *probe) []Finding {
	return p.perEnvironment(func(o *poolProbe) Finding {
		h := o.result()
		switch {
		case h == nil:
			return Finding{}
		case h.SignIn == nil:
			return ok("cognito", "%s answers, knows the app client and allows the auth_flow", hostOf(o.env.EndpointURL()))
		case h.SignIn.Kind == cognito.ProblemSecret && p.answers() && p.config.Environments[o.name].ClientSecretFile.String() == "":
			return info("cognito.secret", "",
				"the client secret cannot be checked from here: it may be a systemd credential, which only the agent sees")
		}
		return problemFinding("cognito", h.SignIn, o.env.EndpointURL())
	})
}

// checkKeys fetches the keys that ID tokens are verified with.
func checkKeys(_ context.Context, p *probe) []Finding {
	return p.perEnvironment(func(o *poolProbe) Finding {
		h := o.result()
		switch {
		case h == nil || h.SignIn != nil && h.Keys != nil && h.SignIn.Kind == h.Keys.Kind:
			return Finding{} // checkCognito said so
		case h.Keys == nil && h.SignIn != nil && h.SignIn.Kind == cognito.ProblemSetting:
			return Finding{} // not asked
		case h.Keys == nil:
			return ok("jwks", "the signing keys can be fetched")
		}
		return problemFinding("jwks", h.Keys, o.env.KeysURL(o.env.IssuerURL()))
	})
}

// checkIssuer compares the issuer that ID tokens are expected to have with the user pool's.
func checkIssuer(_ context.Context, p *probe) []Finding {
	return p.perEnvironment(func(o *poolProbe) Finding {
		h := o.result()
		switch {
		case h == nil || h.Issuer == "":
			return Finding{}
		case slices.Contains(o.env.Issuers(), h.Issuer):
			return ok("issuer", "ID tokens have the issuer that is expected")
		}
		fix := "check user_pool_id and endpoint"
		if o.env.Issuer != "" {
			fix = "remove issuer from the environment, or correct it; then run: kyc-agentd reload"
		}
		return problem("issuer.differs", fix, "the user pool says that its issuer is %q, and %s is expected",
			sanitize.Cut(h.Issuer, 200), strings.Join(o.env.Issuers(), " or "))
	})
}

// fixes are for problems between this machine and Cognito; Cognito's own answers say what
// to do.
var fixes = map[cognito.ProblemKind]string{
	cognito.ProblemConnection: "check the network, the VPN and the firewall",
	cognito.ProblemProxy:      "check HTTPS_PROXY and NO_PROXY, and that the proxy lets this host through",
	cognito.ProblemTLS: "check this machine's clock and its certificates; for a proxy that opens TLS name the file with its CA " +
		"in SSL_CERT_FILE of the agent (run: systemctl --user edit " + serviceUnit + ", write [Service] and " +
		"Environment=SSL_CERT_FILE=FILE, then restart it), or put the CA in /usr/local/share/ca-certificates (sudo update-ca-certificates)",
}

func problemFinding(check string, f *cognito.Problem, url string) Finding {
	message, fix := advice(f.Err)
	if text, ok := fixes[f.Kind]; ok {
		fix = text + ": curl -sv " + shellquote.Quote(url)
	}
	severe := problem
	if f.Kind == cognito.ProblemThrottled {
		severe = warning
	}
	return severe(check+"."+string(f.Kind), fix, "%s", message)
}

// A clock that is off by more than farOff makes every certificate look wrong.
const maxPlausibleSkew = 24 * time.Hour

// checkClock compares this machine's clock with Cognito's, and with the time at which this
// program was installed.
func checkClock(_ context.Context, p *probe) []Finding {
	const fix = "set it right: sudo timedatectl set-ntp true"
	if installed, ok := installedAt(); ok && p.now().Before(installed.Add(-maxPlausibleSkew)) {
		return []Finding{problem("clock.wrong", fix, "this machine's clock says %s, and this program was installed later than that",
			p.now().UTC().Format("2006-01-02 15:04"))}
	}
	worst, known := p.skew()
	switch {
	case worst.Abs() > maxPlausibleSkew:
		return []Finding{problem("clock.wrong", fix, "this machine's clock is %s", statustext.Clock(worst))}
	case worst.Abs() > statustext.MaxClockSkew:
		return []Finding{warning("clock.skew", fix, "this machine's clock is %s", statustext.Clock(worst))}
	case known:
		return []Finding{ok("clock", "it agrees with Cognito's")}
	}
	return nil
}

// installedAt returns when the file of this program was written.
func installedAt() (time.Time, bool) {
	path, err := os.Executable()
	if err != nil {
		return time.Time{}, false
	}
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}, false
	}
	return info.ModTime(), true
}

// skew returns how far Cognito's clock is ahead: the greatest value that the agent or
// this program has measured.
func (p *probe) skew() (worst time.Duration, known bool) {
	var all []time.Duration
	for _, name := range p.names() {
		if e, ok := p.statusOf(name); ok && e.Refreshes > 0 {
			all = append(all, time.Duration(e.SkewSeconds*float64(time.Second)))
		}
	}
	if !p.opts.Offline {
		for _, o := range p.readyPools() {
			if h := o.result(); h != nil && h.Answered {
				all = append(all, h.Skew)
			}
		}
	}
	if len(all) == 0 {
		return 0, false
	}
	return slices.MaxFunc(all, func(a, b time.Duration) int { return int(a.Abs() - b.Abs()) }), true
}

// checkProxy compares the proxy of this shell with the agent's. It never shows a proxy's
// address, which may have a password in it.
func checkProxy(_ context.Context, p *probe) []Finding {
	name := p.proxyVariable()
	if name == "" {
		return nil
	}
	u, err := p.units()
	if err != nil || !u.service.is("ActiveState", "active") || u.service["MainPID"] != fmt.Sprint(p.status.PID) {
		return []Finding{ok("proxy", "%s is set", name)}
	}
	for line := range strings.Lines(u.variables) {
		if n, value, _ := strings.Cut(line, "="); strings.EqualFold(n, name) && strings.TrimSpace(value) != "" {
			return []Finding{ok("proxy", "%s is set, also for the agent", name)}
		}
	}
	return []Finding{warning("proxy.shell-only",
		fmt.Sprintf("run: systemctl --user edit %s, write [Service] and Environment=%s=…, then restart it", serviceUnit, name),
		"%s is set in this shell but not for the agent, which calls Cognito without it", name)}
}

// proxyVariable returns the variable that sets the proxy for calls to Cognito, or "".
func (p *probe) proxyVariable() string {
	if !slices.ContainsFunc(p.readyPools(), func(o *poolProbe) bool { return o.viaProxy(p) }) {
		return ""
	}
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		if p.opts.Vars.Get(name) != "" {
			return name
		}
	}
	return ""
}
