package doctor

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/ipc"
)

// A probe is what the checks share. Tests set other values for proc to limit.
type probe struct {
	opts Options

	proc     string // where the kernel lists processes
	now      func() time.Time
	resolver *net.Resolver                         // nil: the machine's
	proxy    func(*http.Request) (*url.URL, error) // as of http.Transport
	limit    time.Duration                         // for all checks

	// Set by load, before the checks begin.
	config         config.Config
	configWarnings []string // about variables
	configErr      error
	status         agent.Status
	statusErr      error

	// What several checks need, asked once.
	units   func() (units, error)
	keyring func() error
	auth    *cognito.Authenticator
	pools   map[string]*poolProbe // by environment
}

func newProbe(o Options) *probe {
	return &probe{opts: o, proc: "/proc", now: time.Now, proxy: http.ProxyFromEnvironment, limit: deadline}
}

// load reads the configuration, as the daemon would in this environment, and asks the
// daemon for its status.
func (p *probe) load(ctx context.Context) {
	p.config, p.configWarnings, p.configErr = config.Load(p.opts.ConfigFile, p.opts.Vars)
	p.status, p.statusErr = p.askStatus(ctx, p.opts.Socket)
	p.units = sync.OnceValues(func() (units, error) { return p.askUnits(ctx) })
	p.keyring = sync.OnceValue(func() error { return p.askKeyring(ctx) })
	p.auth = cognito.New(cognito.Options{Resolver: p.resolver, Proxy: p.proxy, Now: p.now})
	p.pools = map[string]*poolProbe{}
	for _, name := range p.names() {
		p.pools[name] = p.newPool(ctx, name)
	}
}

func (p *probe) askStatus(ctx context.Context, socket string) (agent.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, p.shortTimeout())
	defer cancel()
	return (&ipc.Client{Socket: socket}).Status(ctx)
}

// shortTimeout is the time for a question to another program on this machine.
func (p *probe) shortTimeout() time.Duration { return min(localTimeout, p.limit/4) }

// answers reports whether an agent answered.
func (p *probe) answers() bool { return p.statusErr == nil }

// names returns the environments to check, or none if the configuration cannot be read.
func (p *probe) names() []string {
	if p.opts.Environment == "" {
		return p.config.Names()
	}
	if _, ok := p.config.Environments[p.opts.Environment]; ok {
		return []string{p.opts.Environment}
	}
	return nil
}

// statusOf returns what the agent holds of an environment.
func (p *probe) statusOf(environment string) (agent.EnvironmentStatus, bool) {
	for _, e := range p.status.Environments {
		if e.Name == environment {
			return e, true
		}
	}
	return agent.EnvironmentStatus{}, false
}

// used reports whether somebody uses an environment, as far as can be told: staging and prod
// are configured on every machine, and most people need one of them. Only an agent that
// answers knows that there is no sign-in.
func (p *probe) used(environment string) bool {
	e, ok := p.statusOf(environment)
	switch {
	case !ok || e.State != agent.StateAbsent || e.Unattended:
		return true
	case environment == p.opts.Environment || environment == p.config.DefaultEnvironment || environment == p.status.DefaultEnvironment:
		return true
	}
	return slices.ContainsFunc(p.config.Sinks, func(s config.Sink) bool { return s.Environment.String() == environment })
}

// lookPath finds a program as the shell does, or returns "".
func (p *probe) lookPath(name string) string {
	for _, dir := range filepath.SplitList(p.opts.Vars.Get("PATH")) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// advice splits an error into what is wrong and what to do. The latter is the hint of an
// [agent.Error]; in other errors it follows the first semicolon.
func advice(err error) (message, fix string) {
	message = err.Error()
	if e, ok := errors.AsType[*agent.Error](err); ok {
		bare := *e
		bare.Hint, bare.Environment = "", ""
		message, fix = bare.Error(), e.Hint
	}
	if fix == "" {
		message, fix, _ = strings.Cut(message, "; ")
	}
	return message, fix
}
