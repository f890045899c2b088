package ipc

import (
	"cmp"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
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
	req := agent.TokenRequest{Environment: env, MinValid: minValid}
	if f.render == nil {
		return a.aws(req)
	}
	t, err := a.fresh(req, cmp.Or(f.limit, tokenTimeout))
	if err != nil {
		return reply{}, err
	}
	return reply{mediaType: f.mediaType, warning: sanitize.OneLine(t.Warning), body: []byte(f.render(t, time.Now()))}, nil
}

// fresh asks the service for a token that can be sent.
func (a *api) fresh(req agent.TokenRequest, limit time.Duration) (agent.Token, error) {
	ctx, cancel := a.work(limit)
	defer cancel()
	t, err := a.service.Token(ctx, req)
	if err != nil {
		return agent.Token{}, err
	}
	return t, sendable(t)
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
