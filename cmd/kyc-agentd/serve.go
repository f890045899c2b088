package main

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/awscreds"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/sink"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/logging"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
	programversion "github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/version"
	"github.com/legaltalent/kyc-agent/ipc"
	"github.com/legaltalent/kyc-agent/store"
)

// stopWithin bounds how long a refresh in hand may hold up the end. Cutting it off
// could lose a refresh token that Cognito has rotated already.
const stopWithin = 22 * time.Second

// serveFlags go before the environment variables and config.toml.
type serveFlags struct {
	config string
	store  config.StoreKind
	level  config.Level

	noProxyAPI bool
	noSinks    bool // of `run`: the token files are the daemon's
}

func (c *cli) serveCommand() *cobra.Command {
	var flags serveFlags
	cmd := &cobra.Command{
		Use: "serve", Long: usageServe, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.runDaemon(cmd.Context(), flags)
		},
	}
	cmd.Flags().StringVar(&flags.config, "config", "", "")
	cmd.Flags().Var(&flags.store, "store", "")
	cmd.Flags().Var(&flags.level, "log-level", "")
	cmd.Flags().BoolVar(&flags.noProxyAPI, "no-proxy-api", false, "")
	_ = cmd.RegisterFlagCompletionFunc("store", completeValues("auto", "file", "keyring", "memory"))
	_ = cmd.RegisterFlagCompletionFunc("log-level", completeValues("debug", "error", "info", "warn"))
	return cmd
}

// load reads the configuration as this daemon sees it.
func (f serveFlags) load(vars config.Environ) (c config.Config, warnings []string, err error) {
	c, warnings, err = config.Load(f.config, vars)
	if f.store.String() != "" {
		c.Store = f.store
	}
	if f.level.String() != "" {
		c.LogLevel = f.level
	}
	if f.noSinks {
		c.Sinks = nil
	}
	return c, warnings, err
}

// daemon is a running `serve`.
type daemon struct {
	flags  serveFlags
	vars   config.Environ
	socket string // where it is to serve, unless the service manager gave it a socket
	log    *slog.Logger
	level  *slog.LevelVar
	store  store.Store
	agent  *agent.Agent
	sinks  *sink.Manager

	reloading sync.Mutex
	started   config.Config // with what it was started: a new store needs a restart
}

// runDaemon serves until ctx ends.
func (c *cli) runDaemon(ctx context.Context, flags serveFlags) error {
	notHardened := c.harden()
	d := c.newDaemon(flags, c.socketPath())
	s, err := inheritSockets()
	if err != nil {
		return err
	}
	defer s.close()
	if err := d.start(ctx, s); err != nil {
		if s.inherited {
			refuse(ctx, s.all(), err, d.log, d.canStart)
		}
		return err
	}
	defer closeStore(d.store)
	if notHardened != nil {
		d.log.Warn("this process is less private than it should be", "error", notHardened)
	}
	return d.serve(ctx, s)
}

// newDaemon makes one that has its log, and no configuration and no agent yet.
func (c *cli) newDaemon(flags serveFlags, socket string) *daemon {
	logging.IgnoreSIGPIPE()
	d := &daemon{flags: flags, vars: c.vars, socket: socket, level: new(slog.LevelVar)}
	d.log = logging.New(c.err, d.level, c.vars)
	return d
}

// start is everything that can fail before the daemon serves on s.
func (d *daemon) start(ctx context.Context, s *sockets) error {
	if err := d.configure(); err != nil {
		return err
	}
	if err := s.listen(d.socket, d.started); err != nil {
		return err
	}
	return d.makeAgent(ctx)
}

// configure reads the configuration for the first time.
func (d *daemon) configure() error {
	c, warnings, err := d.flags.load(d.vars)
	if err != nil {
		return err
	}
	d.started = c
	d.apply(c, warnings)
	return nil
}

// apply puts in force what is not the agent's.
func (d *daemon) apply(c config.Config, warnings []string) {
	d.level.Set(c.SlogLevel())
	for _, w := range warnings {
		d.log.Warn(w)
	}
}

// makeAgent opens the store and starts the agent on it.
func (d *daemon) makeAgent(ctx context.Context) (err error) {
	config, err := d.started.AgentConfig(d.vars)
	if err != nil {
		return err
	}
	sinks, err := d.started.ResolveSinks(d.vars, d.flags.config, d.socket)
	if err != nil {
		return err
	}
	if d.store, err = d.openStore(ctx); err != nil {
		return err
	}
	d.sinks = sink.New(sink.Options{Token: d.token, Render: ipc.Render, Logger: d.log})
	d.agent, err = agent.New(agent.Options{
		Authenticator: cognito.New(cognito.Options{Logger: d.log}),
		Exchanger:     awscreds.New(awscreds.Options{Logger: d.log}),
		Store:         d.store,
		Config:        config,
		Logger:        d.log,
		Version:       programVersion(),
		OnChange:      d.sinks.OnChange,
	})
	if err != nil {
		return err
	}
	d.checkUnattended(config)
	if err := d.agent.Start(ctx); err != nil {
		return err
	}
	d.sinks.Configure(sinks)
	return nil
}

