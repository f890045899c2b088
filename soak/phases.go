package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/soak/fakecognito"
)

// A kind is a kind of phase.
type kind struct {
	name   string
	weight int // how often it is drawn; 0 means only by -only
	run    func(context.Context, *soak, *phase) error
}

// kinds are all kinds of phases.
var kinds []kind

func init() { // not in the declaration, which would be a cycle
	kinds = []kind{
		{"steady", 2, steady},
		{"crowd", 2, crowd},
		{"kill", 3, kill},
		{"kill-in-call", 4, killInCall},
		{"kill-unasked", 1, killUnasked},
		{"stop", 2, stop},
		{"stop-in-call", 2, stopInCall},
		{"freeze", 2, freeze},
		{"second-daemon", 1, secondDaemon},
		{"reload", 2, reload},
		{"reload-bad", 2, reloadBad},
		{"login", 2, loginAgain},
		{"logout", 2, logout},
		{"network", 3, network},
		{"slow", 2, failing(fakecognito.Fault{Name: faultSlow, After: 4 * time.Second, Times: 1})},
		{"late", 1, failing(fakecognito.Fault{Name: faultLate, After: 11 * time.Second, Times: 1})},
		{"lost", 3, failing(fakecognito.Fault{Name: faultLost, End: fakecognito.LostAfter, Times: 1})},
		{"cut", 2, failing(fakecognito.Fault{Name: faultCut, End: fakecognito.CutAfter, Times: 1})},
		{"reset", 2, failing(fakecognito.Fault{Name: faultReset, End: fakecognito.LostBefore})},
		{"500", 2, failing(fakecognito.Fault{Name: fault500, End: fakecognito.ServerError})},
		{"throttle", 2, failing(fakecognito.Fault{Name: faultThrottle, End: fakecognito.Throttled})},
		{"keys", 2, keysDown},
		{"disk-full", 2, diskFull},
		{"record-mode", 1, recordMode},
		{"folder-removed", 1, folderRemove},
		{"keyring-silent", 3, keyringSilent},
		{"revoked", 0, failing(fakecognito.Fault{Name: faultRevoked, End: fakecognito.Revoked, Times: 1})},
	}
}

func kindNames() []string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

// drawable returns the kinds to draw from.
func drawable(o options) ([]kind, error) {
	for _, name := range o.only {
		if !slices.Contains(kindNames(), name) {
			return nil, fmt.Errorf("there is no phase %q; there are: %s", name, strings.Join(kindNames(), " "))
		}
	}
	var list []kind
	for _, k := range kinds {
		if len(o.only) == 0 && k.weight > 0 || slices.Contains(o.only, k.name) {
			list = append(list, k)
		}
	}
	return list, nil
}

func steady(ctx context.Context, s *soak, p *phase) error {
	_, err := s.awaitCall(ctx, p.env, p.env.pool.Mark(), fakecognito.IsRefresh)
	return err
}

func crowd(ctx context.Context, s *soak, p *phase) error {
	n, until := 16<<p.rng.IntN(3), time.Now().Add(p.between(time.Second, 3*time.Second))
	p.note("%d clients", n)
	var all sync.WaitGroup
	for i := range n {
		e := s.envs[i%len(s.envs)]
		all.Go(func() {
			for time.Now().Before(until) && ctx.Err() == nil {
				s.ask(ctx, e, "crowd", s.askSocket)
			}
		})
	}
	all.Wait()
	return nil
}

func kill(ctx context.Context, s *soak, p *phase) error {
	if err := p.pause(ctx, 0, 4*time.Second); err != nil {
		return err
	}
	s.kill()
	return errorOr(p.pause(ctx, 0, 1500*time.Millisecond), func() error { return s.start(ctx) })
}

// killDuringCall kills the daemon somewhere in a refresh, or just after it.
func (s *soak) killDuringCall(ctx context.Context, p *phase) error {
	before, after := p.between(0, 200*time.Millisecond), p.between(0, 200*time.Millisecond)
	s.fail(p, fakecognito.Fault{Name: faultSlow, Before: before, After: after, Times: 1})
	if _, err := s.provoke(ctx, p); err != nil {
		return err
	}
	at := p.between(0, before+after+30*time.Millisecond)
	p.note("killed %d ms into a call of %d+%d ms", at.Milliseconds(), before.Milliseconds(), after.Milliseconds())
	err := pause(ctx, at)
	s.kill()
	return err
}

