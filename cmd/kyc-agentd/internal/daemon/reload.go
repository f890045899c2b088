package daemon

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/audit"
	"github.com/legaltalent/kyc-agent/agent/sink"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
	"github.com/legaltalent/kyc-agent/ipc"
)

// reloadOnHangup makes SIGHUP a reload, until ctx ends. `kyc-agentd reload` is better: it
// waits for the result, and prints what is wrong.
func (d *daemon) reloadOnHangup(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			err := d.reload(ctx, ipc.Passphrase{}, "") // it logs
			_ = d.audit.Record(ctx, audit.Event{Kind: audit.Reload, Detail: "SIGHUP", Code: codeOf(err)})
		}
	}
}

// reload loads the configuration again. An error means that nothing has changed, unless
// its message says otherwise. p and shown are for [daemon.checkLoosened].
func (d *daemon) reload(ctx context.Context, p ipc.Passphrase, shown string) error {
	proved, err := d.proved(ctx, p)
	if err != nil {
		return err
	}
	d.reloading.Lock()
	defer d.reloading.Unlock()
	if err := d.lock.reason(); err != nil {
		return err
	}
	l, err := d.load()
	if err == nil {
		err = d.checkLoosened(l.config, proved, shown)
	}
	kept := d.keepUnattended(l)
	if err == nil {
		err = d.agent.Configure(l.agent)
	}
	if err != nil {
		d.log.Error("the configuration cannot be used; the old one stays in force", "error", err)
		return err
	}
	d.apply(l.config, l.warnings)
	d.setEnvironments(l.agent, kept)
	d.sinks.Configure(l.sinks)
	d.checkUnattended(l.agent)
	if d.approvals != nil {
		d.approvals.Configure(l.config.Confirmed())
	}
	d.autoLock.configure(l.config.AutoLockConfig())
	sockets := d.policySockets.configure(l.config)
	d.log.Info("configuration reloaded")
	d.logEndpoints(l.agent)
	unkept := d.keepInFiles(ctx, l.config)
	return cmp.Or(unkept, d.checkRestart(l.config, kept), reloadedBut(sockets))
}

// loaded is a configuration, and what it means for the parts of a daemon.
type loaded struct {
	config   config.Config
	warnings []string
	agent    agent.Config
	sinks    []sink.Sink
}

func (d *daemon) load() (l loaded, err error) {
	if l.config, l.warnings, err = d.opts.load(); err != nil {
		return l, err
	}
	if l.agent, err = l.config.AgentConfig(d.opts.Vars); err != nil {
		return l, err
	}
	l.sinks, err = l.config.ResolveSinks(d.opts.Vars, d.opts.ConfigFile, d.opts.Socket)
	return l, err
}

// canStart returns nil if a daemon that is started now would accept the configuration.
func (d *daemon) canStart() error {
	_, err := d.load()
	return err
}

// reloadedBut returns the error of a reload after which a socket is missing.
func reloadedBut(err error) error {
	e, ok := errors.AsType[*agent.Error](err)
	if !ok {
		return err
	}
	return &agent.Error{Code: e.Code, Op: "reload", Message: "configuration reloaded, but " + e.Message, Hint: "correct that, then run: kyc-agentd reload"}
}

// checkRestart returns an error if c has a change that needs a restart, or kept names one.
func (d *daemon) checkRestart(c config.Config, kept map[string]map[string]string) error {
	var changes []string
	if c.FleetDiffers(d.started) {
		changes = append(changes, "the keys of the shared store need a restart")
	}
	if c.Store != d.started.Store || c.StoreKeyFile != d.started.StoreKeyFile {
		changes = append(changes, "store and store_key_file need a restart")
	}
	if !slices.Equal(c.ForwardEnvironments, d.started.ForwardEnvironments) {
		changes = append(changes, "forward_environments needs a restart")
	} else if d.policySockets.fixed(c) {
		changes = append(changes, "the socket "+agent.ForwardingSocket+", which the service manager made, needs a restart")
	}
	for _, name := range slices.Sorted(maps.Keys(kept)) {
		changes = append(changes, name+", which signs in by itself, needs a restart to take "+statustext.NeedsRestart(kept[name]))
	}
	if len(changes) == 0 {
		return nil
	}
	err := &agent.Error{
		Code: agent.CodeConfiguration, Op: "reload",
		Message: "configuration reloaded, but " + strings.Join(changes, ", and "), Hint: "run: systemctl --user restart kyc-agentd.service",
	}
	d.log.Warn(err.Error())
	return err
}
