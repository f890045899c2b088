// Package daemon wires the agent to its store, socket, token files and service manager,
// and runs it until its context ends.
//
// Call [Serve] for the daemon, or [ServeWhile] for an agent that lives as long as one
// command. This is the only package that knows all adapters (ipc, agent/cognito,
// agent/awscreds, agent/sink, store/...), which do not know one another.
//
// sockets.go listens; policysockets.go serves the sockets with a policy;
// keep.go makes a socket again that was removed; reload.go loads a changed configuration; refuse.go answers clients when the daemon cannot
// start; notify.go talks to the service manager; metrics.go serves the metrics; exec.go replaces
// the process by another image of itself; lock.go, unlock.go and autolock.go lock the sign-ins.
package daemon

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/approval"
	"github.com/legaltalent/kyc-agent/agent/audit"
	"github.com/legaltalent/kyc-agent/agent/awscreds"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/lock"
	"github.com/legaltalent/kyc-agent/agent/sink"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/logging"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/version"
	"github.com/legaltalent/kyc-agent/internal/handover"
	"github.com/legaltalent/kyc-agent/ipc"
	"github.com/legaltalent/kyc-agent/ipc/apiproxy/pace"
	"github.com/legaltalent/kyc-agent/ipc/socket"
	"github.com/legaltalent/kyc-agent/store"
)

// stopWithin is how long the daemon waits for running refreshes when it stops. Cutting one
// off could lose a refresh token that Cognito has already rotated, and Cognito may take a
// minute. TimeoutStopSec= of the unit is longer.
const stopWithin = 65 * time.Second

// Options are the flags of `serve`, and what the program knows. Store and Level, if they
// are set, override the configuration.
type Options struct {
	ConfigFile string // "" is the default one, which may be missing
	Store      config.StoreKind
	Level      config.Level
	NoProxyAPI bool // do not forward requests to the API
	NoSinks    bool // leave the token files to another daemon

	Vars    config.Environ
	Socket  string    // where to listen, if the service manager passes no socket
	Log     io.Writer // standard error
	Version string    // of this program

	// KeyringCommand runs the child process of package keyring.
	KeyringCommand []string
	// PassphraseCommand runs the child process of package lock.
	PassphraseCommand []string
	// Harden is [Harden], or does nothing in a test: it cannot be undone.
	Harden func() error
}

// load reads the configuration and applies the flags.
func (o Options) load() (c config.Config, warnings []string, err error) {
	if err := config.CheckCertificates(o.Vars); err != nil {
		return c, nil, err
	}
	c, warnings, err = config.Load(o.ConfigFile, o.Vars)
	if o.Store.String() != "" {
		c.Store = o.Store
	}
	if o.Level.String() != "" {
		c.LogLevel = o.Level
	}
	if o.NoSinks {
		c.Sinks = nil
	}
	return c, warnings, err
}

type daemon struct {
	opts  Options
	log   *slog.Logger
	level *slog.LevelVar
	store store.Store
	agent *agent.Agent
	sinks *sink.Manager
	pace  *pace.Pacer // for the API on all sockets
	audit *audit.Log  // nil before the configuration is known

	metrics       *metrics
	policySockets *policySockets
	approvals     *approval.Approvals // nil where nobody is asked: see ServeWhile
	hardening     agent.Hardening

	settings     atomic.Pointer[settings]            // see service.Status
	environments atomic.Pointer[[]agent.Environment] // see issued

	lock     lockKeeper
	autoLock autoLock

	next       chan nextImage // cap 1; see leave
	imageError string         // why the last image could not be replaced

	reloading    sync.Mutex
	started      config.Config // the configuration at the start: a new store needs a restart
	inForce      config.Config // the newest that was accepted
	startedAgent agent.Config  // what it meant for the agent; see keepUnattended
}

// newDaemon returns a daemon that has its log, but no configuration and no agent yet.
func newDaemon(o Options) *daemon {
	logging.IgnoreSIGPIPE()
	d := &daemon{opts: o, level: new(slog.LevelVar), next: make(chan nextImage, 1)}
	d.policySockets = &policySockets{daemon: d}
	d.lock.daemon, d.lock.folder = d, lock.New("")
	d.autoLock.daemon, d.autoLock.screens = d, receiveScreens()
	d.log = logging.New(o.Log, d.level, o.Vars)
	d.pace = pace.New(d.log)
	d.metrics = newMetrics(
		func(ctx context.Context) (agent.Status, error) { return service{d.agent, d}.Status(ctx) },
		func() audit.Status { return d.audit.Status() },
	)
	return d
}

