package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/internal/suggest"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/shared"
)

// Config is what a reload can change.
type Config struct {
	Environments       []Environment
	DefaultEnvironment string
	// RefreshMargin is how long before its end a token is refreshed, unless a fifth of its
	// life is shorter. 0 means 5 minutes.
	RefreshMargin time.Duration
}

const defaultRefreshMargin = 5 * time.Minute

// Options are the parts and settings of an Agent.
type Options struct {
	Authenticator Authenticator
	Exchanger     Exchanger // makes AWS credentials; nil makes none
	Store         store.Store
	Config        Config
	Logger        *slog.Logger     // nil discards
	Version       string           // shown by Status
	Now           func() time.Time // the wall clock; nil means time.Now
	// OnChange, if set, is called each time the ID token of an environment appeared in
	// memory, was replaced or was removed: by a refresh, a login, a logout, a refusal, or a
	// new configuration. It is called from many goroutines without locks held and must not
	// block; query the agent afterwards.
	OnChange func(environment string)
	// OnUnattended, if set, is called after each sign-in that the agent has tried by itself, with
	// its user and the code of its error, or "". It must not block.
	OnUnattended func(environment, user string, code Code)
	// Markers outlive a kill in the middle of a refresh; nil means that nothing does.
	Markers Markers
	// Unsaved is what the agent of an earlier image of this process could not save.
	Unsaved map[string][]byte
	// Locked, if set, is why every request is refused: see Lock.
	Locked *Error
	// Fleet shares the sign-ins with other agents; nil keeps them in Store alone. With it, Store
	// has only what the fleet does not have yet.
	Fleet *shared.Fleet
}

// An Agent holds one session per environment. It is a [Service].
type Agent struct {
	auth  Authenticator
	store store.Store
	fleet *shared.Fleet // nil if sign-ins are not shared

	exchanger Exchanger

	log          *slog.Logger
	onChange     func(environment string)
	onUnattended func(environment, user string, code Code)
	markers      Markers
	unsaved      map[string][]byte // until Start
	locked       atomic.Pointer[Error]
	version      string
	started      time.Time
	wallClock    func() time.Time

	// view is what requests read. Configure replaces it as a whole; it never changes.
	view atomic.Pointer[view]

	// ctx ends when Close stops waiting; every refresh runs on it.
	ctx    context.Context
	cancel context.CancelFunc
	// softCtx ends earlier: softStop after Close began. It is for calls that cost nothing if
	// their answer is lost.
	softCtx    context.Context
	softCancel context.CancelFunc
	wake       chan struct{} // cap 1: there is something for the scheduler to do

	configureMu sync.Mutex
	sessions    map[string]*session // every session there ever was, by environment
	following   bool                // the sessions follow what the fleet does

	// mu is taken inside a session's mu, never the other way round.
	mu      sync.Mutex
	tasks   sync.WaitGroup // refreshes, logouts, the ends of logins and the scheduler
	closing bool           // no task starts any more
}

var _ Service = (*Agent)(nil)

// A view is one configuration with its sessions.
type view struct {
	config Config
	byName map[string]*session
	names  []string // ascending
}

