package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	// answerWithin is the promise to clients: 8 seconds, and what a busy machine needs to
	// start a process.
	answerWithin = 8*time.Second + 500*time.Millisecond
	// recoverWithin is how long it takes to get a token when Cognito had no fault.
	recoverWithin = 12 * time.Second
	// settleWithin is how long the rest may take after that.
	settleWithin = 15 * time.Second
)

// repair ends every fault of a phase and waits until each environment has shown that its
// sign-in is alive.
func (s *soak) repair(ctx context.Context, p *phase) error {
	s.silence(false)
	s.thaw()
	for _, e := range s.envs {
		e.pool.Heal()
		if err := e.pool.Restore(); err != nil {
			return err
		}
	}
	if !s.daemon.running() {
		return errors.New("the daemon has ended by itself")
	}
	s.endEvents(false)
	p.healed = time.Now()
	for _, e := range s.envs {
		if err := s.prove(ctx, p, e); err != nil {
			return err
		}
	}
	for _, e := range s.envs {
		if err := s.settle(ctx, e); err != nil {
			return err
		}
	}
	s.endEvents(true)
	return nil
}

// prove shows that a sign-in is alive: it yields a new token.
func (s *soak) prove(ctx context.Context, p *phase, e *environment) error {
	limit := p.recovery(e)
	for begun := time.Now(); ; {
		switch a := s.force(ctx, e, "proof"); {
		case a.exit == exitOK:
			s.stats.recovery(time.Since(p.healed))
			return nil
		case a.exit == exitDenied:
			if lost, err := s.isLost(ctx, e, a); lost || err != nil {
				return errorOr(err, func() error { return s.lost(ctx, p, e, a) })
			}
		case a.exit != exitTemporary && !s.isExcused(a):
			return fmt.Errorf("%s: after the repair kyc-token ends with status %d: %s", e.name, a.exit, a.text)
		case time.Since(begun) > limit:
			return fmt.Errorf("%s: no new token within %s of the repair: %s", e.name, limit.Round(time.Second), a.text)
		}
		if err := pause(ctx, 300*time.Millisecond); err != nil {
			return err
		}
	}
}

// isLost reports whether exit code 77 means that the sign-in is lost. While the daemon holds
// one it is a wrong answer, which is an error unless it is a documented one.
func (s *soak) isLost(ctx context.Context, e *environment, a answer) (bool, error) {
	state, err := s.state(ctx, e)
	switch {
	case err != nil || state != "fresh" && state != "refreshing":
		return err == nil, err
	case s.isExcused(a):
		return false, nil
	}
	return false, fmt.Errorf("%s: its state is %q, but kyc-token asks for a sign-in: %s", e.name, state, a.text)
}

// recovery returns how long after a phase an environment may have no token.
func (p *phase) recovery(e *environment) time.Duration {
	r, known := documentedRetries[p.fault]
	if !known || e != p.env {
		return recoverWithin
	}
	return r.recovery(p.healed.Sub(p.since))
}

// lost decides whether the loss of a sign-in is a documented one, and signs in again.
func (s *soak) lost(ctx context.Context, p *phase, e *environment, a answer) error {
	d, l, ok := documented(s.evidence(e), p.begun, time.Now())
	if !ok {
		return fmt.Errorf("%s: the sign-in is lost, and no documented loss explains it: %s (%s)", e.name, a.text, l)
	}
	p.losses = append(p.losses, e.name+": "+d.name)
	s.mu.Lock()
	s.excuses = append(s.excuses, &excuse{event: event{env: e.name, at: p.begun}, codes: []int{exitDenied}, reason: d.name})
	s.mu.Unlock()
	e.pool.SignOut() // nobody has it
	return s.login(ctx, e)
}