// checkUnattended says early what the first unattended sign-in would fail of. It is no
// more than a warning: the file may come later than the daemon.
func (d *daemon) checkUnattended(c agent.Config) {
	for _, e := range c.Environments {
		if e.Unattended == nil {
			continue
		}
		if _, err := e.Unattended.Credential(); err != nil {
			d.log.Warn("the agent cannot sign in by itself yet", "env", e.Name, "error", err)
		}
	}
}

// serve answers on s until ctx ends, and then finishes what is in hand.
func (d *daemon) serve(ctx context.Context, s *sockets) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { d.beginShutdown(stop) })
	var helpers sync.WaitGroup
	defer helpers.Wait() // after stop
	defer stop()
	helpers.Go(func() { d.reloadOnHangup(serving) })
	socket := s.agent.Addr().String()
	helpers.Go(func() { feedWatchdog(serving, selfCheck(socket), d.probeFailed) })
	if s.extra != nil {
		helpers.Go(func() { d.serveExtra(serving, s.extra) })
	}

	d.log.Info("ready", "socket", socket, "store", store.Describe(d.store).Kind, "version", programVersion())
	notify("READY=1", "STATUS=sign-ins are kept "+statustext.Store(store.Describe(d.store)))
	err := d.server().Serve(serving, s.agent)
	d.log.Info("stopping", "reason", cmp.Or(context.Cause(ctx), err))
	d.close()
	d.log.Info("stopped")
	return err
}

// server is the agent's socket API.
func (d *daemon) server() *ipc.Server {
	all := service{d.agent, d.sinks}
	figures := newMetrics(all.Status)
	return &ipc.Server{
		Service: all, Reload: d.reload, Logger: d.log, Proxy: !d.flags.noProxyAPI,
		Version: programVersion(), BinaryReplaced: programversion.BinaryReplaced, Metrics: figures.render, OnRequest: figures.observe,
	}
}

// beginShutdown is what the first signal does. The second ends the process at once, for
// a person who will not wait; so the default comes back before anything is stopped.
func (d *daemon) beginShutdown(stop func()) {
	signal.Reset(os.Interrupt, syscall.SIGTERM)
	notify("STOPPING=1", "STATUS=finishing what is in hand")
	stop()
}

// close removes the token files and waits for the refresh in hand.
func (d *daemon) close() {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	var sinks sync.WaitGroup // beside it: a file system that hangs takes no time from a refresh
	sinks.Go(func() { d.sinks.Close(ctx) })
	defer sinks.Wait()
	if err := d.agent.Close(ctx); err != nil {
		d.log.Error("a refresh in hand was cut off; if it does not work at the next start: kyc-agentd login", "error", err)
	}
}

// selfCheck asks the daemon for its status by the way every client takes.
func selfCheck(socket string) func(context.Context) error {
	client := &ipc.Client{Socket: socket}
	return func(ctx context.Context) error {
		_, err := client.Status(ctx)
		return err
	}
}

func (d *daemon) probeFailed(err error) {
	d.log.Error("the daemon does not answer on its own socket; the service manager will restart it", "error", err)
}

// reloadOnHangup makes SIGHUP a reload, until ctx ends. `kyc-agentd reload` is
// better: it waits, and says what is wrong.
func (d *daemon) reloadOnHangup(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			_ = d.reload(ctx) // it logs
		}
	}
}

// reload reads the configuration again. After an error all is as before, except
// where the message says otherwise.
func (d *daemon) reload(context.Context) error {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	r, err := d.load()
	if err == nil {
		err = d.agent.Configure(r.agent)
	}
	if err != nil {
		d.log.Error("the configuration cannot be used; the old one stays", "error", err)
		return err
	}
	d.apply(r.Config, r.warnings)
	d.sinks.Configure(r.sinks)
	d.checkUnattended(r.agent)
	d.log.Info("configuration read again")
	return d.checkRestart(r.Config)
}

// A loaded is a configuration with what it means for the parts of a daemon.
type loaded struct {
	config.Config
	warnings []string
	agent    agent.Config
	sinks    []sink.Sink
}

func (d *daemon) load() (r loaded, err error) {
	if r.Config, r.warnings, err = d.flags.load(d.vars); err != nil {
		return r, err
	}
	if r.agent, err = r.AgentConfig(d.vars); err != nil {
		return r, err
	}
	r.sinks, err = r.Config.ResolveSinks(d.vars, d.flags.config, d.socket)
	return r, err
}

// canStart is nil when a daemon that is started now would take the configuration.
func (d *daemon) canStart() error {
	_, err := d.load()
	return err
}

// checkRestart says what of c is not in force yet.
func (d *daemon) checkRestart(c config.Config) error {
	var keys string
	switch {
	case c.Store != d.started.Store || c.StoreKeyFile != d.started.StoreKeyFile:
		keys = "store and store_key_file need"
	case !slices.Equal(c.ForwardEnvironments, d.started.ForwardEnvironments):
		keys = "forward_environments needs"
	default:
		return nil
	}
	err := &agent.Error{
		Code: agent.CodeConfiguration, Op: "reload",
		Message: "read again, but " + keys + " a restart", Hint: "run: systemctl --user restart kyc-agentd.service",
	}
	d.log.Warn(err.Error())
	return err
}