// New returns an Agent that reads nothing from the store yet. The error is what is wrong
// with the configuration.
func New(o Options) (*Agent, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.OnChange == nil {
		o.OnChange = func(string) {}
	}
	if o.OnUnattended == nil {
		o.OnUnattended = func(string, string, Code) {}
	}
	if o.Markers == nil {
		o.Markers = noMarkers{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	softCtx, softCancel := context.WithCancel(ctx)
	a := &Agent{
		auth: o.Authenticator, exchanger: o.Exchanger, store: o.Store, log: o.Logger, onChange: o.OnChange, onUnattended: o.OnUnattended, version: o.Version,
		fleet: o.Fleet, markers: o.Markers, unsaved: o.Unsaved, wallClock: o.Now, started: time.Now(),
		ctx: ctx, cancel: cancel, softCtx: softCtx, softCancel: softCancel, wake: make(chan struct{}, 1),
		sessions: make(map[string]*session),
	}
	if o.Locked != nil {
		a.locked.Store(o.Locked)
	}
	return a, a.Configure(o.Config)
}

// Configure replaces the configuration. An environment whose user pool and client are
// unchanged keeps its tokens; one whose user pool or client changed starts again from the
// store. After an error the old configuration stays in force.
func (a *Agent) Configure(c Config) error {
	if err := c.check(); err != nil {
		return err
	}
	if err := a.checkFleet(c); err != nil {
		return err
	}
	if c.RefreshMargin == 0 {
		c.RefreshMargin = defaultRefreshMargin
	}
	for _, name := range a.configure(c) {
		a.onChange(name)
	}
	a.wakeScheduler()
	return nil
}

// configure applies c and returns the environments whose cached token changed.
func (a *Agent) configure(c Config) (changed []string) {
	a.configureMu.Lock()
	defer a.configureMu.Unlock()
	before := a.view.Load().cachedTokens()
	v := &view{config: c, byName: make(map[string]*session)}
	for _, env := range c.Environments {
		s, ok := a.sessions[env.Name]
		if !ok {
			s = newSession(a, env)
			a.sessions[env.Name] = s
		}
		s.configure(env)
		if a.following {
			s.follow()
		}
		v.byName[env.Name] = s
		v.names = append(v.names, env.Name)
	}
	slices.Sort(v.names)
	a.view.Store(v)
	after := v.cachedTokens()
	for name := range a.sessions {
		if before[name] != after[name] {
			changed = append(changed, name)
		}
	}
	return changed
}

// cachedTokens returns the ID tokens in memory by environment. A nil view has none.
func (v *view) cachedTokens() map[string]*cachedCredential {
	all := make(map[string]*cachedCredential)
	if v == nil {
		return all
	}
	for name, s := range v.byName {
		all[name] = s.token.current.Load()
	}
	return all
}

// reservedSuffixes make the keys of what is stored besides a sign-in.
var reservedSuffixes = []string{firstTokenSuffix, refusedSuffix, replacedSuffix, untilSuffix, pendingSuffix, shared.SeenSuffix}

func (c Config) check() error {
	seen := make(map[string]bool)
	for _, env := range c.Environments {
		switch {
		case !store.ValidKey(env.Name):
			return configError("environment name %q: use lower-case letters, digits, '-' and '_'", env.Name)
		case slices.ContainsFunc(reservedSuffixes, func(suffix string) bool { return strings.HasSuffix(env.Name, suffix) }):
			return configError("environment name %q: the endings %s are reserved", env.Name, strings.Join(reservedSuffixes, ", "))
		case seen[env.Name]:
			return configError("environment %q is configured twice", env.Name)
		case env.ClientID == "" || env.UserPoolID == "":
			return configError("environment %q needs a user_pool_id and a client_id", env.Name)
		case env.Region == "" && env.Endpoint == "":
			return configError("environment %q needs a region", env.Name)
		}
		seen[env.Name] = true
	}
	if !seen[c.DefaultEnvironment] {
		return configError("default_environment %q is not among the environments", c.DefaultEnvironment)
	}
	if c.RefreshMargin < 0 {
		return configError("refresh_margin %s is below zero", c.RefreshMargin)
	}
	return nil
}

func configError(format string, args ...any) error {
	return &Error{Code: CodeConfiguration, Op: "configure", Message: fmt.Sprintf(format, args...)}
}

// Start lists the store's sign-ins, so that Status can report them at once, and starts the
// scheduler, which refreshes tokens ahead of their end. If an earlier agent was killed during
// a refresh or a login, Start finishes that in the background; otherwise it uses no network and
// reads no secret. If the store does not answer, Start logs that, and the first request of each
// environment asks the store again.
func (a *Agent) Start(ctx context.Context) error {
	if a.lockedError() != nil {
		return a.listLocked(ctx)
	}
	a.adopt(ctx, a.unsaved)
	a.unsaved = nil
	keys, err := a.store.Keys(ctx)
	switch {
	case err == nil:
		for name, s := range a.view.Load().byName {
			if a.fleet == nil {
				s.setListed(slices.Contains(keys, name))
			}
			if slices.Contains(keys, s.replacedRecord.key) {
				a.goTracked(s.resumeRevocation)
			}
			if slices.Contains(keys, s.untilMark.key) {
				a.goTracked(s.resumeUntil)
			}
		}
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		a.log.Warn("cannot list the stored sign-ins; the first request tries again", "op", "start", "error", err)
	}
	for _, s := range a.view.Load().byName {
		s.resume()
	}
	a.followFleet()
	if !a.goTracked(a.schedule) {
		return errors.New("agent: started after Close")
	}
	if _, ok := a.store.(store.Checker); ok {
		go a.watchStore()
	}
	return nil
}

const (
	softStop    = 10 * time.Second // how long Close waits for calls that cannot cost a sign-in
	lastSave    = 10 * time.Second // how long Close waits for the store
	afterCancel = time.Second      // how long Close waits for what it has cancelled
)

// Close waits for refreshes, saves and logouts in progress, makes the refresh that is due after
// a kill, and saves what is unsaved. If ctx ends first, Close cancels them and returns the error
// of ctx. It returns, whatever the store does.
func (a *Agent) Close(ctx context.Context) error {
	for _, s := range a.view.Load().byName {
		s.rescueLast()
	}
	a.mu.Lock()
	a.closing = true
	a.mu.Unlock()
	a.wakeScheduler()

	defer a.cancel()
	defer time.AfterFunc(softStop, a.softCancel).Stop()
	done := make(chan struct{})
	go func() {
		a.tasks.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		a.cancel()
		select {
		case <-done:
		case <-time.After(afterCancel):
		}
	}
	limit := lastSave
	if ctx.Err() != nil {
		limit = saveTimeout
	}
	a.resaveLost()
	a.saveLast(limit)
	a.pushLast(limit)
	a.markers.Flush()
	return ctx.Err()
}

// saveLast gives the store a last chance to take what it has not.
func (a *Agent) saveLast(limit time.Duration) {
	a.configureMu.Lock()
	defer a.configureMu.Unlock()
	var saves sync.WaitGroup
	for _, s := range a.sessions {
		saves.Go(func() { s.saveLast(limit) })
	}
	saves.Wait()
}

// goTracked runs f in a goroutine that Close waits for. It returns false if the agent is
// closing.
func (a *Agent) goTracked(f func()) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closing {
		return false
	}
	a.tasks.Go(f)
	return true
}

func (a *Agent) isClosing() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closing
}

