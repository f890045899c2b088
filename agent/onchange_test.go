package agent_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
)

// A recorder records the calls of Options.OnChange.
type recorder struct {
	mu    sync.Mutex
	calls []string
}

func (r *recorder) onChange(environment string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, environment)
}

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.calls = nil }()
	return slices.Compact(slices.Sorted(slices.Values(r.calls)))
}

// TestOnChange checks that every event that changes the token in memory is reported, and no
// other event.
func TestOnChange(t *testing.T) {
	ask := func(a *agent.Agent) (string, error) {
		tok, err := a.Token(context.Background(), agent.TokenRequest{Environment: "prod"})
		return tok.IDToken.Reveal(), err
	}
	configured := func(t *testing.T, a *agent.Agent, change func(*agent.Config)) {
		c := agenttest.Config()
		change(&c)
		if err := a.Configure(c); err != nil {
			t.Fatal(err)
		}
	}
	prod := func(c *agent.Config) *agent.Environment {
		return &c.Environments[slices.IndexFunc(c.Environments, func(e agent.Environment) bool { return e.Name == "prod" })]
	}
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, a *agent.Agent, p *agenttest.Authenticator)
		want []string
	}{
		{"a request from memory", func(_ *testing.T, a *agent.Agent, _ *agenttest.Authenticator) { _, _ = ask(a) }, nil},
		{"a sign-in", func(t *testing.T, a *agent.Agent, _ *agenttest.Authenticator) { agenttest.Login(t, a, "prod") }, []string{"prod"}},
		{"a refresh", func(_ *testing.T, a *agent.Agent, _ *agenttest.Authenticator) {
			time.Sleep(25 * time.Hour)
			_, _ = ask(a)
		}, []string{"prod"}},
		{"a refresh that fails", func(_ *testing.T, a *agent.Agent, p *agenttest.Authenticator) {
			p.Set(func(r *agenttest.Rules) {
				r.Refresh = func(context.Context, int) error { return agenttest.Unavailable("prod", "down") }
			})
			time.Sleep(25 * time.Hour)
			_, _ = ask(a)
		}, nil},
		{"a refusal", func(_ *testing.T, a *agent.Agent, p *agenttest.Authenticator) {
			p.EndAll()
			time.Sleep(25 * time.Hour)
			_, _ = ask(a)
		}, []string{"prod"}},
		{"a logout", func(t *testing.T, a *agent.Agent, _ *agenttest.Authenticator) {
			if err := a.Logout(context.Background(), agent.LogoutRequest{Environment: "prod"}); err != nil {
				t.Error(err)
			}
		}, []string{"prod"}},
		{"a logout of nothing", func(_ *testing.T, a *agent.Agent, _ *agenttest.Authenticator) {
			_ = a.Logout(context.Background(), agent.LogoutRequest{Environment: "staging"})
		}, nil},
		{"the same configuration", func(t *testing.T, a *agent.Agent, _ *agenttest.Authenticator) {
			configured(t, a, func(*agent.Config) {})
		}, nil},
		{"another user pool", func(t *testing.T, a *agent.Agent, _ *agenttest.Authenticator) {
			configured(t, a, func(c *agent.Config) { prod(c).UserPoolID = "us-east-2_other" })
		}, []string{"prod"}},
		{"no such environment any more", func(t *testing.T, a *agent.Agent, _ *agenttest.Authenticator) {
			configured(t, a, func(c *agent.Config) { prod(c).Name = "moved" })
		}, []string{"prod"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var changes recorder
				p := agenttest.NewAuthenticator()
				a := agenttest.NewAgent(t, p, func(o *agent.Options) { o.OnChange = changes.onChange })
				agenttest.Login(t, a, "prod")
				synctest.Wait()
				changes.take()
				tt.do(t, a, p)
				synctest.Wait()
				if got := changes.take(); !slices.Equal(got, tt.want) {
					t.Errorf("reported %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// TestOnChangeHoldsNoLock checks that OnChange may ask for the status.
func TestOnChangeHoldsNoLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a *agent.Agent
		var states []agent.State
		a = agenttest.NewAgent(t, agenttest.NewAuthenticator(), func(o *agent.Options) {
			o.OnChange = func(string) {
				st, err := a.Status(context.Background())
				states = append(states, st.Environments[0].State)
				if err != nil {
					t.Error(err)
				}
			}
		})
		agenttest.Login(t, a, "prod")
		if err := a.Logout(context.Background(), agent.LogoutRequest{Environment: "prod"}); err != nil {
			t.Fatal(err)
		}
		if want := []agent.State{agent.StateFresh, agent.StateIdle}; !slices.Equal(states, want) {
			t.Errorf("states %s, want %s", states, want)
		}
	})
}
