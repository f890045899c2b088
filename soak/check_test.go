package main

import (
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/soak/fakecognito"
)

// The histories of these tests begin at zero; at is a time in them, in seconds.
var zero = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(seconds float64) time.Time { return zero.Add(time.Duration(seconds * float64(time.Second))) }

// rotated is a call that exchanged refresh token 1 for 2, from 10.0 to 10.2.
func rotated(change func(*fakecognito.Call)) fakecognito.Call {
	c := fakecognito.Call{
		Op: fakecognito.Refresh, Family: 1, Presented: 1, Issued: 2, Status: 200, Delivered: true,
		Begun: at(10), Processed: at(10.1), Ended: at(10.2),
	}
	if change != nil {
		change(&c)
	}
	return c
}

// refused is the refusal of refresh token 1.
func refused(begun float64) fakecognito.Call { return refusedOf(1, begun) }

func refusedOf(generation int, begun float64) fakecognito.Call {
	return fakecognito.Call{
		Op: fakecognito.Refresh, Family: 1, Presented: generation, Status: 400, Code: "RefreshTokenReuseException", Delivered: true,
		Begun: at(begun), Processed: at(begun), Ended: at(begun),
	}
}

func lost(c *fakecognito.Call) { c.Delivered, c.Status, c.Fault = false, 0, faultLost }

// overtaking makes it a call that was processed after another one had issued token 2.
func overtaking(c *fakecognito.Call) { c.Delivered, c.Status, c.Issued = false, 0, 3 }

func killedAt(seconds float64) event { return event{kind: killed, at: at(seconds), until: at(seconds)} }

// A loss is documented only if the calls show what the table says.
func TestDocumentedLosses(t *testing.T) {
	full := event{kind: storeFailed, at: at(9), until: at(20)}
	restarted := event{kind: started, at: at(12), until: at(12)}
	for _, tt := range []struct {
		name   string
		grace  time.Duration
		events []event
		calls  []fakecognito.Call
		want   string // begins the entry; empty: none
	}{
		{"killed in the call", 0, []event{killedAt(10.05)}, []fakecognito.Call{rotated(nil), refused(12)}, "killed in the call, no grace"},
		{"killed before the save", 0, []event{killedAt(10.3)}, []fakecognito.Call{rotated(nil), refused(12)}, "killed in the call, no grace"},
		{"killed before the call", 0, []event{killedAt(9.9)}, []fakecognito.Call{rotated(nil), refused(12)}, ""},
		{"killed after the save", 0, []event{killedAt(11)}, []fakecognito.Call{rotated(nil), refused(12)}, ""},
		{"killed in the call, within the grace period", time.Minute, []event{killedAt(10.05)}, []fakecognito.Call{rotated(nil), refused(12)}, ""},
		{"killed in the call, asked too late", time.Minute, []event{killedAt(10.05)}, []fakecognito.Call{rotated(nil), refused(75)}, ""},
		{"answer lost", 0, nil, []fakecognito.Call{rotated(lost), refused(11)}, "answer lost, no grace"},
		{"overtaken", time.Minute, []event{killedAt(10.05)}, []fakecognito.Call{rotated(overtaking), refusedOf(2, 12)}, ""},
		{"answer lost, within the grace period", time.Minute, nil, []fakecognito.Call{rotated(lost), refused(11)}, ""},
		{"answer lost, away for longer", time.Minute, nil, []fakecognito.Call{rotated(lost), refused(75)}, "answer lost, Cognito not reached"},
		{"nothing happened", 0, nil, []fakecognito.Call{rotated(nil), refused(12)}, ""},
		{"the refused token was never exchanged", 0, []event{killedAt(11)}, []fakecognito.Call{refused(12)}, ""},
		{"another token was", 0, []event{killedAt(10.05)}, []fakecognito.Call{rotated(func(c *fakecognito.Call) { c.Presented = 7 }), refused(12)}, ""},
		{"of another sign-in", 0, []event{killedAt(10.05)}, []fakecognito.Call{rotated(func(c *fakecognito.Call) { c.Family = 7 }), refused(12)}, ""},
		{"killed on a full disk", 0, []event{full, killedAt(11)}, []fakecognito.Call{rotated(nil), refused(12)}, "killed while unsaved"},
		{"killed on a full disk, within the grace period", time.Minute, []event{full, killedAt(11)}, []fakecognito.Call{rotated(nil), refused(12)}, ""},
		{"killed when there was space again", 0, []event{full, killedAt(21)}, []fakecognito.Call{rotated(nil), refused(22)}, ""},
		{"no sign-in without a reason", time.Minute, []event{restarted}, nil, ""},
		{"killed in another environment's words", 0, []event{{kind: killed, env: "prod", at: at(10.05)}}, []fakecognito.Call{rotated(nil), refused(12)}, ""},
	} {
		e := evidence{env: "staging", grace: tt.grace, life: tokenLife, events: tt.events, calls: tt.calls}
		d, l, ok := documented(e, at(5), at(100))
		if ok != (tt.want != "") || !strings.HasPrefix(d.name, tt.want) {
			t.Errorf("%s: got %q, want %q; %s", tt.name, d.name, tt.want, l)
		}
	}
}

func good(op string, begun float64) fakecognito.Call {
	return fakecognito.Call{Op: op, Status: 200, Delivered: true, Begun: at(begun), Ended: at(begun + 0.02), Issued: 2}
}

