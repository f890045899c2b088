package ipc

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// maxCredentials bounds the units that are being answered at one time; any more get
// nothing. A machine that starts a few dozen of them at once is well below.
const maxCredentials = 64

// credentialID is what a unit calls its credential, in LoadCredential=ID:PATH; with
// "." and a name after it, it is of that environment.
const credentialID = "kyc-token"

// A credentialAsk is a service manager's question for a unit's credential.
type credentialAsk struct {
	unit, id string
}

// credentialAskOf recognizes the question by the address that it comes from: the
// manager sends nothing, and binds its socket to the abstract name
// "<hex>/unit/<unit>/<id>" instead (systemd.exec(5), LoadCredential=). Anybody can bind
// such a name, so it proves nothing about who asks.
func credentialAskOf(addr net.Addr) (credentialAsk, bool) {
	name, abstract := strings.CutPrefix(addr.String(), "@")
	parts := strings.Split(name, "/")
	if !abstract || len(parts) != 4 || !isHex(parts[0]) || parts[1] != "unit" || parts[2] == "" || parts[3] == "" {
		return credentialAsk{}, false
	}
	return credentialAsk{unit: parts[2], id: parts[3]}, true
}

func isHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// environment is the one that is asked for; empty means the agent's default.
func (q credentialAsk) environment() (string, error) {
	if q.id == credentialID {
		return "", nil
	}
	if env, ok := strings.CutPrefix(q.id, credentialID+"."); ok && env != "" {
		return env, nil
	}
	return "", usage("unknown credential %s; known: %s and %s.ENVIRONMENT", quoted(q.id), credentialID, credentialID)
}

// A teller hands out credentials.
type teller struct {
	*api
	live  *liveConns
	slots chan struct{} // holds one value per credential in hand
	hands sync.WaitGroup
}

func newTeller(a *api, live *liveConns) *teller {
	return &teller{api: a, live: live, slots: make(chan struct{}, maxCredentials)}
}

// take answers on c, without making anybody wait for it.
func (t *teller) take(c net.Conn, q credentialAsk) {
	select {
	case t.slots <- struct{}{}:
	default:
		t.denied(q, "", &agent.Error{Code: agent.CodeUnavailable, Message: "too many units ask at the same time"})
		_ = c.Close()
		return
	}
	t.live.track(c, http.StateActive)
	t.hands.Go(func() {
		defer func() { <-t.slots }()
		defer t.live.track(c, http.StateClosed)
		t.hand(c, q)
	})
}

// hand writes the bare token, of which the end of the connection is the end. There is
// no way to tell an error: without a token the unit gets an empty credential.
func (t *teller) hand(c net.Conn, q credentialAsk) {
	defer c.Close()
	env, err := q.environment()
	var token agent.Token
	if err == nil {
		token, err = t.ask(env)
	}
	if err == nil {
		_ = c.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err = io.WriteString(c, token.IDToken.Reveal()); err != nil {
			err = &agent.Error{Code: agent.CodeUnavailable, Message: "the service manager did not take it", Err: err}
		}
	}
	if err != nil {
		t.denied(q, env, err)
		return
	}
	t.log.Debug("gave a unit its credential", "unit", sanitize.OneLine(q.unit), "env", token.Environment)
}

func (t *teller) ask(env string) (token agent.Token, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = t.crashed(v)
		}
	}()
	ctx, cancel := t.work(tokenTimeout)
	defer cancel()
	if token, err = t.service.Token(ctx, agent.TokenRequest{Environment: env}); err == nil {
		err = sendable(token)
	}
	return token, err
}

func (t *teller) denied(q credentialAsk, env string, err error) {
	e := public(err)
	if e.Environment == "" {
		e.Environment = env
	}
	t.log.Warn("a unit gets no credential", slog.String("unit", sanitize.OneLine(q.unit)), slog.String("credential", sanitize.OneLine(q.id)),
		slog.String("env", e.Environment), slog.String("code", string(e.Code)), slog.String("error", e.Error()))
}
