package daemon

import (
	"context"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
	"github.com/legaltalent/kyc-agent/internal/marker"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/auto"
)

// openStore opens the store that the configuration asks for.
func (d *daemon) openStore(ctx context.Context) (store.Store, error) {
	options := d.storeOptions(d.started)
	if d.started.Shared() {
		options.Kind = auto.File // for what the fleet does not have yet
	}
	s, err := auto.Open(ctx, options)
	if err != nil {
		return nil, &agent.Error{Code: agent.CodeConfiguration, Op: "store", Message: err.Error(), Err: err}
	}
	return s, nil
}

func (d *daemon) storeOptions(c config.Config) auto.Options {
	return auto.Options{
		Kind:           c.Store.String(),
		KeyFile:        c.KeyFile(d.opts.Vars),
		NewKeyFile:     c.NewKeyFile(d.opts.Vars),
		Getenv:         d.opts.Vars.Get,
		KeyringCommand: d.opts.KeyringCommand,
		Logger:         d.log,
	}
}

// keepInFiles moves sign-ins from memory into the store that c asks for, if there is one now.
func (d *daemon) keepInFiles(ctx context.Context, c config.Config) error {
	found, err := auto.Reopen(context.WithoutCancel(ctx), d.store, d.storeOptions(c))
	if found {
		d.started.Store, d.started.StoreKeyFile = c.Store, c.StoreKeyFile
		notify("STATUS=sign-ins are kept " + statustext.Store(store.Describe(d.store)))
	}
	if err == nil {
		return nil
	}
	e := &agent.Error{Code: agent.CodeConfiguration, Op: "store", Message: "configuration reloaded, but sign-ins stay in memory: " + err.Error(), Err: err}
	d.log.Warn(e.Error())
	return e
}

// markers returns where the agent notes that a refresh is in progress: beside the stored
// sign-ins, whatever the store is. What a private agent has in memory does not outlive it.
func (d *daemon) markers() agent.Markers {
	if d.started.Store.String() == "memory" || d.started.Shared() { // a lease that is left is the fleet's note
		return nil
	}
	return marker.New(config.StateDir(d.opts.Vars))
}

// storeInfo describes where sign-ins are kept.
func (d *daemon) storeInfo() store.Info {
	st, _ := d.agent.Status(context.Background()) // from memory; it has no error
	return st.Store
}

// closeStore unlocks the file store's folder for the next daemon. It ignores the error,
// because the process is about to end.
func closeStore(s store.Store) { _ = auto.Close(s) }
