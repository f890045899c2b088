package agent_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
)

// slowly starts a refresh whose answer takes that long, and returns a channel with what its
// request got. The provider has done the work at once.
func (f *fixture) slowly(late time.Duration) <-chan error {
	f.p.Set(func(r *agenttest.Rules) { r.Late = late })
	time.Sleep(2 * time.Hour)
	waiter := make(chan error, 1)
	go func() {
		_, err := f.a.Token(context.Background(), agent.TokenRequest{Environment: "prod"})
		waiter <- err
	}()
	synctest.Wait()
	f.state(agent.StateRefreshing)
	return waiter
}

func (f *fixture) logout(scope agent.LogoutScope) (time.Duration, error) {
	began := time.Now()
	err := f.a.Logout(context.Background(), agent.LogoutRequest{Environment: "prod", Scope: scope})
	return time.Since(began), err
}

// TestSlowAnswersAreWaitedFor checks that no deadline of the agent loses a sign-in: Cognito may
// take a minute, because of slow triggers.
func TestSlowAnswersAreWaitedFor(t *testing.T) {
	for _, latency := range []time.Duration{11 * time.Second, 30 * time.Second, 55 * time.Second} {
		for _, grace := range []time.Duration{0, time.Minute} {
			inBubble(t, func(r *agenttest.Rules) { r.Rotate, r.Grace = true, grace }, func(f *fixture) {
				f.p.Set(func(r *agenttest.Rules) { r.Late = latency })
				for range 5 {
					time.Sleep(2 * time.Hour)
					if _, err := f.a.Token(context.Background(), agent.TokenRequest{Environment: "prod"}); err != nil {
						t.Fatalf("after %s: %v", latency, err)
					}
				}
			})
		}
	}
}

func TestLoginOvertakesARefresh(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Rotate = true }, func(f *fixture) {
		waiter := f.slowly(50 * time.Second)
		began := time.Now()
		agenttest.Login(t, f.a, "prod")
		if took := time.Since(began); took > 0 {
			t.Errorf("the login waited %s for a refresh of what it replaces", took)
		}
		if err := <-waiter; err != nil {
			t.Errorf("the request that waited: %v", err)
		}
		tok, _ := f.must()
		time.Sleep(time.Minute) // the late answer comes
		if again, _ := f.must(); !again.IDToken.Equal(tok.IDToken) {
			t.Error("the late answer replaced the token of the new sign-in")
		}
		if f.p.Live() != 1 {
			t.Errorf("%d refresh tokens are live at the provider, want the new sign-in's: revoked %v", f.p.Live(), f.p.Revoked())
		}
		f.p.Set(func(r *agenttest.Rules) { r.Late = 0 })
		f.restart()
		f.must()
	})
}

func TestLogoutOvertakesARefresh(t *testing.T) {
	for _, scope := range []agent.LogoutScope{agent.LogoutHere, agent.LogoutAllDevices} {
		inBubble(t, func(r *agenttest.Rules) { r.Rotate = true }, func(f *fixture) {
			waiter := f.slowly(50 * time.Second)
			took, err := f.logout(scope)
			if took > 0 || err != nil && scope == agent.LogoutHere {
				t.Errorf("logged out after %s: %v", took, err)
			}
			// The refresh token for that is still on its way.
			if scope == agent.LogoutAllDevices && (err == nil || !strings.Contains(err.Error(), "not elsewhere")) {
				t.Errorf("logged out of all devices: %v", err)
			}
			if err := <-waiter; !errors.Is(err, agent.CodeLoginRequired) {
				t.Errorf("the request that waited: %v", err)
			}
			time.Sleep(time.Minute)
			f.state(agent.StateAbsent)
			if keys, _ := f.store.Keys(f.t.Context()); len(keys) != 0 || f.p.Live() != 0 {
				t.Errorf("left: keys %v, %d live refresh tokens", keys, f.p.Live())
			}
		})
	}
}

// An unattended sign-in that a person overtakes does not take the place of theirs.
func TestLoginOvertakesAnUnattendedSignIn(t *testing.T) {
	unattended(t, agenttest.Password, func(f *fixture, _ *credential) {
		hold := make(chan struct{})
		f.p.Set(func(r *agenttest.Rules) { r.HoldLogin = hold })
		waiter := make(chan error, 1)
		go func() { _, err := f.ask(); waiter <- err }()
		synctest.Wait()
		f.p.Set(func(r *agenttest.Rules) { r.HoldLogin = nil })
		agenttest.Login(t, f.a, "prod")
		if err := <-waiter; err != nil {
			t.Error(err)
		}
		tok, _ := f.must()
		close(hold)
		synctest.Wait()
		if again, _ := f.must(); !again.IDToken.Equal(tok.IDToken) || f.p.Live() != 1 {
			t.Errorf("%d live; the same token: %t", f.p.Live(), again.IDToken.Equal(tok.IDToken))
		}
	})
}

// TestStopWaits checks what Close waits for: an answer that may have a new refresh token in it.
func TestStopWaits(t *testing.T) {
	for name, c := range map[string]struct {
		rotate bool
		latest time.Duration // how long Close takes
	}{"rotation": {true, 50 * time.Second}, "no rotation": {false, 10 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *agenttest.Rules) { r.Rotate = c.rotate }, func(f *fixture) {
				time.Sleep(2 * time.Hour)
				f.must() // now it is known whether refreshes rotate
				f.slowly(50 * time.Second)
				ctx, cancel := context.WithTimeout(context.Background(), 65*time.Second)
				defer cancel()
				began := time.Now()
				if err := f.a.Close(ctx); err != nil || time.Since(began) != c.latest {
					t.Errorf("closed after %s: %v", time.Since(began), err)
				}
				f.p.Set(func(r *agenttest.Rules) { r.Late = 0 })
				f.start()
				f.must()
			})
		})
	}
}

// TestConfigurationChangesDuringARefresh checks that the request that waits is answered for the
// configuration in force, and that nothing is lost.
func TestConfigurationChangesDuringARefresh(t *testing.T) {
	for name, rotate := range map[string]bool{"rotation": true, "no rotation": false} {
		t.Run(name+", and back", func(t *testing.T) {
			inBubble(t, func(r *agenttest.Rules) { r.Rotate = rotate }, func(f *fixture) {
				waiter := f.slowly(5 * time.Second)
				f.configure(func(e *agent.Environment) { e.ClientID = "another" })
				f.configure(func(*agent.Environment) {})
				if err := <-waiter; err != nil {
					t.Error(err)
				}
			})
		})
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *agenttest.Rules) { r.Rotate = rotate }, func(f *fixture) {
				waiter := f.slowly(5 * time.Second)
				f.configure(func(e *agent.Environment) { e.ClientID = "another" })
				if err := <-waiter; !errors.Is(err, agent.CodeLoginRequired) || !strings.Contains(err.Error(), "another user pool or client") {
					t.Error(err)
				}
				f.p.Set(func(r *agenttest.Rules) { r.Late = 0 })
				f.configure(func(*agent.Environment) {})
				f.must()
				f.restart()
				f.must()
			})
		})
	}
}
