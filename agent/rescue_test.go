package agent_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
)

// markers are Markers in memory.
type markers struct {
	mu    sync.Mutex
	begun map[string]time.Time
}

func (m *markers) Begin(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.begun == nil {
		m.begun = make(map[string]time.Time)
	}
	m.begun[name] = time.Now()
}

func (m *markers) End(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.begun, name)
}

func (m *markers) Begun(name string) (time.Time, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.begun[name]
	return at, ok
}

func (m *markers) Flush() {}

// withMarkers runs body like inBubble, with markers that outlive a restart.
func withMarkers(t *testing.T, rules func(*agenttest.Rules), body func(f *fixture, m *markers)) {
	m := new(markers)
	inBubble(t, rules, func(f *fixture) {
		f.markers = m
		f.restart()
		body(f, m)
	})
}

func graceRules(r *agenttest.Rules) { r.Rotate, r.Grace = true, time.Minute }

func TestMarkerDuringARefresh(t *testing.T) {
	withMarkers(t, graceRules, func(f *fixture, m *markers) {
		f.slowly(time.Second)
		if at, ok := m.Begun("prod"); !ok || !at.Equal(time.Now()) {
			t.Errorf("no marker in the middle of a refresh: %s, %t", at, ok)
		}
		time.Sleep(2 * time.Second)
		if _, ok := m.Begun("prod"); ok {
			t.Error("a marker after the refresh")
		}
		f.store.set(func(s *flakyStore) { s.put = errors.New("disk full") })
		time.Sleep(2 * time.Hour)
		f.must()
		if _, ok := m.Begun("prod"); !ok {
			t.Error("the marker is gone before the new refresh token is stored")
		}
		f.store.set(func(s *flakyStore) { s.put = nil })
		time.Sleep(10 * time.Minute)
		if _, ok := m.Begun("prod"); ok {
			t.Error("a marker after the refresh token was stored")
		}
	})
}

func TestNoMarkerWithoutRotation(t *testing.T) {
	withMarkers(t, func(r *agenttest.Rules) { r.RefreshAPI = "initiate-auth" }, func(f *fixture, m *markers) {
		time.Sleep(2 * time.Hour)
		f.must()
		f.slowly(time.Second)
		if _, ok := m.Begun("prod"); ok {
			t.Error("a marker for a refresh that rotates nothing")
		}
	})
}

