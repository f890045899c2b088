package approval

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/peer"
)

// A program is an Asker. Its leader runs until ended is true.
type program struct {
	facts peer.Facts
	err   error
	ended *bool
}

func (p program) Facts() (peer.Facts, error) { return p.facts, p.err }

func (p program) PinLeader() (Leader, error) {
	if *p.ended {
		return nil, peer.ErrEnded
	}
	return leader{p.ended}, nil
}

type leader struct{ ended *bool }

func (l leader) Alive() bool { return !*l.ended }
func (leader) Close()        {}

var loginScope = peer.Unit{Name: "session-3.scope"}

// terminal returns a program in the session of a terminal whose shell has the number pid.
func terminal(pid int) program {
	return program{ended: new(bool), facts: peer.Facts{
		Process: peer.Process{PID: pid + 1, Start: 7, Exe: "/usr/bin/kyc-token"}, Unit: loginScope,
		Leader: peer.Process{PID: pid, Start: 5, Exe: "/usr/bin/bash", TTY: "pts/1"}, LeaderUnit: loginScope,
	}}
}

func inUnit(u peer.Unit) program {
	return program{ended: new(bool), facts: peer.Facts{Process: peer.Process{PID: 9}, Unit: u, Leader: peer.Process{PID: 8, Start: 8, Comm: "nightly.sh"}, LeaderUnit: u}}
}

var token = Use{Environment: "prod", Kind: KindToken}

// now checks without waiting.
func now(a *Approvals, p Asker, use Use) (string, error) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return a.Check(ctx, p, use)
}

// ask has p ask, and returns the code.
func ask(t *testing.T, a *Approvals, p Asker, use Use) string {
	t.Helper()
	_, err := now(a, p, use)
	if !errors.Is(err, agent.CodeApprovalRequired) {
		t.Fatalf("got %v", err)
	}
	_, code, ok := strings.Cut(err.Error(), "approve with: kyc-agentd approve ")
	if !ok {
		t.Fatal(err)
	}
	return code
}

func approve(t *testing.T, a *Approvals, code string, terms Terms) {
	t.Helper()
	if _, err := a.Approve(code, terms); err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, a *Approvals, p Asker, use Use, what string) {
	t.Helper()
	if id, err := now(a, p, use); id != "" || agent.CodeOf(err) != agent.CodeApprovalRequired {
		t.Errorf("%s: %q, %v", what, id, err)
	}
}

func allowed(t *testing.T, a *Approvals, p Asker, use Use, what string) {
	t.Helper()
	if id, err := now(a, p, use); id == "" || err != nil {
		t.Errorf("%s: %q, %v", what, id, err)
	}
}

// An approval is for one session, environment, socket and kind, and for its time.
func TestGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(Options{})
		p := terminal(100)
		code := ask(t, a, p, token)
		if again := ask(t, a, p, token); again != code {
			t.Errorf("another code for the same: %s, %s", code, again)
		}
		approve(t, a, strings.ToLower(code)+" ", Terms{})
		child := p
		child.facts.Process.PID = 999
		allowed(t, a, child, token, "another process of the session")
		refused(t, a, terminal(200), token, "another terminal")
		refused(t, a, p, Use{Environment: "staging", Kind: KindToken}, "another environment")
		refused(t, a, p, Use{Environment: "prod", Kind: KindToken, Socket: "ai"}, "another socket")
		refused(t, a, p, Use{Environment: "prod", Kind: KindAWS}, "another kind")
		reused := terminal(100)
		reused.facts.Leader.Start++
		refused(t, a, reused, token, "a later session with the number")
		time.Sleep(DefaultFor - time.Second)
		allowed(t, a, p, token, "before the end")
		time.Sleep(time.Second)
		refused(t, a, p, token, "after the end")
	})
}

// A grant ends with the session leader, whatever has its number afterwards.
func TestGrantEndsWithItsLeader(t *testing.T) {
	a := New(Options{})
	p := terminal(100)
	approve(t, a, ask(t, a, p, token), Terms{})
	allowed(t, a, p, token, "while it runs")
	*p.ended = true
	other := terminal(100) // with the same number and start time
	refused(t, a, other, token, "another process with its number")
	if l := a.List(); len(l.Granted) != 0 {
		t.Errorf("it is still listed: %+v", l.Granted)
	}
}