func killInCall(ctx context.Context, s *soak, p *phase) error {
	return errorOr(s.killDuringCall(ctx, p),
		func() error { return p.pause(ctx, 0, 1500*time.Millisecond) },
		func() error { return s.start(ctx) })
}

// killUnasked is the same, and then nobody asks until the grace period is over.
func killUnasked(ctx context.Context, s *soak, p *phase) error {
	return errorOr(s.killDuringCall(ctx, p),
		func() error { s.silence(true); return s.start(ctx) }, // until the repair
		func() error { return pause(ctx, s.opts.grace+3*time.Second) })
}

func (s *soak) silence(silent bool) {
	for _, e := range s.envs {
		e.silent.Store(silent)
	}
}

func stop(ctx context.Context, s *soak, p *phase) error {
	return errorOr(p.pause(ctx, 0, 4*time.Second),
		func() error { return s.terminate(ctx) },
		func() error { return p.pause(ctx, 0, 1500*time.Millisecond) },
		func() error { return s.start(ctx) })
}

func stopInCall(ctx context.Context, s *soak, p *phase) error {
	s.fail(p, fakecognito.Fault{Name: faultSlow, Before: p.between(0, 2*time.Second), After: p.between(0, 2*time.Second), Times: 1})
	if _, err := s.provoke(ctx, p); err != nil {
		return err
	}
	return errorOr(p.pause(ctx, 0, 200*time.Millisecond),
		func() error { return s.terminate(ctx) },
		func() error { return s.start(ctx) })
}

func freeze(ctx context.Context, s *soak, p *phase) error {
	if p.rng.IntN(2) > 0 {
		s.fail(p, fakecognito.Fault{Name: faultSlow, Before: 50 * time.Millisecond, After: 50 * time.Millisecond, Times: 1})
		if _, err := s.provoke(ctx, p); err != nil {
			return err
		}
	}
	d := p.between(time.Second, 7*time.Second)
	p.note("for %.1f s", d.Seconds())
	s.freeze()
	defer s.thaw()
	return pause(ctx, d)
}

