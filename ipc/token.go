package ipc

import (
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/ipc/format"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

func (h *handler) serveToken(r *request) (response, error) {
	env := r.query.Get("env")
	f, err := formatFor(r.http, r.query.Get("format"))
	if err != nil {
		return response{}, err
	}
	minValid, err := wire.ParseMinValid(r.query.Get("min_valid"))
	if err != nil {
		return response{}, wire.InEnvironment(env, err)
	}
	user, err := userOf(&r.query)
	if err != nil {
		return response{}, wire.InEnvironment(env, err)
	}
	req := agent.TokenRequest{Environment: env, MinValid: minValid, User: user, Type: tokenTypeOf(&r.query)}
	if req.Type != agent.TypeID && f.RenderAccess == nil {
		return response{}, wire.InEnvironment(env, wire.UsageError("format %s is for ID tokens; an access token has the formats token and json", f.Name))
	}
	if f.Render == nil && f.RenderClaims == nil {
		return h.serveAWSCredentials(r, req)
	}
	limit := tokenTimeout
	if f.ForTool {
		limit = helperTimeout
	}
	t, err := h.token(r.conn, req, r.started.Add(limit))
	if err != nil {
		return response{}, err
	}
	body, err := renderToken(f, req.Type, t)
	out := issued{t.Environment, t.IDToken, ""}
	if req.Type == agent.TypeAccess {
		out.token, out.detail = t.AccessToken, "access token"
	}
	return response{mediaType: f.MediaType, warning: sanitize.OneLine(t.Warning), body: body, user: t.User, issued: out}, err
}

// renderToken writes t in a format that has the token of this type, or its claims. A text that is
// the same at any time is written once a token: two copies of it for each request had the garbage
// collector run twice as often.
func renderToken(f *format.Format, tokenType agent.TokenType, t agent.Token) ([]byte, error) {
	switch {
	case f.RenderClaims != nil:
		text, err := f.RenderClaims(t)
		return []byte(text), err
	case tokenType != agent.TypeID:
		return []byte(f.RenderAccess(t, time.Now())), nil
	}
	if kept := t.Rendered.Text(f.Name); kept != nil {
		return kept, nil
	}
	text := []byte(f.Render(t, time.Now()))
	if f.Timeless {
		t.Rendered.Keep(f.Name, text)
	}
	return text, nil
}

// tokenTypeOf returns the type of token that a request names; "id" is the default.
func tokenTypeOf(query *query) agent.TokenType {
	if t := query.Get("type"); t != "id" {
		return agent.TokenType(t)
	}
	return agent.TypeID
}

// userOf returns the user that a request names, or "". An empty one is refused: it is most
// likely an unset variable of a script, which wants one user and would get any.
func userOf(query *query) (string, error) {
	user := query.Get("user")
	if user == "" && query.Has("user") {
		return "", wire.UsageError("user is empty; leave it out to accept any user")
	}
	return user, nil
}

// token asks for a token until a time, for a request on c, and checks that it can be sent.
func (h *handler) token(c *connection, req agent.TokenRequest, until time.Time) (agent.Token, error) {
	ctx := c.until(h.serving, until)
	defer ctx.End()
	t, err := h.serviceFor(c).Token(ctx, req)
	if err != nil {
		return agent.Token{}, err
	}
	if !t.Rendered.Empty() {
		return t, nil // it was checked before anything was written with it
	}
	return t, wire.CheckToken(t)
}