// A request waits until its own deadline, and goes on when it is approved meanwhile.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(Options{})
		type result struct {
			id  string
			err error
		}
		results := make(chan result)
		for range 3 {
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
				defer cancel()
				id, err := a.Check(ctx, terminal(100), token)
				results <- result{id, err}
			}()
		}
		time.Sleep(3 * time.Second)
		l := a.List()
		if len(l.Pending) != 1 {
			t.Fatalf("%+v", l.Pending)
		}
		approve(t, a, l.Pending[0].ID, Terms{})
		for range 3 {
			if r := <-results; r.err != nil || r.id != l.Pending[0].ID {
				t.Errorf("%+v", r)
			}
		}
	})
}

// After two requests that nobody answered, those of that session are refused at once and not
// announced. Those of another one are not.
func TestQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		announced := 0
		a := New(Options{Announce: func(Request) { announced++ }})
		waits := func(p program, use Use) time.Duration {
			ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
			defer cancel()
			began := time.Now()
			if _, err := a.Check(ctx, p, use); !errors.Is(err, agent.CodeApprovalRequired) {
				t.Error(err)
			}
			return time.Since(began)
		}
		p := terminal(100)
		for i, want := range []time.Duration{7 * time.Second, 7 * time.Second, 0, 0} {
			use := Use{Environment: fmt.Sprint("e", i), Kind: KindToken}
			if got := waits(p, use); got != want {
				t.Errorf("request %d waits %s, want %s", i+1, got, want)
			}
		}
		if announced != 2 {
			t.Errorf("%d were announced", announced)
		}
		if got := waits(terminal(200), token); got != 7*time.Second || announced != 3 {
			t.Errorf("another session waits %s, %d were announced", got, announced)
		}
		approve(t, a, ask(t, a, p, Use{Environment: "e3", Kind: KindToken}), Terms{})
		if got := waits(p, Use{Environment: "e9", Kind: KindToken}); got != 7*time.Second {
			t.Errorf("after an answer it waits %s", got)
		}
		time.Sleep(quietFor)
		if got := waits(p, token); got != 7*time.Second {
			t.Errorf("an hour later it waits %s", got)
		}
	})
}

func TestAnswersThatAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(Options{})
		expect := func(code, want string, err error) {
			t.Helper()
			if agent.CodeOf(err) != agent.CodeUsage || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", code, err, want)
			}
		}
		for _, code := range []string{"AAAA", "", "../x", "\x1b[2J", strings.Repeat("A", 500)} {
			_, err := a.Approve(code, Terms{})
			expect(code, "no request has the code", err)
			if len(err.Error()) > 100 || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("%q", err)
			}
		}
		p := terminal(100)
		code := ask(t, a, p, token)
		for _, life := range []time.Duration{time.Millisecond, -time.Hour, MaxFor + 1} {
			_, err := a.Approve(code, Terms{For: life})
			expect(code, "is not from 1s to 24h", err)
		}
		_, err := a.Approve(code, Terms{Any: true})
		expect(code, "methods and paths are about requests to the API", err)
		approve(t, a, code, Terms{})
		_, err = a.Approve(code, Terms{})
		expect(code, "approved already; each code is good once", err)

		ended := terminal(300)
		code = ask(t, a, ended, token)
		*ended.ended = true
		_, err = a.Approve(code, Terms{})
		expect(code, "the session that asked for "+code+" has ended", err)

		job := inUnit(peer.Unit{Name: "nightly.service"})
		code = ask(t, a, job, Use{Environment: "prod", Kind: KindAWS, Socket: "ai"})
		*job.ended = true
		_, err = a.Approve(code, Terms{})
		expect(code, "has ended; for each run of its unit: kyc-agentd approve --unit nightly.service --for 30d --env prod --system --kind aws --on ai", err)

		late := ask(t, a, terminal(400), token)
		time.Sleep(pendingFor)
		_, err = a.Approve(late, Terms{})
		expect(late, late+" has expired", err)
	})
}

// A request that was denied is not asked again for as long as it would have waited.
func TestDeny(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(Options{})
		p := terminal(100)
		done := make(chan error)
		go func() {
			_, err := a.Check(t.Context(), p, token)
			done <- err
		}()
		synctest.Wait()
		if err := a.Deny(a.List().Pending[0].ID); err != nil {
			t.Fatal(err)
		}
		if err := <-done; agent.CodeOf(err) != agent.CodeDenied {
			t.Errorf("the one that waits: %v", err)
		}
		if _, err := now(a, p, token); agent.CodeOf(err) != agent.CodeDenied || len(a.List().Pending) != 0 {
			t.Errorf("the next one: %v", err)
		}
		time.Sleep(pendingFor)
		refused(t, a, p, token, "later")
	})
}

