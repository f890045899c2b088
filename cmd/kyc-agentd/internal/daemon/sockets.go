package daemon

import (
	"context"
	"net"
	"slices"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/ipc"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// sockets are the sockets on which a daemon listens.
type sockets struct {
	agent     net.Listener
	extra     net.Listener // for `ssh -R`; nil if there is none
	inherited bool         // the service manager passed the agent's
}

// inheritSockets takes the sockets that the service manager passes, if there are any.
func inheritSockets() (*sockets, error) {
	ln, extra, err := socket.FromSystemd()
	return &sockets{ln, extra, ln != nil}, err
}

// listen makes the sockets that the service manager did not pass.
func (s *sockets) listen(path string, c config.Config) (err error) {
	if s.agent == nil {
		if s.agent, err = socket.Listen(path); err != nil {
			return err
		}
	}
	if s.extra == nil && len(c.ForwardEnvironments) > 0 {
		s.extra, err = socket.Listen(extraSocketPath(s.agent.Addr().String()))
	}
	return err
}

func (s *sockets) all() []net.Listener {
	return slices.DeleteFunc([]net.Listener{s.agent, s.extra}, func(ln net.Listener) bool { return ln == nil })
}

func (s *sockets) close() {
	for _, ln := range s.all() {
		_ = ln.Close()
	}
}

// extraSocketPath returns the path of the extra socket, beside the agent's: `ssh -R` is given
// a path, and nothing more, so the path alone has to decide what is allowed.
func extraSocketPath(agentSocket string) string {
	return strings.TrimSuffix(agentSocket, ".sock") + ".extra.sock"
}

// serveExtra serves the extra socket until ctx ends: tokens of forward_environments, and
// nothing else. The agent keeps running if this socket fails.
func (d *daemon) serveExtra(ctx context.Context, ln net.Listener) {
	server := &ipc.Server{
		Service: agent.Restrict(d.agent, d.started.ForwardEnvironments...),
		Logger:  d.log.With("socket", "extra"),
		Version: d.opts.Version,
	}
	d.log.Info("serving the extra socket", "socket", ln.Addr().String(), "environments", strings.Join(d.started.ForwardEnvironments, ", "))
	if err := server.Serve(ctx, ln); err != nil {
		d.log.Error("the extra socket is broken; the agent's own socket keeps working", "error", err)
	}
}
