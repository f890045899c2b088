package daemon

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/ipc"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// policySockets are the sockets with a policy. Before begin they do nothing.
type policySockets struct {
	daemon *daemon

	mu      sync.Mutex
	serving context.Context
	agent   string             // the path of the agent's own socket
	extra   []*socket.Listener // of the socket for forwarding, beside its folder
	open    map[string]*policySocket
}

// A policySocket is one that is being served, or that could not be made.
type policySocket struct {
	policy    agent.Policy
	behind    *agent.Restricted
	listeners []*socket.Listener
	err       error // why there is no folder with it
	stop      func()
}

// begin serves the sockets of c until ctx ends.
func (p *policySockets) begin(ctx context.Context, s *sockets, c config.Config) {
	p.daemon.reloading.Lock()
	defer p.daemon.reloading.Unlock()
	p.mu.Lock()
	p.serving, p.agent, p.extra, p.open = ctx, s.agent[0].Addr().String(), s.extra, map[string]*policySocket{}
	p.mu.Unlock()
	_ = p.configure(c) // it logs
}

// configure opens and closes sockets, so that they are those of c. It returns when requests on
// those that it closed have ended, or have been cut off. The error is about sockets that
// cannot be made. Only one configure may run at a time.
func (p *policySockets) configure(c config.Config) error {
	policies, begun := p.policies(c)
	if !begun {
		return nil
	}
	p.closeOthers(policies)
	var names []string
	for _, policy := range policies {
		names = append(names, policy.Socket)
	}
	for _, name := range socket.RemoveNamed(p.agent, names) {
		p.daemon.log.Info("removed a socket with a policy", "socket", name)
	}
	var failed error
	for _, policy := range policies {
		if p.isOpen(policy.Socket) {
			continue
		}
		s := p.serve(policy)
		failed = errors.Join(failed, s.err)
		p.mu.Lock()
		p.open[policy.Socket] = s
		p.mu.Unlock()
	}
	return failed
}

// closeOthers closes the sockets that are not in policies, that have another policy there, or
// that are to be tried again.
func (p *policySockets) closeOthers(policies []agent.Policy) {
	var closing sync.WaitGroup
	defer closing.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, old := range p.open {
		same := func(policy agent.Policy) bool { return reflect.DeepEqual(policy, old.policy) }
		if failed := len(old.listeners) == 0; failed || !slices.ContainsFunc(policies, same) {
			delete(p.open, name)
			closing.Go(old.stop)
		}
	}
}

func (p *policySockets) isOpen(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open[name] != nil
}

// policies returns the policies of c. That of the socket for forwarding stays as it was at the
// start while it has a place that is not made here; see checkRestart.
func (p *policySockets) policies(c config.Config) (policies []agent.Policy, begun bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.extra) == 0 {
		return c.Policies(), p.open != nil
	}
	policies = slices.DeleteFunc(c.Policies(), func(policy agent.Policy) bool { return policy.Socket == agent.ForwardingSocket })
	return append(policies, extraPolicy(p.daemon.started)), p.open != nil
}

// extraPolicy returns the policy of the socket called extra: one that allows nothing if the
// service manager made it and the configuration has none.
func extraPolicy(c config.Config) agent.Policy {
	for _, policy := range c.Policies() {
		if policy.Socket == agent.ForwardingSocket {
			return policy
		}
	}
	return agent.ForwardingPolicy()
}

// fixed reports whether c has another policy for the socket called extra than the one that
// stays in force.
func (p *policySockets) fixed(c config.Config) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.extra) > 0 && !reflect.DeepEqual(extraPolicy(c), extraPolicy(p.daemon.started))
}

// serve makes the socket of a policy and serves it. The agent keeps running if that fails.
func (p *policySockets) serve(policy agent.Policy) *policySocket {
	s := &policySocket{policy: policy, behind: policy.Restrict(p.daemon.agent)}
	if policy.Socket == agent.ForwardingSocket {
		s.listeners = slices.Clone(p.extra)
	}
	log := p.daemon.log.With("socket", policy.Socket)
	if len(policy.Environments) > 0 {
		var ln *socket.Listener
		if ln, s.err = socket.ListenNamed(p.agent, policy.Socket); s.err == nil {
			s.listeners = append(s.listeners, ln)
		} else {
			log.Warn("the folder of a socket with a policy cannot be made", "error", s.err)
		}
	}
	server := &ipc.Server{
		Restricted: s.behind, Proxy: !p.daemon.opts.NoProxyAPI, Pace: p.daemon.pace, Name: policy.Socket,
		Logger: log, Version: p.daemon.opts.Version, OnRequest: p.daemon.metrics.observer(policy.Socket),
		Audit: p.daemon.audit, Approvals: p.daemon.approvals,
	}
	ctx, cancel := context.WithCancel(p.serving)
	var serving sync.WaitGroup
	for _, ln := range s.listeners {
		log.Info("serving a socket with a policy", "path", ln.Addr().String(), "environments", strings.Join(policy.Environments, ", "))
		serving.Go(func() { p.daemon.keep(ctx, ln) })
		serving.Go(func() {
			if err := server.Serve(ctx, ln); err != nil {
				log.Error("a socket with a policy is broken; the agent's own socket keeps working", "path", ln.Addr().String(), "error", err)
			}
		})
	}
	s.stop = func() {
		cancel()
		serving.Wait()
		p.daemon.metrics.forget(policy.Socket)
	}
	return s
}

// listeners returns those that are being served.
func (p *policySockets) listeners() (all []*socket.Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.open {
		all = append(all, s.listeners...)
	}
	return all
}

// wait returns when all sockets have been closed, after the context of begin has ended.
func (p *policySockets) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.open {
		s.stop()
	}
}

// status describes the sockets, in ascending order of name.
func (p *policySockets) status() (all []agent.SocketStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.open {
		st := agent.SocketStatus{
			Name: s.policy.Socket, Paths: []string{}, Environments: slices.Concat([]string{}, s.policy.Environments),
			Allow: s.policy.Allow, Methods: s.policy.Methods, Rate: s.policy.Rate.String(), Confirm: s.policy.Confirm,
		}
		for _, ln := range s.listeners {
			st.Paths = append(st.Paths, ln.Addr().String())
		}
		for _, pattern := range s.policy.Paths {
			st.APIPaths = append(st.APIPaths, pattern.String())
		}
		if s.policy.Rate != (agent.Rate{}) {
			remaining, refused := s.behind.RateState()
			st.RateRemaining, st.RateRefused = &remaining, refused
		}
		if s.err != nil {
			st.Error = s.err.Error()
		}
		all = append(all, st)
	}
	slices.SortFunc(all, func(a, b agent.SocketStatus) int { return strings.Compare(a.Name, b.Name) })
	return all
}
