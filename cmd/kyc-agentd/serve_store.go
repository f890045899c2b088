package main

import (
	"context"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/auto"
	"github.com/legaltalent/kyc-agent/store/keyring"
)

// openStore opens the store that the configuration asks for.
func (d *daemon) openStore(ctx context.Context) (store.Store, error) {
	s, err := auto.Open(ctx, auto.Options{
		Kind:           d.started.Store.String(),
		KeyFile:        d.started.KeyFile(d.vars),
		Getenv:         d.vars.Get,
		KeyringCommand: keyring.SelfCommand(keyringVerb),
		Logger:         d.log,
	})
	if err != nil {
		return nil, &agent.Error{Code: agent.CodeConfiguration, Op: "store", Message: err.Error(), Err: err}
	}
	return s, nil
}

// closeStore frees the file store's folder for the next daemon. At the end of a
// process nothing could be done about an error.
func closeStore(s store.Store) { _ = auto.Close(s) }