// secondDaemon starts a daemon for the same socket and folder, which has to refuse.
func secondDaemon(ctx context.Context, s *soak, _ *phase) error {
	cmd := s.serveCommand()
	if err := cmd.Start(); err != nil {
		return err
	}
	kill := time.AfterFunc(startWithin, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitTemporary && code != exitConfig {
		return fmt.Errorf("a second daemon ended with status %d, not 75 or 78", code)
	}
	return nil
}

func reload(ctx context.Context, s *soak, p *phase) error {
	level := []string{"debug", "info"}[p.rng.IntN(2)]
	if err := s.writeConfig(fmt.Sprintf("log_level = %q", level)); err != nil {
		return err
	}
	if p.rng.IntN(2) > 0 {
		s.fail(p, fakecognito.Fault{Name: faultSlow, Before: 300 * time.Millisecond, Times: 1})
		if _, err := s.provoke(ctx, p); err != nil {
			return err
		}
	}
	_, err := s.expect(ctx, []int{exitOK}, "", "reload")
	return err
}

func reloadBad(ctx context.Context, s *soak, p *phase) error {
	line := []string{"no such key = 1", `log_level = "loud"`, `store = ["file"]`, `default_environment = "nowhere"`}[p.rng.IntN(4)]
	p.note("%s", line)
	if err := s.writeConfig(line); err != nil {
		return err
	}
	_, err := s.expect(ctx, []int{exitConfig}, "", "reload")
	return errorOr(err,
		func() error { return s.writeConfig("") },
		func() error { _, err := s.expect(ctx, []int{exitOK}, "", "reload"); return err })
}

func loginAgain(ctx context.Context, s *soak, p *phase) error {
	p.note("%s", p.env.name)
	return s.login(ctx, p.env)
}

func logout(ctx context.Context, s *soak, p *phase) error {
	p.note("%s", p.env.name)
	return errorOr(s.logout(ctx, p.env),
		func() error { return s.checkLive(p.env) },
		func() error { return p.pause(ctx, 0, 2*time.Second) },
		func() error { return s.login(ctx, p.env) })
}

// network cuts the way to Cognito, sometimes in the middle of a call.
func network(ctx context.Context, s *soak, p *phase) error {
	s.fail(p, fakecognito.Fault{Name: faultNetwork, Before: 100 * time.Millisecond, After: 100 * time.Millisecond, Times: 1})
	if p.rng.IntN(2) > 0 {
		p.note("in a call")
		if _, err := s.provoke(ctx, p); err != nil {
			return err
		}
		if err := p.pause(ctx, 0, 250*time.Millisecond); err != nil {
			return err
		}
	}
	p.env.pool.Cut()
	if p.rng.IntN(2) > 0 {
		if err := s.renew(ctx); err != nil {
			return err
		}
	}
	return p.pause(ctx, 2*time.Second, 9*time.Second)
}

// failing returns a phase in which refreshes fail as f says. In a third of them the daemon
// has no token.
func failing(f fakecognito.Fault) func(context.Context, *soak, *phase) error {
	return func(ctx context.Context, s *soak, p *phase) error {
		f := f
		if f.Times > 0 {
			f.Times += p.rng.IntN(2)
		}
		if p.rng.IntN(3) == 0 {
			p.note("cold")
			if err := s.renew(ctx); err != nil {
				return err
			}
		}
		s.fail(p, f)
		if _, err := s.provoke(ctx, p); err != nil {
			return err
		}
		return errorOr(pause(ctx, time.Duration(f.Times)*(f.Before+f.After)), func() error {
			return p.pause(ctx, 2*time.Second, 9*time.Second)
		})
	}
}

// keysDown makes the signing keys unavailable to a daemon that has none in memory.
func keysDown(ctx context.Context, s *soak, p *phase) error {
	s.fail(p, fakecognito.Fault{Name: faultKeys, Keys: true, End: fakecognito.ServerError})
	return errorOr(s.renew(ctx), func() error { return p.pause(ctx, 2*time.Second, 9*time.Second) })
}

// diskFull lets the store fail to save what is rotated.
func diskFull(ctx context.Context, s *soak, p *phase) error {
	s.lasts(event{kind: storeFailed, at: time.Now()})
	if err := s.disk.fill(); err != nil {
		return err
	}
	defer s.disk.empty()
	if _, err := s.provoke(ctx, p); err != nil {
		return err
	}
	switch p.rng.IntN(3) {
	case 0:
		p.note("killed")
		return errorOr(p.pause(ctx, 0, time.Second), func() error { return s.renew(ctx) })
	case 1:
		p.note("space, and stopped at once")
		return errorOr(p.pause(ctx, 200*time.Millisecond, 2*time.Second), func() error {
			s.disk.empty()
			return errorOr(s.terminate(ctx), func() error { return s.start(ctx) })
		})
	}
	return p.pause(ctx, time.Second, 6*time.Second)
}

// keyringSilent lets the keyring not answer to a save, and to a daemon that starts.
func keyringSilent(ctx context.Context, s *soak, p *phase) error {
	s.lasts(event{kind: storeFailed, at: time.Now()})
	s.excuse("", "the keyring was silent", exitTemporary)
	defer s.opts.keyring.silence()()
	if _, err := s.provoke(ctx, p); err != nil {
		return err
	}
	if p.rng.IntN(3) == 0 {
		p.note("killed")
		return errorOr(p.pause(ctx, 0, 4*time.Second), func() error { return s.renew(ctx) })
	}
	return p.pause(ctx, time.Second, 6*time.Second)
}

// recordMode changes the mode of a record that the daemon will replace.
func recordMode(ctx context.Context, s *soak, p *phase) error {
	record := filepath.Join(s.stateFolder(), p.env.name+".age")
	mode := []os.FileMode{0, 0o644}[p.rng.IntN(2)]
	p.note("%s: %04o", p.env.name, mode)
	if err := os.Chmod(record, mode); err != nil {
		return err
	}
	_, err := s.provoke(ctx, p)
	return errorOr(err, func() error { return pause(ctx, time.Second) })
}

// folderRemove removes the state folder under the running daemon, which then rotates one of the
// refresh tokens and is restarted.
func folderRemove(ctx context.Context, s *soak, p *phase) error {
	if err := os.RemoveAll(s.stateFolder()); err != nil {
		return err
	}
	if _, err := s.provoke(ctx, p); err != nil {
		return err
	}
	return errorOr(p.pause(ctx, 200*time.Millisecond, 6*time.Second),
		func() error { return s.terminate(ctx) },
		func() error { return s.start(ctx) })
}

// errorOr returns err, or else the error of the first step that fails.
func errorOr(err error, steps ...func() error) error {
	for _, step := range steps {
		if err != nil {
			break
		}
		err = step()
	}
	return err
}
