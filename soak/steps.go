package main

import (
	"context"
	"fmt"
	"time"

	"github.com/legaltalent/kyc-agent/soak/fakecognito"
)

// This file has what several kinds of phases do.

// fail makes Cognito fail until the repair.
func (s *soak) fail(p *phase, f fakecognito.Fault) {
	p.note("%s: %s", p.env.name, f.Name)
	p.fault, p.since, p.times = f.Name, time.Now(), f.Times
	s.excuse(p.env.name, f.Name+" at Cognito", exitTemporary)
	s.excuseWrong(p.env.name, f)
	p.env.pool.Fail(f)
}

// force asks for a token that is younger than the one in memory.
func (s *soak) force(ctx context.Context, e *environment, client string) answer {
	s.happened(asked, e.name)
	return s.ask(ctx, e, client, func(ctx context.Context, e *environment) (int, string) {
		return s.kycToken(ctx, e, "-min-valid", (s.opts.life - youngest).String(), e.name)
	})
}

// youngest is how old a token may be that counts as a new one.
const youngest = 2 * time.Second

// provoke brings about a refresh, by force or by waiting until the token is old. It returns
// when Cognito gets the call, or the first call that the fault of the phase happens to.
func (s *soak) provoke(ctx context.Context, p *phase) (fakecognito.Call, error) {
	mark := p.env.pool.Mark()
	if p.rng.IntN(4) > 0 {
		if err := pause(ctx, youngest+100*time.Millisecond); err != nil {
			return fakecognito.Call{}, err
		}
		s.clients.Go(func() { s.force(ctx, p.env, "forced") })
	}
	return s.awaitCall(ctx, p.env, mark, func(c fakecognito.Call) bool {
		return fakecognito.IsRefresh(c) || p.fault != "" && c.Fault == p.fault
	})
}

// awaitCall waits for a call after mark, which has to come within a token's life.
func (s *soak) awaitCall(ctx context.Context, e *environment, mark int, match func(fakecognito.Call) bool) (fakecognito.Call, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.opts.life+5*time.Second,
		fmt.Errorf("%s: no refresh within a token's life, while clients ask", e.name))
	defer cancel()
	return e.pool.Await(ctx, mark, match)
}

// renew replaces the daemon's process by one without a token.
func (s *soak) renew(ctx context.Context) error {
	s.kill()
	return s.start(ctx)
}
