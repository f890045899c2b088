package main

import (
	"context"
	"net"
	"slices"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/ipc"
)

// sockets are what a daemon listens on.
type sockets struct {
	agent     net.Listener
	extra     net.Listener // for `ssh -R`; nil when nothing is forwarded
	inherited bool         // the agent's is the service manager's
}

// inheritSockets takes the sockets of the service manager, if it gives any.
func inheritSockets() (*sockets, error) {
	ln, extra, err := ipc.Inherited()
	return &sockets{ln, extra, ln != nil}, err
}

// listen makes the sockets that are missing.
func (s *sockets) listen(path string, c config.Config) (err error) {
	if s.agent == nil {
		if s.agent, err = ipc.Listen(path); err != nil {
			return err
		}
	}
	if s.extra == nil && len(c.ForwardEnvironments) > 0 {
		s.extra, err = ipc.Listen(extraSocketPath(s.agent.Addr().String()))
	}
	return err
}

// all are those that there are.
func (s *sockets) all() []net.Listener {
	return slices.DeleteFunc([]net.Listener{s.agent, s.extra}, func(ln net.Listener) bool { return ln == nil })
}

func (s *sockets) close() {
	for _, ln := range s.all() {
		_ = ln.Close()
	}
}

// extraSocketPath is the name of the socket for forwarding, beside the agent's: ssh
// takes a path, and whoever gets it must not have to be told which calls it takes.
func extraSocketPath(agentSocket string) string {
	return strings.TrimSuffix(agentSocket, ".sock") + ".extra.sock"
}

// serveExtra serves what may be forwarded, until ctx ends. That a forwarded socket fails
// is no reason for the agent to end.
func (d *daemon) serveExtra(ctx context.Context, ln net.Listener) {
	server := &ipc.Server{
		Service: agent.Restrict(d.agent, d.started.ForwardEnvironments...),
		Logger:  d.log.With("socket", "extra"),
		Version: programVersion(),
	}
	d.log.Info("forwarding", "socket", ln.Addr().String(), "environments", strings.Join(d.started.ForwardEnvironments, ", "))
	if err := server.Serve(ctx, ln); err != nil {
		d.log.Error("the socket for forwarding is broken; the agent's own goes on", "error", err)
	}
}
