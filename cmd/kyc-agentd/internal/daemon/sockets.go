package daemon

import (
	"cmp"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// sockets are the sockets whose paths do not depend on a policy's name. policysockets.go has
// the others.
type sockets struct {
	agent     []*socket.Listener // at least one; the first is the one that messages name
	extra     []*socket.Listener // for `ssh -R`; may be none
	inherited bool               // the service manager passed the agent's
}

// inheritSockets takes the sockets that the service manager passes, if there are any.
func inheritSockets(log *slog.Logger) (*sockets, error) {
	passed, err := socket.FromSystemd()
	for _, name := range passed.Unknown {
		log.Warn("a socket that the service manager passed is ignored: its name is not known here", "name", sanitize.OneLine(name))
	}
	return &sockets{agent: passed.Agent, extra: passed.Extra, inherited: len(passed.Agent) > 0}, err
}

// listen makes the sockets that the service manager did not pass.
func (s *sockets) listen(path string, vars config.Environ, c config.Config) error {
	if len(s.agent) == 0 {
		if err := checkVariable(path, vars); err != nil {
			return err
		}
		ln, err := socket.Listen(path)
		if err != nil {
			return err
		}
		s.agent = []*socket.Listener{ln}
	}
	if len(c.ForwardEnvironments) == 0 || len(s.extra) > 0 {
		return nil
	}
	ln, err := socket.Listen(extraSocketPath(s.agent[0].Addr().String()))
	if err != nil {
		return err
	}
	s.extra = []*socket.Listener{ln}
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

func (s *sockets) all() []*socket.Listener { return slices.Concat(s.agent, s.extra) }

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
