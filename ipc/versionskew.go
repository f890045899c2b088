package ipc

import (
	"errors"
	"net/http"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// setVersion adds the agent's version to an answer of the agent itself.
func (h *handler) setVersion(header http.Header) {
	if h.version != nil {
		header[wire.HeaderVersion] = h.version
	}
}

// withVersion says in an error about something unknown which version does not know it: the
// client may be newer than this agent.
func (h *handler) withVersion(err error) error {
	e, ok := errors.AsType[*agent.Error](err)
	if !ok || h.version == nil || !errors.Is(e.Err, wire.ErrUnknown) {
		return err
	}
	e.Hint = "this agent is " + h.version[0]
	if h.binaryReplaced != nil && h.binaryReplaced() {
		e.Hint += ", and another version is installed; run: systemctl --user restart kyc-agentd.service"
	}
	return err
}

func unknownPath(path string) error {
	e := wire.NewStatusError(http.StatusNotFound, "no such path: %s; this agent speaks /v1", wire.Quote(path))
	e.Err.Err = wire.ErrUnknown
	return e
}

func unknownMethod(method, path string, allow []string) error {
	e := wire.NewStatusError(http.StatusMethodNotAllowed, "method %s does not work on %s; use %s", wire.Quote(method), path, strings.Join(allow, " or "))
	e.Allow, e.Err.Err = strings.Join(allow, ", "), wire.ErrUnknown
	return e
}

// withVersions says in an error of the agent about something unknown that the agent and
// this program have different versions. An agent that does not send its version is older
// than the header for it.
func (c *Client) withVersions(err error, agentVersion string) error {
	e, ok := errors.AsType[*agent.Error](err)
	if !ok || e.Code != agent.CodeUsage || !isUnknownMessage(e.Message) || c.Version == "" || c.Version == agentVersion {
		return err
	}
	is := "the agent is " + sanitize.OneLine(agentVersion)
	if agentVersion == "" {
		is = "the agent is of an older version"
	}
	e.Hint = is + ", and this program " + c.Version + "; run: systemctl --user restart kyc-agentd.service"
	return e
}

// isUnknownMessage recognizes how the agents of all versions begin a message about what
// they do not know.
func isUnknownMessage(message string) bool {
	for _, start := range []string{"unknown ", "no such path", "method "} {
		if strings.HasPrefix(message, start) {
			return true
		}
	}
	return false
}
