package main

import (
	"context"
	"os"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/auto"
	"github.com/legaltalent/kyc-agent/store/file"
	"github.com/legaltalent/kyc-agent/store/keyring"
)

// openStore opens the store that the configuration asks for.
func (d *daemon) openStore(ctx context.Context) (store.Store, error) {
	s, err := auto.Open(ctx, auto.Options{
		Kind:           d.started.Store.s,
		KeyFile:        d.started.keyFile(d.vars),
		Getenv:         d.vars.Get,
		KeyringCommand: keyring.SelfCommand(keyringVerb),
		Logger:         d.log,
	})
	if err != nil {
		return nil, &agent.Error{Code: agent.CodeConfiguration, Op: "store", Message: err.Error(), Err: err}
	}
	return s, nil
}

// keyFile is store_key_file, else the default one where it is.
func (c Config) keyFile(vars Environ) string {
	if path := underHome(c.StoreKeyFile.s, vars.Get("HOME")); path != "" {
		return path
	}
	path := file.DefaultKeyFile(vars.Get)
	if _, err := os.Lstat(path); err != nil {
		return ""
	}
	return path
}

// closeStore frees the file store's folder for the next daemon. At the end of a
// process nothing could be done about an error.
func closeStore(s store.Store) { _ = auto.Close(s) }