// Serve runs the daemon until ctx ends. It then finishes open requests and refreshes. In between
// the process may become another image of itself; if that fails, this image goes on with what
// was to be handed on.
func Serve(ctx context.Context, o Options) error {
	closedFromStart := memoryClosed()
	notHardened := o.Harden()
	if err := handover.Receive(); err != nil {
		return err
	}
	nameProcess()
	for imageError := ""; ; {
		d := newDaemon(o)
		d.hardening = agent.Hardening{MemoryClosed: memoryClosed() && noCore(), MemoryClosedFromStart: closedFromStart}
		d.imageError = imageError
		d.lock.open(config.StateDir(o.Vars))
		if notHardened != nil {
			d.log.Warn("this process is less private than it should be", "error", notHardened)
			notHardened = nil
		}
		next, err := d.serveOnce(ctx)
		if next == nil || ctx.Err() != nil {
			return err
		}
		err = d.execute(*next)
		d.sinks.Close(ctx)
		d.log.Error("this process could not be replaced by a fresh image; it goes on", "error", err)
		imageError = err.Error()
	}
}

// serveOnce runs the daemon until ctx ends, or until another image is to take over.
func (d *daemon) serveOnce(ctx context.Context) (*nextImage, error) {
	s, err := inheritSockets(d.log)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := d.start(ctx, s); err != nil {
		if s.inherited {
			refuse(ctx, s, err, d.log, d.canStart)
		}
		return nil, err
	}
	defer closeStore(d.store)
	next := d.lock.finish(ctx)
	if next == nil {
		next, err = d.serve(ctx, s)
	} else if err = d.handOver(s); err == nil {
		d.close(true)
		d.closeAudit(next.reason())
	}
	if next == nil || err != nil {
		return nil, err
	}
	if err := d.handOverValues(); err != nil {
		d.log.Error("what is only in memory cannot be handed to the next image", "error", err)
	}
	return next, nil
}

// start does everything that can fail before the daemon serves on s.
func (d *daemon) start(ctx context.Context, s *sockets) error {
	if err := d.configure(); err != nil {
		return err
	}
	if err := s.listen(d.opts.Socket, d.opts.Vars, d.started); err != nil {
		return err
	}
	if err := d.makeAgent(ctx); err != nil {
		return err
	}
	d.approvals = d.newApprovals()
	return nil
}

// configure loads the configuration for the first time.
func (d *daemon) configure() error {
	c, warnings, err := d.opts.load()
	if err != nil {
		return err
	}
	d.started = c
	d.audit = d.openAudit(c)
	d.apply(c, warnings)
	return nil
}

// apply sets the log level and logs the warnings.
func (d *daemon) apply(c config.Config, warnings []string) {
	d.inForce = c
	d.level.Set(c.SlogLevel())
	d.audit.SetMode(audit.Mode(c.Audit.String()))
	for _, w := range warnings {
		d.log.Warn(w)
	}
}

// makeAgent opens the store and starts the agent on it.
func (d *daemon) makeAgent(ctx context.Context) (err error) {
	agentConfig, err := d.started.AgentConfig(d.opts.Vars)
	if err != nil {
		return err
	}
	sinks, err := d.started.ResolveSinks(d.opts.Vars, d.opts.ConfigFile, d.opts.Socket)
	if err != nil {
		return err
	}
	if d.store, err = d.openStore(ctx); err != nil {
		return err
	}
	fleet, err := d.openFleet()
	if err != nil {
		return err
	}
	d.sinks = d.newSinks()
	d.agent, err = agent.New(agent.Options{
		Authenticator: cognito.New(cognito.Options{Logger: d.log}),
		Exchanger:     awscreds.New(awscreds.Options{Logger: d.log}),
		Store:         d.store,
		Config:        agentConfig,
		Logger:        d.log,
		Version:       d.opts.Version,
		OnChange:      d.sinks.OnChange,
		OnUnattended:  d.recordUnattended,
		Markers:       d.markers(),
		Unsaved:       d.lock.receive(d.receiveValues(ctx)),
		Locked:        d.lock.reason(),
		Fleet:         fleet,
	})
	if err != nil {
		return err
	}
	d.startedAgent = agentConfig
	d.setEnvironments(agentConfig, nil)
	d.logEndpoints(agentConfig)
	d.checkUnattended(agentConfig)
	if err := d.agent.Start(ctx); err != nil {
		return err
	}
	if d.lock.isLocked() {
		sinks = nil
	}
	d.sinks.Configure(sinks)
	return nil
}