func TestNeedless(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events []event
		calls  []fakecognito.Call
		want   bool
	}{
		{"when it is old", nil, []fakecognito.Call{good(fakecognito.Refresh, 1), good(fakecognito.Refresh, 16.1)}, false},
		{"too early", nil, []fakecognito.Call{good(fakecognito.Refresh, 1), good(fakecognito.Refresh, 14)}, true},
		{"too early after a sign-in", nil, []fakecognito.Call{good(fakecognito.Login, 1), good(fakecognito.Refresh, 14)}, true},
		{"in an earlier phase", nil, []fakecognito.Call{good(fakecognito.Refresh, -9), good(fakecognito.Refresh, -5)}, false},
		{"asked for", []event{{kind: asked, env: "staging", at: at(13)}}, []fakecognito.Call{good(fakecognito.Refresh, 1), good(fakecognito.Refresh, 14)}, false},
		{"asked for once", []event{{kind: asked, env: "staging", at: at(13)}}, []fakecognito.Call{
			good(fakecognito.Refresh, 1), good(fakecognito.Refresh, 14), good(fakecognito.Refresh, 15),
		}, true},
		{"asked for elsewhere", []event{{kind: asked, env: "prod", at: at(13)}}, []fakecognito.Call{good(fakecognito.Refresh, 1), good(fakecognito.Refresh, 14)}, true},
		{"after a start", []event{{kind: started, at: at(13)}}, []fakecognito.Call{good(fakecognito.Refresh, 1), good(fakecognito.Refresh, 14)}, false},
		{"after one that failed", nil, []fakecognito.Call{good(fakecognito.Refresh, 1), rotated(lost), good(fakecognito.Refresh, 16.1)}, false},
	} {
		err := needless(evidence{env: "staging", life: tokenLife, events: tt.events, calls: tt.calls}, at(0))
		if (err != nil) != tt.want {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestFailedCalls(t *testing.T) {
	e := &environment{name: "staging"}
	v := evidence{env: "staging", life: tokenLife}
	for n := range 30 {
		v.calls = append(v.calls, fakecognito.Call{Op: fakecognito.Refresh, Begun: at(float64(n) / 3)})
	}
	p := &phase{env: e, begun: at(-1), healed: at(10), since: at(0)}
	for _, tt := range []struct {
		fault string
		calls int
		want  bool
	}{{"", 2, false}, {"", 3, true}, {fault500, 14, false}, {fault500, 15, true}, {faultThrottle, 6, false}, {faultThrottle, 7, true}} {
		p.fault = tt.fault
		some := v
		some.calls = v.calls[:tt.calls]
		if err := checkFailedCalls(some, p, e); (err != nil) != tt.want {
			t.Errorf("%d calls with fault %q: %v", tt.calls, tt.fault, err)
		}
	}
}

// An answer needs a reason of its environment, for its exit code, while its client waits.
func TestCheckAnswers(t *testing.T) {
	now := time.Now()
	while := event{env: "staging", at: now, until: now.Add(5 * time.Second)}
	s := &soak{excuses: []*excuse{{event: while, codes: []int{exitTemporary}}, {event: while, codes: []int{exitConfig}, young: true, text: "portal"}}}
	for _, tt := range []struct {
		name string
		a    answer
		want string
	}{
		{"a token", answer{env: "prod", begun: now}, ""},
		{"a reason", answer{env: "staging", begun: now.Add(time.Second), exit: exitTemporary}, ""},
		{"it begins meanwhile", answer{env: "staging", begun: now.Add(-time.Second), took: 2 * time.Second, exit: exitTemporary}, ""},
		{"before it", answer{env: "staging", begun: now.Add(-time.Second), exit: exitTemporary}, "without a reason"},
		{"after it", answer{env: "staging", begun: now.Add(6 * time.Second), exit: exitTemporary}, "without a reason"},
		{"another environment", answer{env: "prod", begun: now, exit: exitTemporary}, "without a reason"},
		{"another code", answer{env: "staging", begun: now, exit: exitDenied}, "without a reason"},
		{"a bad token", answer{env: "staging", begun: now, exit: exitInternal, text: "a token of no use: it expired"}, "it expired"},
		{"for a young token", answer{env: "staging", client: "forced", begun: now, exit: exitConfig, text: "a portal"}, ""},
		{"with other words", answer{env: "staging", client: "forced", begun: now, exit: exitConfig}, "without a reason"},
		{"for any token", answer{env: "staging", client: "socket", begun: now, exit: exitConfig, text: "a portal"}, "without a reason"},
		{"in vain", answer{env: "staging", client: "proof", begun: now.Add(6 * time.Second), exit: exitTemporary}, ""},
		{"late", answer{env: "staging", begun: now, took: 9 * time.Second}, "waited 9s"},
		{"late in vain", answer{env: "staging", client: "proof", begun: now, took: 9 * time.Second}, "waited 9s"},
	} {
		err := s.checkAnswers([]answer{tt.a})
		if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestUsage(t *testing.T) {
	ok := usage{rssMB: 22, fds: 14, threads: 9}
	if err := ok.check(0); err != nil {
		t.Error(err)
	}
	for _, u := range []usage{{rssMB: 60, fds: 14, threads: 9}, {rssMB: 22, fds: 60, threads: 9}, {rssMB: 22, fds: 14, threads: 60}, {rssMB: 22, fds: 14, threads: 9, waiting: 1}} {
		if u.check(0) == nil {
			t.Errorf("%s passes", u)
		}
	}
	s := newStats()
	for n := range 6 {
		s.usage(zero, usage{rssMB: 20 + 3*float64(n)})
	}
	if err := s.growth(zero); err != nil {
		t.Errorf("from the 4th to the 6th: %v", err)
	}
	s.usage(zero, usage{rssMB: 38})
	if s.growth(zero) == nil {
		t.Error("growth from 29 to 38 MB passes")
	}
	if err := s.growth(at(1)); err != nil {
		t.Errorf("another process: %v", err)
	}
}