func TestRevoke(t *testing.T) {
	a := New(Options{Dir: t.TempDir()})
	p := terminal(100)
	code := ask(t, a, p, token)
	approve(t, a, code, Terms{})
	if err := a.Revoke(strings.ToLower(code)); err != nil {
		t.Fatal(err)
	}
	refused(t, a, p, token, "after revoke")
	if err := a.Revoke(code); agent.CodeOf(err) != agent.CodeUsage {
		t.Errorf("again: %v", err)
	}
	if n, err := a.RevokeAll(); n != 1 || err != nil { // the request that was just made
		t.Errorf("all: %d, %v", n, err)
	}
	if l := a.List(); len(l.Granted)+len(l.Pending) != 0 {
		t.Errorf("%+v", l)
	}
}

// Who is asked about: which sessions and units a grant can be for.
func TestSubjectOf(t *testing.T) {
	nightly := peer.Unit{Name: "nightly.service", User: true}
	shell := peer.Process{PID: 100, Start: 5, Exe: "/usr/bin/bash", TTY: "pts/1"}
	daemon := peer.Process{PID: 100, Start: 5, Comm: "gnome-shell"}
	session := Subject{Kind: SubjectSession, PID: 100, Start: 5, Name: "/usr/bin/bash", TTY: "pts/1"}
	for _, test := range []struct {
		name       string
		leader     peer.Process
		leaderUnit peer.Unit
		unit       peer.Unit
		want       Subject
	}{
		{"a terminal", shell, loginScope, loginScope, session},
		{"a scope started in it", shell, loginScope, peer.Unit{Name: "run-r1.scope", User: true}, session},
		{"a container with a terminal", shell, peer.Unit{}, peer.Unit{}, session},
		{"a shell that is the first process", peer.Process{PID: 1, Start: 5, Exe: "/usr/bin/bash", TTY: "pts/1"}, peer.Unit{}, peer.Unit{}, Subject{Kind: SubjectSession, PID: 1, Start: 5, Name: "/usr/bin/bash", TTY: "pts/1"}},
		{"the main process of a service", peer.Process{PID: 100, Start: 5, Comm: "nightly.sh"}, nightly, nightly, Subject{Kind: SubjectSession, PID: 100, Start: 5, Name: "nightly.sh"}},
		{"an app of a desktop", daemon, peer.Unit{Name: "org.gnome.Shell.service", User: true}, peer.Unit{Name: "app-code-1.scope", User: true}, Subject{Kind: SubjectUnit, Unit: peer.Unit{Name: "app-code-1.scope", User: true}}},
		{"a service led by the manager", peer.Process{PID: 50, Start: 1, Comm: "systemd"}, peer.Unit{Name: "init.scope", User: true}, nightly, Subject{Kind: SubjectUnit, Unit: nightly}},
		{"a service whose leader has ended", peer.Process{}, peer.Unit{}, nightly, Subject{Kind: SubjectUnit, Unit: nightly}},
		{"a login whose leader has ended", peer.Process{}, peer.Unit{}, loginScope, Subject{}},
		{"a login led by something without a terminal", daemon, peer.Unit{Name: "x.service"}, loginScope, Subject{}},
		{"the first process of a container", peer.Process{PID: 1, Start: 1, Comm: "init"}, peer.Unit{}, peer.Unit{}, Subject{}},
		{"the user's manager", peer.Process{PID: 50, Start: 1, Comm: "systemd"}, peer.Unit{Name: "init.scope", User: true}, peer.Unit{Name: "init.scope", User: true}, Subject{}},
		{"no unit of the manager", peer.Process{}, peer.Unit{}, peer.Unit{Name: "user@1000.service"}, Subject{}},
		{"nothing", peer.Process{}, peer.Unit{}, peer.Unit{}, Subject{}},
	} {
		got := subjectOf(peer.Facts{Leader: test.leader, LeaderUnit: test.leaderUnit, Unit: test.unit})
		if got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// A program that cannot be told apart, or has no leader, gets nothing.
func TestNobodyToApprove(t *testing.T) {
	a := New(Options{})
	orphan := terminal(100)
	orphan.facts.Leader = peer.Process{}
	refused(t, a, orphan, token, "a session without a leader")
	for _, err := range []error{errors.ErrUnsupported, peer.ErrEnded} {
		refused(t, a, program{err: err}, token, err.Error())
	}
	if l := a.List(); len(l.Pending) != 0 {
		t.Errorf("%+v", l.Pending)
	}
}

func TestAPI(t *testing.T) {
	use := func(method, path string) Use {
		path, query, _ := strings.Cut(path, "?")
		return Use{Environment: "prod", Kind: KindAPI, Method: method, Path: path, Query: query}
	}
	for _, test := range []struct {
		name, asked string
		terms       Terms
		allowed, no []Use
	}{
		{
			"as asked", "/kyc/7?x=1", Terms{},
			[]Use{use("POST", "/kyc/7"), use("POST", "/kyc/7?y=2")},
			[]Use{use("GET", "/kyc/7"), use("POST", "/kyc/8"), use("POST", "/kyc/7/x"), use("POST", "/kyc/%37"), use("POST", "/kyc/7?_method=DELETE")},
		},
		{"a pattern", "/kyc/7", Terms{Paths: []string{"/kyc/*"}}, []Use{use("POST", "/kyc/8")}, []Use{use("GET", "/kyc/8"), use("POST", "/kyc/8/9")}},
		{"methods", "/kyc/7", Terms{Methods: []string{"GET", "POST"}}, []Use{use("GET", "/kyc/7"), use("HEAD", "/kyc/7")}, []Use{use("PUT", "/kyc/7"), use("GET", "/kyc/8")}},
		{"all", "/kyc/7", Terms{Any: true}, []Use{use("DELETE", "/anything/else")}, []Use{token}},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, p := New(Options{}), terminal(100)
			approve(t, a, ask(t, a, p, use("POST", test.asked)), test.terms)
			for _, u := range test.allowed {
				allowed(t, a, p, u, u.String())
			}
			for _, u := range test.no {
				if id, err := now(a, p, u); id != "" || err == nil {
					t.Errorf("%s: allowed", u)
				}
			}
		})
	}
	a, p := New(Options{}), terminal(100)
	code := ask(t, a, p, use("POST", "/kyc"))
	for _, terms := range []Terms{
		{Methods: []string{"GET"}}, {Paths: []string{"/other"}}, {Paths: []string{"/../x"}}, {Methods: []string{"post"}}, {Any: true, Methods: []string{"POST"}},
	} {
		if _, err := a.Approve(code, terms); agent.CodeOf(err) != agent.CodeUsage {
			t.Errorf("%+v: %v", terms, err)
		}
	}
	// A "*" that was asked for is no pattern when it is approved.
	if _, err := now(a, p, use("GET", "/kyc/*")); agent.CodeOf(err) != agent.CodeDenied {
		t.Errorf("a star: %v", err)
	}
}

