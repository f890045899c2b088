package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/legaltalent/kyc-agent/soak/fakecognito"
)

// A soak is one run: a daemon, the environments that it serves, and their clients.
type soak struct {
	opts    options
	out     io.Writer
	dir     string
	disk    *disk // that the state folder is on; nil without root
	daemon  *daemon
	envs    []*environment
	phases  []*phase
	skipped map[string]string // kinds of phases that cannot run here, with the reason
	stats   stats
	clients sync.WaitGroup
	ending  context.CancelFunc // of the clients

	mu      sync.Mutex
	events  []*event
	excuses []*excuse
	answers []answer // of the clients, since the last check
}

// An environment is one of the daemon's environments.
type environment struct {
	name     string
	pool     *fakecognito.Pool
	api      *api
	signedIn bool        // as it should be
	silent   atomic.Bool // its clients do not ask
}

// An excuse is a reason for exit codes other than 0, for as long as it lasts.
type excuse struct {
	event
	codes  []int
	reason string
	young  bool   // only of requests for a young token
	text   string // only of answers that have it
}

func newSoak(ctx context.Context, o options, out io.Writer) (s *soak, err error) {
	s = &soak{opts: o, out: out, skipped: map[string]string{}, stats: newStats()}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.dir, err = os.MkdirTemp("", "kyc-soak-"); err != nil {
		return s, err
	}
	for _, name := range []string{"staging", "prod"} {
		e := &environment{name: name}
		s.envs = append(s.envs, e)
		if e.pool, err = fakecognito.New(fakecognito.Options{Name: name, Grace: o.grace, Life: o.life}); err == nil {
			e.api, err = newAPI(e.pool)
		}
		if err != nil {
			return s, err
		}
	}
	if err = os.MkdirAll(s.path("state"), 0o700); err == nil {
		err = s.mountDisk()
	}
	if err == nil {
		s.skipByStore()
		err = s.writeConfig("")
	}
	if err == nil {
		_, err = s.verb(ctx, "", "keygen", s.path("store.key"))
	}
	return s, err
}

func (s *soak) mountDisk() (err error) {
	if s.disk, err = mountDisk(s.path("state")); errors.Is(err, errNoDisk) {
		s.skipped["disk-full"] = err.Error()
		return nil
	}
	return err
}

// skipByStore skips the phases that are about another store.
func (s *soak) skipByStore() {
	if s.opts.keyring == nil {
		s.skipped["keyring-silent"] = "it needs a keyring: see TestSoakWithKeyring"
		return
	}
	for _, name := range []string{"disk-full", "record-mode", "folder-removed"} {
		s.skipped[name] = "it is about the file store"
	}
}

func (s *soak) storeKind() string {
	if s.opts.keyring != nil {
		return "keyring"
	}
	return "file"
}

func (s *soak) path(name string) string { return filepath.Join(s.dir, name) }

func (s *soak) socket() string { return s.path("run/agent.sock") }

func (s *soak) stateFolder() string { return s.path("state/kyc-agent") }

// writeConfig writes config.toml with more at its top.
func (s *soak) writeConfig(more string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "store = %q\nstore_key_file = %q\n%s\n", s.storeKind(), s.path("store.key"), more)
	for _, e := range s.envs {
		fmt.Fprintf(&b, "[environments.%s]\nregion = \"us-east-2\"\nuser_pool_id = %q\nclient_id = %q\napi_url = %q\nendpoint = %q\n",
			e.name, e.pool.ID(), e.pool.ClientID(), e.api.url, e.pool.URL())
	}
	return os.WriteFile(s.path("config.toml"), []byte(b.String()), 0o600)
}

// environ is the environment of every program, without this user's variables.
func (s *soak) environ() []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "TMPDIR=" + s.dir, "LC_ALL=C",
		"XDG_CONFIG_HOME=" + s.path("config"), "XDG_STATE_HOME=" + s.path("state"), "XDG_RUNTIME_DIR=" + s.path("run"),
	}
	if s.opts.keyring != nil {
		env = append(env, s.opts.keyring.env...)
	}
	return env
}

// begin starts the daemon, signs in to every environment and starts the clients.
func (s *soak) begin(ctx context.Context) error {
	if err := s.start(ctx); err != nil {
		return err
	}
	for _, e := range s.envs {
		if err := s.login(ctx, e); err != nil {
			return err
		}
	}
	ctx, s.ending = context.WithCancel(ctx)
	for _, e := range s.envs {
		s.startClients(ctx, e)
	}
	return nil
}

// finish stops everything and checks what is left behind.
func (s *soak) finish(ctx context.Context) error {
	s.stopClients()
	return errors.Join(s.terminate(ctx), s.checkLeftovers())
}

func (s *soak) stopClients() {
	if s.ending != nil {
		s.ending()
		s.clients.Wait()
		s.ending = nil
	}
}

func (s *soak) close() {
	s.stopClients()
	if s.daemon.running() {
		s.daemon.kill()
	}
	for _, e := range s.envs {
		if e.pool != nil {
			e.pool.Close()
		}
		if e.api != nil {
			e.api.close()
		}
	}
	s.disk.unmount()
	_ = os.RemoveAll(s.dir)
}

// happened notes an event that is over at once.
func (s *soak) happened(kind eventKind, env string) {
	now := time.Now()
	s.lasts(event{kind: kind, env: env, at: now, until: now})
}

// lasts notes an event that lasts until the phase's repair, unless it has an end.
func (s *soak) lasts(v event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, &v)
}

// excuse allows exit codes until the phase's repair. env is empty for all environments.
func (s *soak) excuse(env, reason string, codes ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.excuses = append(s.excuses, &excuse{event: event{env: env, at: time.Now()}, codes: codes, reason: reason})
}

// endEvents ends what lasts, and with excuses the excuses as well.
func (s *soak) endEvents(withExcuses bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	end := func(v *event) {
		if v.until.IsZero() {
			v.until = now
		}
	}
	for _, v := range s.events {
		end(v)
	}
	if withExcuses {
		for _, x := range s.excuses {
			end(&x.event)
		}
	}
}

// evidence returns what the checks need to know of an environment.
func (s *soak) evidence(e *environment) evidence {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := evidence{env: e.name, grace: s.opts.grace, life: s.opts.life, calls: e.pool.Calls()}
	for _, ev := range s.events {
		v.events = append(v.events, *ev)
	}
	return v
}

func (s *soak) lastBegun() time.Time {
	if len(s.phases) == 0 {
		return time.Time{}
	}
	return s.phases[len(s.phases)-1].begun
}

// callsSince lists the calls at every pool, for a report.
func (s *soak) callsSince(from time.Time) string {
	type line struct {
		at   time.Time
		text string
	}
	var lines []line
	for _, e := range s.envs {
		for _, c := range e.pool.Calls() {
			if !c.Begun.Before(from) {
				lines = append(lines, line{c.Begun, fmt.Sprintf("  %s  %-7s %-32s %4d ms  token %d→%d  %d %s %s delivered: %t\n", c.Begun.Format("15:04:05.000"),
					e.name, c.Op, c.Ended.Sub(c.Begun).Milliseconds(), c.Presented, c.Issued, c.Status, c.Code, c.Fault, c.Delivered)})
			}
		}
	}
	slices.SortFunc(lines, func(a, b line) int { return a.at.Compare(b.at) })
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.text)
	}
	return b.String()
}
