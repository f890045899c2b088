package agent_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
)

// TestRestrictedMinValid holds that a MinValid above the limit is refused, and not given less.
func TestRestrictedMinValid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := agenttest.NewAuthenticator()
		a := agenttest.NewAgent(t, p)
		agenttest.Login(t, a, "staging")
		r := agent.Restrict(a, "staging")
		for _, minValid := range []time.Duration{agent.RestrictedMinValid + 1, 59 * time.Minute, 1 << 62} {
			_, err := r.Token(t.Context(), agent.TokenRequest{MinValid: minValid})
			if agent.CodeOf(err) != agent.CodeDenied || !strings.Contains(err.Error(), "ask for at most 30m0s") {
				t.Errorf("%s: %v", minValid, err)
			}
		}
		for range 120 {
			time.Sleep(time.Minute)
			got, err := r.Token(t.Context(), agent.TokenRequest{MinValid: agent.RestrictedMinValid})
			if err != nil || time.Until(got.ExpiresAt) < agent.RestrictedMinValid {
				t.Fatalf("%s left, %v", time.Until(got.ExpiresAt), err)
			}
		}
		if n := p.Refreshes(); n > 4 {
			t.Errorf("%d refreshes in two hours", n)
		}
		if _, err := r.Token(t.Context(), agent.TokenRequest{MinValid: -1}); agent.CodeOf(err) != agent.CodeUsage {
			t.Errorf("below zero: %v", err)
		}
	})
}

// TestForcedRefreshesOnTheSocketForForwarding holds that no MinValid causes more than a refresh
// a minute there, however many ask at once, while the agent's own socket has its way.
func TestForcedRefreshesOnTheSocketForForwarding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := agenttest.NewAuthenticator()
		p.Set(func(r *agenttest.Rules) { r.Lifetime, r.Latency = 5*time.Minute, 200*time.Millisecond })
		a := agenttest.NewAgent(t, p)
		agenttest.Login(t, a, "staging")
		r := agent.Restrict(a, "staging")
		throttled, served := 0, 0
		force := func() {
			got, err := r.Token(t.Context(), agent.TokenRequest{MinValid: 4*time.Minute + 50*time.Second})
			switch e, _ := err.(*agent.Error); {
			case err == nil && time.Until(got.ExpiresAt) >= 4*time.Minute+50*time.Second:
				served++
			case agent.CodeOf(err) == agent.CodeThrottled && e.RetryAfter > 0 && e.RetryAfter <= time.Minute && strings.Contains(e.Error(), "try again in"):
				throttled++
			default:
				t.Errorf("%v, %v", got, err)
			}
		}
		for range 600 / 3 {
			time.Sleep(3 * time.Second)
			force()
		}
		if n := p.Refreshes(); n > 11 || n < 9 || served == 0 || throttled == 0 {
			t.Errorf("%d refreshes in 10 minutes, %d served, %d throttled", n, served, throttled)
		}
		if _, err := r.Token(t.Context(), agent.TokenRequest{}); err != nil {
			t.Errorf("the token that everybody gets: %v", err)
		}
		time.Sleep(time.Minute)
		before := p.Refreshes()
		var asking sync.WaitGroup
		for range 20 {
			asking.Go(func() {
				if _, err := r.Token(t.Context(), agent.TokenRequest{MinValid: 4*time.Minute + 30*time.Second}); err != nil {
					t.Errorf("one of many: %v", err)
				}
			})
		}
		asking.Wait()
		if n := p.Refreshes() - before; n != 1 {
			t.Errorf("%d refreshes for many at once", n)
		}
		for range 3 {
			time.Sleep(12 * time.Second)
			if _, err := a.Token(t.Context(), agent.TokenRequest{MinValid: 4*time.Minute + 50*time.Second}); err != nil {
				t.Errorf("on the agent's own socket: %v", err)
			}
		}
	})
}

// A MinValid that no token has costs no turn, and a caller that gives up does not wait.
func TestForcedRefreshThatIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := agenttest.NewAuthenticator()
		p.Set(func(r *agenttest.Rules) { r.Lifetime = 10 * time.Minute })
		a := agenttest.NewAgent(t, p)
		agenttest.Login(t, a, "staging")
		r := agent.Restrict(a, "staging")
		time.Sleep(time.Minute)
		for range 3 {
			if _, err := r.Token(t.Context(), agent.TokenRequest{MinValid: 20 * time.Minute}); agent.CodeOf(err) != agent.CodeUsage {
				t.Fatalf("more than a token's life: %v", err)
			}
		}
		if _, err := r.Token(t.Context(), agent.TokenRequest{MinValid: 9*time.Minute + 30*time.Second}); err != nil {
			t.Errorf("after that: %v", err)
		}
		time.Sleep(2 * time.Minute)
		p.Set(func(r *agenttest.Rules) { r.Latency = time.Hour })
		go func() { _, _ = r.Token(t.Context(), agent.TokenRequest{MinValid: 9 * time.Minute}) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		began := time.Now()
		if _, err := r.Token(ctx, agent.TokenRequest{MinValid: 9 * time.Minute}); agent.CodeOf(err) != agent.CodeUnavailable || time.Since(began) != 7*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		p.Set(func(r *agenttest.Rules) { r.Latency = 0 })
	})
}