// TestKilledInARefresh kills an agent in mid-refresh. The next one finds the marker, and
// refreshes although nobody asks.
func TestKilledInARefresh(t *testing.T) {
	withMarkers(t, graceRules, func(f *fixture, m *markers) {
		hold := make(chan struct{})
		f.p.Set(func(r *agenttest.Rules) {
			r.Processed = true
			r.Refresh = func(context.Context, int) error { <-hold; return agenttest.Lost("prod", "killed") }
		})
		killed := f.a
		time.Sleep(2 * time.Hour)
		go func() { _, _ = f.ask() }()
		synctest.Wait()
		began, ok := m.Begun("prod")
		if !ok {
			t.Fatal("no marker")
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		go func() { _ = killed.Close(ctx) }()
		synctest.Wait()
		close(hold)
		synctest.Wait()
		f.p.Set(func(r *agenttest.Rules) { r.Refresh, r.Processed = nil, false })

		m.begun = map[string]time.Time{"prod": began}
		calls := f.p.Refreshes()
		f.start()
		time.Sleep(5*time.Second - time.Millisecond)
		synctest.Wait()
		if n := f.p.Refreshes() - calls; n != 0 {
			t.Fatalf("%d refreshes while the call of the killed agent may go on", n)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if n := f.p.Refreshes() - calls; n != 1 {
			t.Fatalf("%d refreshes 5 s after the start, want 1 without demand", n)
		}
		time.Sleep(65 * time.Second)
		f.must()
		if n := f.p.Refreshes() - calls; n != 1 {
			t.Errorf("%d refreshes", n)
		}
	})
}

// TestCallOfAKilledAgentGoesOn kills an agent in mid-refresh, and the provider processes that
// call when the next agent is there already. If the next agent's call came first, its refresh
// token would be replaced by the one that nobody gets.
func TestCallOfAKilledAgentGoesOn(t *testing.T) {
	for name, c := range map[string]struct {
		takes time.Duration // at the provider
		then  func(f *fixture)
	}{
		"nobody asks":        {4 * time.Second, func(*fixture) { time.Sleep(65 * time.Second) }},
		"a request at once":  {2 * time.Second, func(f *fixture) { f.must() }},
		"requests all along": {2 * time.Second, func(f *fixture) { f.must(); time.Sleep(time.Second); f.must() }},
		"a stop at once":     {2 * time.Second, func(f *fixture) { f.restart(); time.Sleep(65 * time.Second) }},
		"a reload at once":   {2 * time.Second, func(f *fixture) { f.configure(func(*agent.Environment) {}); f.must() }},
		"a login at once":    {2 * time.Second, func(f *fixture) { agenttest.Login(f.t, f.a, "prod") }},
	} {
		t.Run(name, func(t *testing.T) {
			withMarkers(t, graceRules, func(f *fixture, m *markers) {
				f.p.Set(func(r *agenttest.Rules) {
					r.Processed = true
					r.Refresh = func(context.Context, int) error { time.Sleep(c.takes); return agenttest.Lost("prod", "killed") }
				})
				time.Sleep(2 * time.Hour)
				go func() { _, _ = f.ask() }()
				synctest.Wait()
				began, _ := m.Begun("prod")
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				go func(killed *agent.Agent) { _ = killed.Close(ctx) }(f.a)
				time.Sleep(100 * time.Millisecond)
				f.p.Set(func(r *agenttest.Rules) { r.Refresh, r.Processed = nil, false })
				m.begun = map[string]time.Time{"prod": began}
				f.start()
				c.then(f)
				time.Sleep(2 * time.Hour)
				f.must()
			})
		})
	}
}

func TestOldMarker(t *testing.T) {
	withMarkers(t, graceRules, func(f *fixture, m *markers) {
		m.begun = map[string]time.Time{"prod": time.Now().Add(-2 * time.Minute), "staging": time.Now()}
		f.restart()
		time.Sleep(time.Hour)
		f.refreshes(0) // for prod it is too late, for staging there is nothing to refresh
	})
}

// TestMarkerAndANetworkThatComesLater starts an agent with a young marker before the network
// is there, as a boot does.
func TestMarkerAndANetworkThatComesLater(t *testing.T) {
	withMarkers(t, graceRules, func(f *fixture, m *markers) {
		f.p.Set(func(r *agenttest.Rules) {
			r.Refresh = func(context.Context, int) error { return agenttest.Unavailable("prod", "no network") }
		})
		m.begun = map[string]time.Time{"prod": time.Now()}
		f.restart()
		time.Sleep(40 * time.Second)
		f.p.Set(func(r *agenttest.Rules) { r.Refresh = nil })
		time.Sleep(10 * time.Second)
		f.state(agent.StateFresh)
	})
}

// TestLostAnswer loses the answer to a refresh that rotated. The agent gets through again
// within the grace period, although nobody asks.
func TestLostAnswer(t *testing.T) {
	withMarkers(t, graceRules, func(f *fixture, _ *markers) {
		f.p.Set(func(r *agenttest.Rules) {
			r.Processed = true
			r.Refresh = func(context.Context, int) error { return agenttest.Lost("prod", "connection reset") }
		})
		time.Sleep(2 * time.Hour)
		if _, err := f.ask(); !errors.Is(err, agent.CodeUnavailable) {
			t.Fatal(err)
		}
		f.p.Set(func(r *agenttest.Rules) {
			r.Processed = false
			r.Refresh = func(context.Context, int) error { return agenttest.Unavailable("prod", "no network") }
		})
		time.Sleep(45 * time.Second)
		f.p.Set(func(r *agenttest.Rules) { r.Refresh = nil })
		time.Sleep(time.Hour)
		f.must()
	})
}

// TestRefusalAfterAKill checks that a refusal which the end of an earlier agent explains says
// so, and blames nobody else. In one process that is up to the Authenticator.
func TestRefusalAfterAKill(t *testing.T) {
	withMarkers(t, graceRules, func(f *fixture, m *markers) {
		f.p.EndAll()
		m.begun = map[string]time.Time{"prod": time.Now().Add(-2 * time.Minute)}
		f.restart()
		_, err := f.ask()
		if !errors.Is(err, agent.CodeLoginRequired) || !strings.Contains(err.Error(), "the agent ended during the refresh of") ||
			!strings.Contains(err.Error(), "kyc-agentd login prod") {
			t.Error(err)
		}
		if _, ok := m.Begun("prod"); ok {
			t.Error("the marker is left")
		}
		agenttest.Login(t, f.a, "prod")
		f.p.EndAll()
		time.Sleep(2 * time.Hour)
		if _, err := f.ask(); !errors.Is(err, agent.CodeLoginRequired) || strings.Contains(err.Error(), "ended during") {
			t.Error(err)
		}
	})
}

// TestAnsweredFailuresArePacedWhenAsked counts the calls to a provider that answers with an
// internal error while four requests a second come.
func TestAnsweredFailuresArePacedWhenAsked(t *testing.T) {
	for name, c := range map[string]struct {
		fail error
		max  int
	}{"500": {agenttest.Internal("prod"), 14}, "no network": {agenttest.Unavailable("prod", "no route"), 75}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(f *fixture) {
				f.restart()
				f.p.Set(func(r *agenttest.Rules) { r.Refresh = func(context.Context, int) error { return c.fail } })
				for range 4 * 120 {
					if _, err := f.ask(); !errors.Is(err, agent.CodeUnavailable) {
						t.Fatal(err)
					}
					time.Sleep(250 * time.Millisecond)
				}
				n := f.p.Refreshes()
				if n > c.max {
					t.Errorf("%d calls in 120 s, want at most %d", n, c.max)
				}
				f.p.Set(func(r *agenttest.Rules) { r.Refresh = nil })
				time.Sleep(5 * time.Minute)
				f.must()
			})
		})
	}
}
