package ipc

import (
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

func (a *api) token(x *exchange) (reply, error) {
	env := x.query.Get("env")
	f, err := formatFor(x.Request, x.query.Get("format"))
	if err != nil {
		return reply{}, err
	}
	minValid, err := parseMinValid(x.query.Get("min_valid"))
	if err != nil {
		return reply{}, inEnvironment(env, err)
	}
	ctx, cancel := a.work(tokenTimeout)
	defer cancel()
	t, err := a.service.Token(ctx, agent.TokenRequest{Environment: env, MinValid: minValid})
	if err != nil {
		return reply{}, err
	}
	if err := sendable(t); err != nil {
		return reply{}, err
	}
	// Round(0) drops the monotonic reading, which stands still while the machine sleeps.
	left := t.ExpiresAt.Round(0).Sub(time.Now().Round(0))
	return reply{mediaType: f.mediaType, warning: oneLine(t.Warning), body: []byte(f.render(t, left))}, nil
}

// inEnvironment says which environment a usage error is about.
func inEnvironment(env string, err error) error {
	if e, ok := err.(*agent.Error); ok {
		e.Environment = env
	}
	return err
}

// sendable refuses a token that could end a header line and begin another. A JWT
// is far from it, so this is a bug somewhere.
func sendable(t agent.Token) error {
	s := t.IDToken.Reveal()
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return &agent.Error{
			Code: agent.CodeInternal, Op: "token", Environment: t.Environment,
			Message: "the ID token is empty or has characters that no header can carry",
		}
	}
	return nil
}