// wakeScheduler makes the scheduler check again what is due.
func (a *Agent) wakeScheduler() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// now returns the wall clock without its monotonic reading, so that differences include
// suspend and clock jumps.
func (a *Agent) now() time.Time { return a.wallClock().Round(0) }

// maxQuoted is the most characters of what a caller made up that an error quotes.
const maxQuoted = 64

// session returns the session of an environment; "" means the default one.
func (a *Agent) session(op, name string) (*session, error) {
	if err := a.lockedError(); err != nil {
		return nil, err
	}
	v := a.view.Load()
	if name == "" {
		name = v.config.DefaultEnvironment
	}
	if s, ok := v.byName[name]; ok {
		return s, nil
	}
	return nil, &Error{
		Code: CodeUnknownEnvironment, Op: op,
		Message: fmt.Sprintf("unknown environment %q", sanitize.Cut(name, maxQuoted)),
		Hint:    suggest.Environments(name, v.names),
	}
}

// Status describes the agent and its environments, from memory.
func (a *Agent) Status(context.Context) (Status, error) {
	v := a.view.Load()
	st := Status{
		Version: a.version, PID: os.Getpid(),
		StartedAt: a.started.UTC().Truncate(time.Second), UptimeSeconds: int64(time.Since(a.started).Seconds()),
		DefaultEnvironment: v.config.DefaultEnvironment,
		Store:              a.describeStore(),
		Environments:       make([]EnvironmentStatus, 0, len(v.names)),
	}
	for _, name := range v.names {
		st.Environments = append(st.Environments, v.byName[name].status())
	}
	return st, nil
}
