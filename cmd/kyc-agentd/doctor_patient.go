package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/ipc"
)

// A probe is what the checks of doctor look at. The fields up to limit come from
// outside; a test has others.
type probe struct {
	flags       doctorFlags
	vars        config.Environ
	socket      string // of the agent
	environment string // the only one to look at; "" is all
	proc        string // where the kernel lists processes
	now         func() time.Time
	resolver    *net.Resolver                         // nil: the machine's
	proxy       func(*http.Request) (*url.URL, error) // as of http.Transport
	limit       time.Duration                         // of the whole examination

	// What is known before the checks begin: see admit.
	config         config.Config
	configWarnings []string // variables
	configErr      error
	status         agent.Status
	statusErr      error

	// What several checks want to know, asked once.
	units   func() (units, error)
	keyring func() error
	pools   map[string]*poolProbe // by environment
}

func newProbe(c *cli, flags doctorFlags, environment string) *probe {
	return &probe{
		flags: flags, vars: c.vars, socket: c.socketPath(), environment: environment,
		proc: "/proc", now: time.Now, proxy: http.ProxyFromEnvironment, limit: deadline,
	}
}

// load reads the configuration, as the daemon would in this environment, and asks the
// daemon for its status.
func (p *probe) load(ctx context.Context) {
	p.config, p.configWarnings, p.configErr = config.Load(p.flags.config, p.vars)
	p.status, p.statusErr = p.askStatus(ctx, p.socket)
	p.units = sync.OnceValues(func() (units, error) { return p.askUnits(ctx) })
	p.keyring = sync.OnceValue(func() error { return p.askKeyring(ctx) })
	auth := cognito.New(cognito.Options{Resolver: p.resolver, Proxy: p.proxy, Now: p.now})
	p.pools = map[string]*poolProbe{}
	for _, name := range p.names() {
		p.pools[name] = p.newPool(ctx, name, auth)
	}
}

func (p *probe) askStatus(ctx context.Context, socket string) (agent.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, p.shortTimeout())
	defer cancel()
	return (&ipc.Client{Socket: socket}).Status(ctx)
}

// answers reports whether there is an agent.
func (p *probe) answers() bool { return p.statusErr == nil }

// names are the environments to look at. There are none where the configuration
// cannot be read.
func (p *probe) names() []string {
	if p.environment == "" {
		return p.config.Names()
	}
	if _, ok := p.config.Environments[p.environment]; ok {
		return []string{p.environment}
	}
	return nil
}

// chosenEnvironment is the environment that a person most likely asks about.
func (p *probe) chosenEnvironment() string {
	if p.environment != "" {
		return p.environment
	}
	return p.config.DefaultEnvironment
}

// statusOf is what the agent holds of an environment.
func (p *probe) statusOf(environment string) (agent.EnvironmentStatus, bool) {
	for _, e := range p.status.Environments {
		if e.Name == environment {
			return e, true
		}
	}
	return agent.EnvironmentStatus{}, false
}

// lookPath finds a program as the patient's shell does; "" where there is none.
func (p *probe) lookPath(name string) string {
	for _, dir := range filepath.SplitList(p.vars.Get("PATH")) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// advice takes an error apart: what is wrong, and what to do. The hint of an
// [agent.Error] is the latter, and of other errors what follows the first semicolon.
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
