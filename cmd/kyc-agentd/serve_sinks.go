package main

import (
	"cmp"
	"context"
	"path/filepath"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/sink"
	"github.com/legaltalent/kyc-agent/store/file"
)

// token is for the token files, which are there before the agent is.
func (d *daemon) token(ctx context.Context, req agent.TokenRequest) (agent.Token, error) {
	return d.agent.Token(ctx, req)
}

// service is the agent with the token files, of which it does not know.
type service struct {
	*agent.Agent
	sinks *sink.Manager
}

func (s service) Status(ctx context.Context) (agent.Status, error) {
	st, err := s.Agent.Status(ctx)
	st.Sinks = s.sinks.Status()
	return st, err
}

// pathOwner is for [Config.resolveSinks]: a token file takes the place of what is at its path, and
// that must not be what the daemon itself lives on.
func (d *daemon) pathOwner(c Config) func(path string) string {
	home := d.vars.Get("HOME")
	taken := map[string]string{
		filepath.Clean(cmp.Or(d.flags.config, defaultConfigFile(d.vars))): "the configuration",
		filepath.Clean(file.DefaultKeyFile(d.vars.Get)):                   "the file store's key",
		filepath.Clean(underHome(c.StoreKeyFile.s, home)):                 "the file store's key",
	}
	for _, e := range c.Environments {
		taken[filepath.Clean(underHome(e.ClientSecretFile.s, home))] = "a client_secret_file"
		taken[filepath.Clean(underHome(e.PasswordFile.s, home))] = "a password_file"
	}
	sockets, records := filepath.Dir(d.socket), file.DefaultDir(d.vars.Get)
	return func(path string) string {
		switch dir, name := filepath.Split(path); filepath.Clean(dir) {
		case sockets:
			if strings.HasSuffix(strings.TrimSuffix(name, ".lock"), ".sock") || path == d.socket || path == d.socket+".lock" {
				return "the daemon's socket or its lock"
			}
		case records:
			return "in the file store's folder"
		}
		return taken[path]
	}
}
