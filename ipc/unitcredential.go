package ipc

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/peer"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// maxUnits bounds the units that are served at one time; any more get nothing. A machine
// that starts a few dozen of them at once is well below.
const maxUnits = 64

// credentialID is the name of a unit's credential, in LoadCredential=ID:PATH. With "." and
// the name of an environment after it, the credential is that environment's token.
const credentialID = "kyc-token"

// A unitRequest is a service manager's request for a unit's credential.
type unitRequest struct {
	unit, id string
}

// unitRequestOf recognizes the request by the address that it comes from: the manager
// sends nothing, and binds its socket to the abstract name
// "<hex>/unit/<unit>/<id>" instead (systemd.exec(5), LoadCredential=). Any process can bind
// such a name, so it says nothing about who asks.
func unitRequestOf(addr net.Addr) (unitRequest, bool) {
	name, abstract := strings.CutPrefix(addr.String(), "@")
	parts := strings.Split(name, "/")
	if !abstract || len(parts) != 4 || !isHex(parts[0]) || parts[1] != "unit" || parts[2] == "" || parts[3] == "" {
		return unitRequest{}, false
	}
	return unitRequest{unit: parts[2], id: parts[3]}, true
}

func isHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// environment returns the one that is asked for; empty means the agent's default.
func (q unitRequest) environment() (string, error) {
	if q.id == credentialID {
		return "", nil
	}
	if env, ok := strings.CutPrefix(q.id, credentialID+"."); ok && env != "" {
		return env, nil
	}
	return "", wire.UsageError("unknown credential %s; known: %s and %s.ENVIRONMENT", wire.Quote(q.id), credentialID, credentialID)
}

// A unitCredentialServer sends service managers the credentials of their units.
type unitCredentialServer struct {
	handler *handler
	live    *liveConns
	slots   chan struct{} // holds one value per unit that is being served
	wg      sync.WaitGroup
}

// serve answers on c in the background: the next Accept does not wait for it.
func (s *unitCredentialServer) serve(c net.Conn, q unitRequest) {
	select {
	case s.slots <- struct{}{}:
	default:
		s.logFailure(q, "", &agent.Error{Code: agent.CodeUnavailable, Message: "too many units ask at the same time"})
		_ = c.Close()
		return
	}
	s.live.track(c, http.StateActive)
	s.wg.Go(func() {
		defer func() { <-s.slots }()
		defer s.live.track(c, http.StateClosed)
		s.serveCredential(c, q)
	})
}

// serveCredential writes the bare token; the end of the connection is its end. The
// protocol has no way to report an error: without a token the unit gets an empty
// credential.
func (s *unitCredentialServer) serveCredential(c net.Conn, q unitRequest) {
	defer c.Close()
	env, err := q.environment()
	var token agent.Token
	if err == nil {
		token, err = s.token(c, env)
	}
	if err == nil {
		err = s.handler.audit.unit(c, q, token)
	}
	if err == nil {
		_ = c.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err = io.WriteString(c, token.IDToken.Reveal()); err != nil {
			err = &agent.Error{Code: agent.CodeUnavailable, Message: "the service manager did not take it", Err: err}
		}
	}
	if err != nil {
		s.logFailure(q, env, err)
		return
	}
	s.handler.log.Debug("gave a unit its credential", "unit", sanitize.OneLine(q.unit), "env", token.Environment, "user", sanitize.OneLine(token.User))
}

func (s *unitCredentialServer) token(c net.Conn, env string) (token agent.Token, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = s.handler.logPanic(v)
		}
	}()
	client := peer.Of(c) // a child of the manager, in the unit's control group
	defer client.Close()
	return s.handler.token(&connection{conn: c, client: client}, agent.TokenRequest{Environment: env}, time.Now().Add(tokenTimeout))
}

func (s *unitCredentialServer) logFailure(q unitRequest, env string, err error) {
	e := wire.Sanitized(err)
	if e.Environment == "" {
		e.Environment = env
	}
	unit, credential := sanitize.Short(q.unit, maxName), sanitize.Short(q.id, maxName)
	level := s.handler.limit.level(slog.LevelWarn, logKey{op: "unit", code: e.Code, from: unit, cause: credential})
	s.handler.log.LogAttrs(context.Background(), level, "a unit gets no credential", slog.String("unit", unit), slog.String("credential", credential),
		slog.String("env", sanitize.Short(e.Environment, maxName)), slog.String("code", string(e.Code)), slog.String("error", e.Error()))
}
