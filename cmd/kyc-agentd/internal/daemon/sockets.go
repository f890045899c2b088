package daemon

import (
	"cmp"
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/ipc"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// sockets are the sockets on which a daemon listens.
type sockets struct {
	agent     *socket.Listener
	extra     *socket.Listener // for `ssh -R`; nil if there is none
	named     []namedSocket
	inherited bool // the service manager passed the agent's
}

// A namedSocket is one in a folder of its own, for a container: socket.NamedPath.
type namedSocket struct {
	name string
	ln   *socket.Listener
}

// extraName is the name of the socket that forward_environments is about.
const extraName = "extra"

// inheritSockets takes the sockets that the service manager passes, if there are any.
func inheritSockets() (*sockets, error) {
	ln, extra, err := socket.FromSystemd()
	return &sockets{agent: ln, extra: extra, inherited: ln != nil}, err
}

// listen makes the sockets that the service manager did not pass.
func (s *sockets) listen(path string, vars config.Environ, c config.Config, log *slog.Logger) (err error) {
	if s.agent == nil {
		if err := checkVariable(path, vars); err != nil {
			return err
		}
		if s.agent, err = socket.Listen(path); err != nil {
			return err
		}
	}
	if len(c.ForwardEnvironments) == 0 {
		return nil
	}
	if s.extra == nil {
		if s.extra, err = socket.Listen(extraSocketPath(s.agent.Addr().String())); err != nil {
			return err
		}
	}
	// A path that is long enough for the sockets above may be too long for this one, and
	// an agent that started without it has to go on starting.
	if err := s.listenNamed(extraName); err != nil {
		log.Warn("there is no extra socket for containers; that for ssh works", "error", err)
	}
	return nil
}

// checkVariable refuses a relative $KYC_AGENT_SOCK, which means another socket to each client
// in another folder.
func checkVariable(path string, vars config.Environ) error {
	if path != vars.Get("KYC_AGENT_SOCK") || filepath.IsAbs(path) {
		return nil
	}
	return &agent.Error{
		Code: agent.CodeConfiguration, Op: "listen", Hint: "set KYC_AGENT_SOCK to an absolute path, or unset it",
		Message: path + " " + cmp.Or(socket.Misnamed(path), "is a relative path, which names another socket in every folder"),
	}
}

// listenNamed makes the socket called name.
func (s *sockets) listenNamed(name string) error {
	ln, err := socket.ListenNamed(s.agent.Addr().String(), name)
	if err != nil {
		return err
	}
	s.named = append(s.named, namedSocket{name, ln})
	return nil
}

func (s *sockets) all() []*socket.Listener {
	all := []*socket.Listener{s.agent, s.extra}
	for _, n := range s.named {
		all = append(all, n.ln)
	}
	return slices.DeleteFunc(all, func(ln *socket.Listener) bool { return ln == nil })
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

// serveRestricted serves the sockets that are for somebody else's code, until ctx ends.
func (d *daemon) serveRestricted(ctx context.Context, s *sockets) {
	restricted := slices.Clone(s.named)
	if s.extra != nil {
		restricted = append(restricted, namedSocket{extraName, s.extra})
	}
	var serving sync.WaitGroup
	for _, n := range restricted {
		serving.Go(func() { d.serveNamed(ctx, n) })
	}
	serving.Wait()
}

// serveNamed serves tokens of forward_environments, and nothing else. The agent keeps
// running if this socket fails.
func (d *daemon) serveNamed(ctx context.Context, n namedSocket) {
	server := &ipc.Server{
		Service: agent.Restrict(d.agent, d.started.ForwardEnvironments...),
		Logger:  d.log.With("socket", n.name),
		Version: d.opts.Version,
	}
	d.log.Info("serving the "+n.name+" socket", "socket", n.ln.Addr().String(), "environments", strings.Join(d.started.ForwardEnvironments, ", "))
	if err := server.Serve(ctx, n.ln); err != nil {
		d.log.Error("the "+n.name+" socket is broken; the agent's own socket keeps working", "error", err)
	}
}
