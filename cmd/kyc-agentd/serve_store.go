package main

import (
	"context"
	"io"
	"os"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/file"
	"github.com/legaltalent/kyc-agent/store/memory"
)

// openStore opens the store that the configuration asks for.
func (d *daemon) openStore(context.Context) (store.Store, error) {
	switch d.started.Store.s {
	case "file":
		ids, _, err := file.FindIdentity(d.vars.get, d.keyFile())
		if err != nil {
			return nil, storeError(err)
		}
		s, err := file.Open(file.DefaultDir(d.vars.get), ids...)
		if err != nil {
			return nil, storeError(err)
		}
		return s, nil
	default:
		return memory.New(), nil
	}
}

// keyFile is store_key_file, else the default one where it is.
func (d *daemon) keyFile() string {
	if path := underHome(d.started.StoreKeyFile, d.vars.get("HOME")); path != "" {
		return path
	}
	path := file.DefaultKeyFile(d.vars.get)
	if _, err := os.Lstat(path); err != nil {
		return ""
	}
	return path
}

func storeError(err error) error {
	return &agent.Error{Code: agent.CodeConfiguration, Op: "store", Message: err.Error(), Err: err}
}

func closeStore(s store.Store) {
	if c, ok := s.(io.Closer); ok {
		_ = c.Close()
	}
}