// settle waits until the daemon says that a sign-in is saved, and Cognito has no other one.
func (s *soak) settle(ctx context.Context, e *environment) error {
	for begun := time.Now(); ; {
		state, err := s.state(ctx, e)
		if err == nil && state != "fresh" && state != "refreshing" {
			err = fmt.Errorf("%s: its state is %q", e.name, state)
		}
		if err == nil {
			err = s.checkLive(e)
		}
		if err == nil || time.Since(begun) > settleWithin {
			return err
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

// state returns the state of an environment, as kyc-agentd status shows it.
func (s *soak) state(ctx context.Context, e *environment) (string, error) {
	r, err := s.expect(ctx, []int{exitOK}, "", "status", "--json")
	if err != nil {
		return "", err
	}
	var status struct {
		Environments []struct{ Name, State string } `json:"environments"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &status); err != nil {
		return "", err
	}
	for _, v := range status.Environments {
		if v.Name == e.name {
			return v.State, nil
		}
	}
	return "", fmt.Errorf("status does not list %s", e.name)
}

// checkLive compares the sign-ins at Cognito with those that there should be: one that
// nobody holds is live for 30 days.
func (s *soak) checkLive(e *environment) error {
	want := 0
	if e.signedIn {
		want = 1
	}
	if n := e.pool.Live(); n != want {
		return fmt.Errorf("%s: %d sign-ins are live at Cognito, not %d", e.name, n, want)
	}
	return nil
}

// check checks everything that a phase left.
func (s *soak) check(p *phase, answers []answer) error {
	errs := []error{s.checkAnswers(answers)}
	for _, e := range s.envs {
		v := s.evidence(e)
		errs = append(errs, needless(v, p.begun), checkFailedCalls(v, p, e))
	}
	usage, err := readUsage(s.daemon.pid())
	s.stats.usage(s.daemon.since, usage)
	errs = append(errs, err, usage.check(s.children()), s.stats.growth(s.daemon.since), s.checkFiles())
	return errors.Join(errs...)
}

// children returns how many child processes the daemon may have: one asks the keyring for each
// environment.
func (s *soak) children() int {
	if s.opts.keyring == nil {
		return 0
	}
	return len(s.envs)
}

func (s *soak) takeAnswers() []answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.answers
	s.answers = nil
	return taken
}

// checkAnswers returns the first answer that came too late, and the first without an excuse.
func (s *soak) checkAnswers(answers []answer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.excuses = slices.DeleteFunc(s.excuses, func(x *excuse) bool {
		return !x.until.IsZero() && time.Since(x.until) > time.Minute
	})
	for _, a := range answers {
		if a.took > answerWithin {
			return fmt.Errorf("%s: %s waited %s at %s: status %d %s", a.env, a.client, a.took.Round(time.Millisecond), a.begun.Format("15:04:05.000"), a.exit, a.text)
		}
		if a.client != "proof" && !excused(a, s.excuses) {
			return fmt.Errorf("%s: %s got status %d at %s without a reason: %s", a.env, a.client, a.exit, a.begun.Format("15:04:05.000"), a.text)
		}
	}
	return nil
}

// excused reports whether there was a reason for the exit code of an answer while its
// client waited.
func excused(a answer, excuses []*excuse) bool {
	return a.exit == exitOK ||
		slices.ContainsFunc(excuses, func(x *excuse) bool {
			return slices.Contains(x.codes, a.exit) && (x.env == "" || x.env == a.env) && (!x.young || a.wantsYoung()) && strings.Contains(a.text, x.text) &&
				!x.at.After(a.begun.Add(a.took)) && (x.until.IsZero() || !x.until.Before(a.begun))
		})
}

func (s *soak) isExcused(a answer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return excused(a, s.excuses)
}

// checkFailedCalls compares the calls in vain to those that the fault of the phase allows.
func checkFailedCalls(v evidence, p *phase, e *environment) error {
	allowed := 2 // after a sign-in the other refresh call is tried first, which this pool refuses
	for _, k := range []eventKind{killed, signedIn} {
		for _, ev := range v.find(k) {
			if ev.at.After(p.begun) {
				allowed += 2
			}
		}
	}
	if r, known := documentedRetries[p.fault]; known && e == p.env {
		allowed += r.allowed(p.healed.Sub(p.since)) + r.burst
	}
	if n := failedCalls(v, p.begun); n > allowed {
		return fmt.Errorf("%s: %d calls at Cognito in vain, not at most %d", e.name, n, allowed)
	}
	return nil
}

// auditFile matches the files of the audit log: a long soak fills several.
var auditFile = regexp.MustCompile(`^audit(\.jsonl|\.lock|\.state|-\d{6}\.jsonl)$`)

// checkFiles looks for files that nobody would remove.
func (s *soak) checkFiles() error {
	for folder, allowed := range map[string][]string{
		s.stateFolder():          {".lock", "staging.age", "prod.age", "staging--first.age", "prod--first.age"},
		filepath.Dir(s.socket()): {"agent.sock", "agent.sock.lock"},
	} {
		entries, err := os.ReadDir(folder)
		if errors.Is(err, os.ErrNotExist) && s.opts.keyring != nil {
			continue
		}
		if err != nil {
			return err
		}
		for _, f := range entries {
			if slices.Contains(allowed, f.Name()) || auditFile.MatchString(f.Name()) {
				continue
			}
			if info, err := f.Info(); err == nil && time.Since(info.ModTime()) > time.Second { // a save that runs has a file for a moment
				return fmt.Errorf("%s is left behind in %s", f.Name(), folder)
			}
		}
	}
	return nil
}

// checkLeftovers looks for what a daemon that has ended left.
func (s *soak) checkLeftovers() error {
	if _, err := os.Lstat(s.socket()); err == nil {
		return fmt.Errorf("%s is there after the daemon has ended", s.socket())
	}
	return s.checkFiles()
}
