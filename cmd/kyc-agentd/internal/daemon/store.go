package daemon

import (
	"context"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/marker"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/auto"
)

// openStore opens the store that the configuration asks for.
func (d *daemon) openStore(ctx context.Context) (store.Store, error) {
	s, err := auto.Open(ctx, auto.Options{
		Kind:           d.started.Store.String(),
		KeyFile:        d.started.KeyFile(d.opts.Vars),
		Getenv:         d.opts.Vars.Get,
		KeyringCommand: d.opts.KeyringCommand,
		Logger:         d.log,
	})
	if err != nil {
		return nil, &agent.Error{Code: agent.CodeConfiguration, Op: "store", Message: err.Error(), Err: err}
	}
	return s, nil
}

// markers returns where the agent notes that a refresh is in progress: beside the stored
// sign-ins, whatever the store is. What a private agent has in memory does not outlive it.
func (d *daemon) markers() agent.Markers {
	if d.started.Store.String() == "memory" {
		return nil
	}
	return marker.New(config.StateDir(d.opts.Vars))
}

// closeStore unlocks the file store's folder for the next daemon. It ignores the error,
// because the process is about to end.
func closeStore(s store.Store) { _ = auto.Close(s) }