// serve answers on s until ctx ends, and then stops as [Serve] does, or until another image is to
// take over, which it returns.
func (d *daemon) serve(ctx context.Context, s *sockets) (next *nextImage, err error) {
	serving, end := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := func() { end(nil) }
	context.AfterFunc(ctx, func() { beginShutdown(stop) })
	var background sync.WaitGroup
	defer background.Wait() // after stop
	defer stop()
	background.Go(func() { d.reloadOnHangup(serving) })
	background.Go(func() { d.lock.retry(serving) })
	background.Go(func() { feedWatchdog(serving, statusProbe(s.agent[0]), d.probeFailed) })
	for _, ln := range s.agent {
		background.Go(func() { d.keep(serving, ln) })
	}
	d.policySockets.begin(serving, s, d.started)
	d.autoLock.begin(serving, d.started.AutoLockConfig())
	handover.CloseRest()
	background.Go(func() { <-serving.Done(); d.policySockets.wait() })
	left := make(chan *nextImage, 1)
	background.Go(func() { left <- d.waitForNext(serving, s, end) })
	server := d.server()
	for _, ln := range s.agent[1:] {
		background.Go(func() { _ = server.Serve(serving, ln) })
	}

	d.recordStart()
	d.log.Info("ready", "socket", s.agent[0].Addr().String(), "store", d.storeInfo().Kind, "version", d.opts.Version)
	notify("READY=1", "STATUS=sign-ins are kept "+statustext.Store(d.storeInfo()))
	err = server.Serve(serving, s.agent[0])
	stop()
	next = <-left
	reason := cmp.Or(context.Cause(ctx), err, next.reason())
	d.log.Info("stopping", "reason", reason)
	d.close(next == nil || next.forget)
	d.approvals.Close()
	d.closeAudit(reason)
	d.log.Info("stopped")
	return next, err
}

// server returns the API on the agent's socket.
func (d *daemon) server() *ipc.Server {
	var owner ipc.Daemon // an agent of one command is not replaced, and has nothing to lock
	var prover ipc.Prover
	if d.lock.turns != nil {
		owner, prover = d, d
	}
	return &ipc.Server{
		Service: service{d.agent, d}, Reload: d.reload, Logger: d.log, Proxy: !d.opts.NoProxyAPI, Pace: d.pace,
		Version: d.opts.Version, BinaryReplaced: version.BinaryReplaced, Metrics: d.metrics.handler(),
		OnRequest: func(info ipc.RequestInfo) { d.metrics.observe(info); d.autoLock.observe(info) },
		Audit:     d.audit, Approvals: d.approvals, Prover: prover, Daemon: owner,
	}
}

// beginShutdown handles the first signal. A second signal ends the process at once, so the
// default action has to be restored before anything is stopped.
func beginShutdown(stop func()) {
	signal.Reset(os.Interrupt, syscall.SIGTERM)
	notify("STOPPING=1", fmt.Sprintf("STATUS=finishing open requests; a refresh at Cognito has up to %s", stopWithin))
	stop()
}

// close removes the token files, unless the next image goes on with them, and waits for running
// refreshes.
func (d *daemon) close(files bool) {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	var sinks sync.WaitGroup // in parallel: a file system that hangs must not take time from a refresh
	if files {
		sinks.Go(func() { d.sinks.Close(ctx) })
	}
	defer sinks.Wait()
	closing, closed := context.WithCancel(ctx)
	defer closed()
	go feedWatchdog(closing, func(context.Context) error { return nil }, func(error) {}) // the socket is closed by now
	if d.lock.closedAgent() {
		return
	}
	if err := d.agent.Close(ctx); err != nil {
		d.log.Error("a refresh was cut off; if the sign-in does not work after the next start, run: kyc-agentd login", "error", err)
	}
}

// statusProbe returns a function that asks the daemon for its status as every client does,
// or past the path if that was removed: the watchdog is for a daemon that hangs.
func statusProbe(ln *socket.Listener) func(context.Context) error {
	client := &ipc.Client{Socket: ln.Addr().String(), Dial: ln.Dial}
	return func(ctx context.Context) error {
		_, err := client.Status(ctx)
		return err
	}
}

func (d *daemon) probeFailed(err error) {
	d.log.Error("the daemon does not answer on its own socket; the service manager will restart it", "error", err)
}