// A standing grant is for each run of its unit, and kept over a restart.
func TestStanding(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	nightly := peer.Unit{Name: "nightly.service", User: true}
	a := New(Options{Dir: dir})
	g, err := a.ApproveUnit(Standing{Unit: nightly, Environment: "prod", For: 30 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, fileName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for name, a := range map[string]*Approvals{"now": a, "after a restart": New(Options{Dir: dir})} {
		allowed(t, a, inUnit(nightly), token, name)
		another := inUnit(nightly)
		another.facts.Leader.Start++
		allowed(t, a, another, token, name+", its next run")
		orphan := inUnit(nightly)
		orphan.facts.Leader = peer.Process{}
		allowed(t, a, orphan, token, name+", without a leader")
		refused(t, a, inUnit(peer.Unit{Name: nightly.Name}), token, name+", a system unit of the name")
		refused(t, a, inUnit(peer.Unit{Name: "weekly.service", User: true}), token, name+", another unit")
		refused(t, a, inUnit(nightly), Use{Environment: "prod", Kind: KindAPI, Method: "GET", Path: "/"}, name+", another kind")
		if l := a.List(); len(l.Granted) != 1 || l.Granted[0].ID != g.ID || !l.Granted[0].Standing {
			t.Errorf("%s: %+v", name, l.Granted)
		}
	}
	a = New(Options{Dir: dir})
	if err := a.Revoke(g.ID); err != nil {
		t.Fatal(err)
	}
	refused(t, New(Options{Dir: dir}), inUnit(nightly), token, "after revoke and a restart")
}

// Two agents on one folder: what one takes back does not come back with what the other saves, and
// what one grants is not lost.
func TestStandingOfTwoAgents(t *testing.T) {
	dir := t.TempDir()
	unit := func(name string) peer.Unit { return peer.Unit{Name: name, User: true} }
	approve := func(a *Approvals, name string) Grant {
		t.Helper()
		g, err := a.ApproveUnit(Standing{Unit: unit(name), Environment: "prod"})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	first := New(Options{Dir: dir})
	nightly := approve(first, "nightly.service")
	second := New(Options{Dir: dir})
	if err := first.Revoke(nightly.ID); err != nil {
		t.Fatal(err)
	}
	approve(first, "hourly.service")
	approve(second, "weekly.service")
	for name, a := range map[string]*Approvals{"the second": second, "a third": New(Options{Dir: dir})} {
		refused(t, a, inUnit(unit("nightly.service")), token, name+", what was taken back")
		allowed(t, a, inUnit(unit("hourly.service")), token, name+", what the first granted")
		allowed(t, a, inUnit(unit("weekly.service")), token, name+", what the second granted")
	}
	if n, err := first.RevokeAll(); n != 2 || err != nil {
		t.Errorf("%d taken back, %v", n, err)
	}
	approve(second, "daily.service")
	if l := New(Options{Dir: dir}).List().Granted; len(l) != 1 {
		t.Errorf("after all were taken back: %+v", l)
	}
}

// Uses count since the start, whenever the file was written.
func TestStandingUses(t *testing.T) {
	dir := t.TempDir()
	nightly := peer.Unit{Name: "nightly.service", User: true}
	uses := func(a *Approvals) (n int) {
		for _, g := range a.List().Granted {
			n += g.Uses
		}
		return n
	}
	for range 2 {
		a := New(Options{Dir: dir})
		if n := uses(a); n != 0 {
			t.Errorf("%d uses at the start", n)
		}
		if _, err := a.ApproveUnit(Standing{Unit: nightly, Environment: "prod"}); err != nil {
			t.Fatal(err)
		}
		allowed(t, a, inUnit(nightly), token, "the unit")
		if _, err := a.ApproveUnit(Standing{Unit: peer.Unit{Name: "hourly.service", User: true}, Environment: "prod"}); err != nil {
			t.Fatal(err)
		}
		if n := uses(a); n != 1 {
			t.Errorf("%d uses", n)
		}
	}
}

// A request of the unit that waits goes on.
func TestStandingAnswersARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(Options{Dir: t.TempDir()})
		nightly := peer.Unit{Name: "nightly.service", User: true}
		done := make(chan error)
		go func() {
			_, err := a.Check(t.Context(), inUnit(nightly), token)
			done <- err
		}()
		synctest.Wait()
		if _, err := a.ApproveUnit(Standing{Unit: nightly, Environment: "prod"}); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil || len(a.List().Pending) != 0 {
			t.Error(err, a.List().Pending)
		}
	})
}

