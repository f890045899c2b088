package agent_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
)

// The events that move a session, each run to its end.
var events = map[string]func(f *fixture){
	"ask":      func(f *fixture) { _, _ = f.ask() },
	"login":    func(f *fixture) { agenttest.Login(f.t, f.a, "prod") },
	"logout":   func(f *fixture) { _ = f.a.Logout(context.Background(), agent.LogoutRequest{Environment: "prod"}) },
	"expire":   func(*fixture) { time.Sleep(25 * time.Hour) },
	"restart":  func(f *fixture) { f.restart() },
	"revoke":   func(f *fixture) { f.p.EndAll() },
	"disk out": func(f *fixture) { f.store.set(func(s *flakyStore) { s.put = errors.New("disk full") }) },
	"disk in":  func(f *fixture) { f.store.set(func(s *flakyStore) { s.put = nil }); time.Sleep(5 * time.Minute) },
	"list out": func(f *fixture) { f.store.set(func(s *flakyStore) { s.keys = errors.New("silent") }) },
	"net out": func(f *fixture) {
		f.p.Set(func(r *agenttest.Rules) {
			r.Refresh = func(context.Context, int) error { return agenttest.Unavailable("prod", "down") }
		})
	},
	"net in": func(f *fixture) { f.p.Set(func(r *agenttest.Rules) { r.Refresh = nil }); time.Sleep(5 * time.Minute) },
	"net slow": func(f *fixture) {
		f.p.Set(func(r *agenttest.Rules) { r.Latency = 5 * time.Second })
		go func() { _, _ = f.ask() }()
		synctest.Wait()
	},
	"wait": func(*fixture) { time.Sleep(6 * time.Second) },
}

// TestStates walks through the state table of the package comment. A step is an
// event and the state that follows; every walk begins after a sign-in, fresh.
func TestStates(t *testing.T) {
	type step struct {
		event string
		state agent.State
	}
	for name, walk := range map[string][]step{
		"expires, refreshes":       {{"expire", agent.StateIdle}, {"ask", agent.StateFresh}},
		"stays fresh":              {{"ask", agent.StateFresh}, {"login", agent.StateFresh}},
		"in flight":                {{"expire", agent.StateIdle}, {"net slow", agent.StateRefreshing}, {"wait", agent.StateFresh}},
		"signs out":                {{"logout", agent.StateAbsent}, {"ask", agent.StateAbsent}, {"login", agent.StateFresh}},
		"starts signed out":        {{"logout", agent.StateAbsent}, {"restart", agent.StateAbsent}, {"ask", agent.StateAbsent}},
		"starts idle":              {{"restart", agent.StateIdle}, {"ask", agent.StateFresh}},
		"starts unlisted":          {{"list out", agent.StateFresh}, {"restart", agent.StateUnknown}, {"ask", agent.StateFresh}},
		"starts unlisted and out":  {{"logout", agent.StateAbsent}, {"list out", agent.StateAbsent}, {"restart", agent.StateUnknown}, {"ask", agent.StateAbsent}},
		"refused":                  {{"revoke", agent.StateFresh}, {"expire", agent.StateIdle}, {"ask", agent.StateRejected}, {"ask", agent.StateRejected}, {"login", agent.StateFresh}},
		"refused, signs out":       {{"revoke", agent.StateFresh}, {"expire", agent.StateIdle}, {"ask", agent.StateRejected}, {"logout", agent.StateAbsent}},
		"refused, starts again":    {{"revoke", agent.StateFresh}, {"expire", agent.StateIdle}, {"ask", agent.StateRejected}, {"restart", agent.StateIdle}, {"ask", agent.StateRejected}},
		"unsaved":                  {{"disk out", agent.StateFresh}, {"expire", agent.StateIdle}, {"ask", agent.StateUnsaved}, {"disk in", agent.StateFresh}},
		"unsaved, then dead":       {{"disk out", agent.StateFresh}, {"expire", agent.StateIdle}, {"ask", agent.StateUnsaved}, {"expire", agent.StateUnsaved}, {"ask", agent.StateUnsaved}},
		"unsaved sign-in":          {{"disk out", agent.StateFresh}, {"login", agent.StateUnsaved}, {"disk in", agent.StateFresh}},
		"unsaved, signs out":       {{"disk out", agent.StateFresh}, {"login", agent.StateUnsaved}, {"logout", agent.StateAbsent}},
		"unsaved, refused":         {{"disk out", agent.StateFresh}, {"login", agent.StateUnsaved}, {"revoke", agent.StateUnsaved}, {"expire", agent.StateUnsaved}, {"ask", agent.StateRejected}},
		"provider away":            {{"net out", agent.StateFresh}, {"expire", agent.StateIdle}, {"ask", agent.StateIdle}, {"net in", agent.StateFresh}},
		"provider away, signs out": {{"net out", agent.StateFresh}, {"expire", agent.StateIdle}, {"ask", agent.StateIdle}, {"logout", agent.StateAbsent}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *agenttest.Rules) { r.Rotate = true }, func(f *fixture) {
				f.state(agent.StateFresh)
				for i, step := range walk {
					events[step.event](f)
					synctest.Wait()
					if got := f.status(); got.State != step.state {
						f.t.Fatalf("step %d: after %q the state is %s (%s), want %s", i+1, step.event, got.State, got.LastError, step.state)
					}
				}
			})
		})
	}
}

func BenchmarkCachedToken(b *testing.B) {
	a := agenttest.NewAgent(b, agenttest.NewAuthenticator())
	agenttest.Login(b, a, "prod")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := a.Token(context.Background(), agent.TokenRequest{Environment: "prod"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
