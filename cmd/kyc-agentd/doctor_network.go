package main

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
	"github.com/legaltalent/kyc-agent/internal/shellquote"
)

// A poolProbe is the user pool of an environment, as seen from here.
type poolProbe struct {
	name      string // of the environment
	env       agent.Environment
	configErr error // why it cannot be asked
	// resolved looks up the host's name; nothing is looked up for a proxy, which does
	// so itself.
	resolved func() error
	// result is of the pool; it is nil where the name cannot be resolved.
	result func() *cognito.ProbeResult
}

func (p *probe) newPool(ctx context.Context, name string, auth *cognito.Authenticator) *poolProbe {
	e := p.config.Environments[name]
	e.Username, e.PasswordFile = config.Username{}, config.SecretPath{} // nobody signs in
	o := &poolProbe{name: name}
	o.env, o.configErr = e.AgentEnvironment(name, p.vars)
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
		return new(auth.Probe(ctx, o.env))
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

// resolve looks up host. A resolver that never answers would take the standard library
// 10 s or more.
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

// readyPools are those that can be asked, in the order of their names.
func (p *probe) readyPools() (all []*poolProbe) {
	for _, name := range p.names() {
		if o := p.pools[name]; o.configErr == nil { // else checkSecrets says why
			all = append(all, o)
		}
	}
	return all
}

// checkDNS looks up the hosts of the environments, each once.
func checkDNS(_ context.Context, p *probe) []finding {
	byHost := map[string]finding{}
	forEachParallel(p.readyPools(), func(o *poolProbe) finding {
		host := hostOf(o.env.EndpointURL())
		err := o.resolved()
		dns, _ := errors.AsType[*net.DNSError](err)
		switch {
		case err == nil && o.viaProxy(p):
			return fine("dns", "%s is the proxy's to look up", host)
		case err == nil:
			return fine("dns", "%s is known", host)
		case dns != nil && dns.IsNotFound:
			return problem("dns.unknown", "check region and endpoint of the environment, and this machine's DNS: getent hosts "+shellquote.Quote(host), "%s cannot be resolved: no such host", host)
		}
		return problem("dns.silent", "check /etc/resolv.conf, the network and the VPN; then: getent hosts "+shellquote.Quote(host), "%s cannot be resolved: no answer from DNS", host)
	}, func(o *poolProbe, f finding) { byHost[hostOf(o.env.EndpointURL())] = f })
	var found []finding
	for _, o := range p.readyPools() {
		host := hostOf(o.env.EndpointURL())
		if f, ok := byHost[host]; ok {
			found = append(found, f)
			delete(byHost, host)
		}
	}
	return found
}

// forEachParallel applies f to all pools at the same time and hands the results on one by one.
func forEachParallel(pools []*poolProbe, f func(*poolProbe) finding, put func(*poolProbe, finding)) {
	results := make([]finding, len(pools))
	var all sync.WaitGroup
	for i, o := range pools {
		all.Go(func() { results[i] = f(o) })
	}
	all.Wait()
	for i, o := range pools {
		put(o, results[i])
	}
}

// perEnvironment is inTurn for checks of one finding an environment; one without an id is none.
func (p *probe) perEnvironment(f func(*poolProbe) finding) (found []finding) {
	forEachParallel(p.readyPools(), f, func(o *poolProbe, x finding) {
		if x.ID != "" {
			found = append(found, x.forEnv(o.name))
		}
	})
	return found
}

// checkCognito asks Cognito whether a sign-in could work.
func checkCognito(_ context.Context, p *probe) []finding {
	return p.perEnvironment(func(o *poolProbe) finding {
		h := o.result()
		switch {
		case h == nil:
			return finding{}
		case h.SignIn == nil:
			return fine("cognito", "%s answers, knows the app client and allows the auth_flow", hostOf(o.env.EndpointURL()))
		case h.SignIn.Kind == cognito.ProblemSecret && p.answers() && p.config.Environments[o.name].ClientSecretFile.String() == "":
			return info("cognito.secret", "", "whether the client secret is right cannot be told from here: it may be a systemd credential, which the agent alone sees")
		}
		return problemFinding("cognito", h.SignIn, o.env.EndpointURL())
	})
}

// checkKeys looks at the keys that ID tokens are verified with.
func checkKeys(_ context.Context, p *probe) []finding {
	return p.perEnvironment(func(o *poolProbe) finding {
		h := o.result()
		switch {
		case h == nil || h.SignIn != nil && h.Keys != nil && h.SignIn.Kind == h.Keys.Kind:
			return finding{} // said already
		case h.Keys == nil && h.SignIn != nil && h.SignIn.Kind == cognito.ProblemSetting:
			return finding{} // not asked
		case h.Keys == nil:
			return fine("jwks", "the signing keys are there")
		}
		return problemFinding("jwks", h.Keys, o.env.KeysURL())
	})
}

// fixes are for what is between this machine and Cognito; for the rest Cognito's answer
// tells.
var fixes = map[cognito.ProblemKind]string{
	cognito.ProblemConnection: "check the network, the VPN and the firewall",
	cognito.ProblemProxy:      "check HTTPS_PROXY and NO_PROXY, and that the proxy lets this host through",
	cognito.ProblemTLS:        "check this machine's clock and its certificates; a proxy that opens TLS needs its CA in /usr/local/share/ca-certificates (update-ca-certificates)",
}

func problemFinding(check string, f *cognito.Problem, url string) finding {
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

// checkClock compares this machine's clock with Cognito's, and with the age of this
// program.
func checkClock(_ context.Context, p *probe) []finding {
	const fix = "set it right: sudo timedatectl set-ntp true"
	if built, ok := built(); ok && p.now().Before(built.Add(-maxPlausibleSkew)) {
		return []finding{problem("clock.wrong", fix, "this machine's clock says %s, and this program was installed later than that", p.now().UTC().Format("2006-01-02 15:04"))}
	}
	worst, known := p.skew()
	switch {
	case worst.Abs() > maxPlausibleSkew:
		return []finding{problem("clock.wrong", fix, "this machine's clock is %s %s", span(worst.Abs()), behindOrAhead(worst))}
	case worst.Abs() > maxSkew:
		return []finding{warning("clock.skew", fix, "this machine's clock is %s %s", span(worst.Abs()), behindOrAhead(worst))}
	case known:
		return []finding{fine("clock", "it goes with Cognito's")}
	}
	return nil
}

// built is when this program came to be.
func built() (time.Time, bool) {
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

// skew is how far Cognito's clock is ahead, by whoever asked it: the greatest of all.
func (p *probe) skew() (worst time.Duration, known bool) {
	var all []time.Duration
	for _, name := range p.names() {
		if e, ok := p.statusOf(name); ok && e.Refreshes > 0 {
			all = append(all, time.Duration(e.SkewSeconds*float64(time.Second)))
		}
	}
	if !p.flags.offline {
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

// checkProxy compares the proxy of this shell with the agent's. A proxy's address is
// never shown: there may be a password in it.
func checkProxy(_ context.Context, p *probe) []finding {
	name := p.proxyVariable()
	if name == "" {
		return nil
	}
	u, err := p.units()
	if err != nil || !u.service.is("ActiveState", "active") || u.service["MainPID"] != fmt.Sprint(p.status.PID) {
		return []finding{fine("proxy", "%s is set", name)}
	}
	for line := range strings.Lines(u.variables) {
		if n, value, _ := strings.Cut(line, "="); strings.EqualFold(n, name) && strings.TrimSpace(value) != "" {
			return []finding{fine("proxy", "%s is set, for the agent too", name)}
		}
	}
	return []finding{warning("proxy.shell-only", fmt.Sprintf("run: systemctl --user edit %s, write [Service] and Environment=%s=…, then restart it", serviceUnit, name),
		"%s is set in this shell and not for the agent, which goes to Cognito without", name)}
}

// proxyVariable is the variable that a call to Cognito goes by, where one does.
func (p *probe) proxyVariable() string {
	if !slices.ContainsFunc(p.readyPools(), func(o *poolProbe) bool { return o.viaProxy(p) }) {
		return ""
	}
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		if p.vars.Get(name) != "" {
			return name
		}
	}
	return ""
}