func TestStandingThatIsRefused(t *testing.T) {
	a := New(Options{Dir: t.TempDir()})
	for _, s := range []Standing{
		{Unit: peer.Unit{Name: ""}}, {Unit: peer.Unit{Name: "nightly"}}, {Unit: peer.Unit{Name: "*.service"}}, {Unit: peer.Unit{Name: "session-3.scope"}},
		{Unit: peer.Unit{Name: "user@1000.service"}}, {Unit: peer.Unit{Name: "init.scope"}}, {Unit: peer.Unit{Name: "a/b.service"}},
		{Unit: peer.Unit{Name: "a.service"}, Kind: "all"}, {Unit: peer.Unit{Name: "a.service"}, For: MaxStanding + 1},
		{Unit: peer.Unit{Name: "a.service"}, Paths: []string{"/x"}}, {Unit: peer.Unit{Name: "a.service"}, Kind: KindAPI, Paths: []string{"x"}},
	} {
		if _, err := a.ApproveUnit(s); agent.CodeOf(err) != agent.CodeUsage {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if _, err := New(Options{}).ApproveUnit(Standing{Unit: peer.Unit{Name: "a.service"}}); agent.CodeOf(err) != agent.CodeConfiguration {
		t.Errorf("without a folder: %v", err)
	}
}

// A file that others can change, or that cannot be read, grants nothing and is not overwritten.
func TestStandingFile(t *testing.T) {
	nightly := peer.Unit{Name: "nightly.service", User: true}
	standing := Standing{Unit: nightly, Environment: "prod"}
	for name, spoil := range map[string]func(path string) error{
		"group":     func(path string) error { return os.Chmod(path, 0o660) },
		"truncated": func(path string) error { return os.Truncate(path, 20) },
		"newer": func(path string) error {
			data, _ := os.ReadFile(path)
			return os.WriteFile(path, []byte(strings.Replace(string(data), `"v":1`, `"v":2`, 1)), 0o600)
		},
		"no unit": func(path string) error {
			return os.WriteFile(path, []byte(`{"v":1,"grants":[{"id":"AAAA","environment":"prod","kind":"token","subject":{"kind":"session","pid":1},"granted_at":"2020-01-01T00:00:00Z","ends_at":"2090-01-01T00:00:00Z"}]}`), 0o600)
		},
		"link": func(path string) error {
			if err := os.Rename(path, path+"x"); err != nil {
				return err
			}
			return os.Symlink(path+"x", path)
		},
		"folder": func(path string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.Mkdir(path, 0o700)
		},
	} {
		dir := t.TempDir()
		if _, err := New(Options{Dir: dir}).ApproveUnit(standing); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, fileName)
		if err := spoil(path); err != nil {
			t.Fatal(err)
		}
		a := New(Options{Dir: dir})
		refused(t, a, inUnit(nightly), token, name)
		if _, err := a.ApproveUnit(standing); agent.CodeOf(err) != agent.CodeUnavailable {
			t.Errorf("%s: overwritten: %v", name, err)
		}
		refused(t, a, inUnit(nightly), token, name+", after a grant that could not be saved")
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if _, err := a.ApproveUnit(standing); err != nil {
			t.Errorf("%s: once it is removed: %v", name, err)
		}
	}
}

// Where the audit log must have a line, there is no grant without it.
func TestRecordFails(t *testing.T) {
	var kinds []EventKind
	fail := errors.New("full")
	a := New(Options{Dir: t.TempDir(), Record: func(e Event) error {
		kinds = append(kinds, e.Kind)
		if e.Kind == Approved {
			return fail
		}
		return nil
	}})
	p := terminal(100)
	code := ask(t, a, p, token)
	if _, err := a.Approve(code, Terms{}); !errors.Is(err, fail) {
		t.Error(err)
	}
	refused(t, a, p, token, "without a line")
	if _, err := a.ApproveUnit(Standing{Unit: peer.Unit{Name: "a.service"}, Environment: "prod"}); !errors.Is(err, fail) {
		t.Error(err)
	}
	_ = a.Deny(code)
	if got := fmt.Sprint(kinds); got != "[asked refused approved refused approved denied]" {
		t.Error(got)
	}
}

// Many sessions can fill the list, and no more.
func TestManyRequests(t *testing.T) {
	a := New(Options{})
	for i := range maxPending {
		ask(t, a, terminal(100+i), token)
	}
	_, err := now(a, terminal(9000), token)
	if !errors.Is(err, agent.CodeApprovalRequired) || !strings.Contains(err.Error(), "64 requests wait") {
		t.Error(err)
	}
}

func TestCodes(t *testing.T) {
	seen := map[string]bool{}
	for range 2000 {
		id := randomID(4)
		if len(id) != 4 || !IsCode(id) {
			t.Fatal(id)
		}
		seen[id] = true
	}
	for _, id := range []string{"", "AAA", "AA$A", "$(x)", "aaaa", "AAAAAAA", "AA A"} {
		if IsCode(id) {
			t.Errorf("%q is taken for a code", id)
		}
	}
	if len(seen) < 1980 { // of 390,625; fewer are as good as impossible
		t.Errorf("%d of 2000 differ", len(seen))
	}
}

func Example() {
	a := New(Options{})
	_, err := now(a, terminal(4242), Use{Environment: "prod", Kind: KindToken})
	fmt.Println(agent.CodeOf(err))
	for _, r := range a.List().Pending {
		fmt.Println(r.Use, "for", r.Subject)
		_, _ = a.Approve(r.ID, Terms{For: time.Hour})
	}
	_, err = now(a, terminal(4242), Use{Environment: "prod", Kind: KindToken})
	fmt.Println(err)
	// Output:
	// approval_required
	// a token of prod for the session of /usr/bin/bash (pid 4242, pts/1)
	// <nil>
}

// An access token can do more than an ID token, and is approved on its own.
func TestAccessToken(t *testing.T) {
	a, p := New(Options{}), terminal(100)
	access := Use{Environment: "prod", Kind: KindAccess}
	approve(t, a, ask(t, a, p, token), Terms{})
	refused(t, a, p, access, "the access token")
	approve(t, a, ask(t, a, p, access), Terms{})
	allowed(t, a, p, access, "the access token")
}
