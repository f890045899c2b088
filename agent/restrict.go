package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// Restrict returns a Service limited to what may be exposed to another machine: it hands
// out tokens of the named environments and does nothing else. It is for a socket that is
// forwarded to another machine, whose administrator can use it, too.
//
// Everything else is CodeDenied, and so is the token of any other environment, and an API
// key that is stored instead of a sign-in, because it never expires. Status reports
// where the named environments are, their state, and which one is the default, but not who
// is signed in.
func Restrict(s Service, environments ...string) Service {
	return &restricted{service: s, environments: slices.Clone(environments)}
}

// restricted embeds no Service, so that a method added to Service later does not compile
// until it is decided here what it may do.
type restricted struct {
	service      Service
	environments []string
}

var _ Service = (*restricted)(nil)

func (r *restricted) Token(ctx context.Context, req TokenRequest) (Token, error) {
	if req.Environment == "" {
		st, err := r.service.Status(ctx)
		if err != nil {
			return Token{}, err
		}
		req.Environment = st.DefaultEnvironment
	}
	if !slices.Contains(r.environments, req.Environment) {
		return Token{}, r.denied("token", "tokens of %s", sanitize.Cut(req.Environment, maxQuoted))
	}
	if req.Type != TypeID {
		return Token{}, r.denied("token", "access tokens")
	}
	t, err := r.service.Token(ctx, req)
	if req.User != "" && errors.Is(err, CodeDenied) { // who is signed in is not told here
		return Token{}, &Error{Code: CodeDenied, Op: "token", Environment: req.Environment, Message: fmt.Sprintf("not signed in as %q", sanitize.Cut(req.User, maxQuoted))}
	}
	if err == nil && t.ExpiresAt.IsZero() {
		return Token{}, r.denied("token", "API keys, which never expire,")
	}
	return t, err
}

func (r *restricted) AWSCredentials(context.Context, TokenRequest) (AWSCredentials, error) {
	return AWSCredentials{}, r.denied("aws", "AWS credentials")
}

func (r *restricted) Status(ctx context.Context) (Status, error) {
	st, err := r.service.Status(ctx)
	if err != nil {
		return Status{}, err
	}
	shown := Status{Version: st.Version, DefaultEnvironment: st.DefaultEnvironment, Environments: []EnvironmentStatus{}}
	for _, e := range st.Environments {
		if slices.Contains(r.environments, e.Name) {
			shown.Environments = append(shown.Environments, EnvironmentStatus{
				Name: e.Name, APIURL: e.APIURL, AllowedHosts: e.AllowedHosts, State: e.State, ExpiresAt: e.ExpiresAt,
			})
		}
	}
	return shown, nil
}

func (r *restricted) Login(context.Context, LoginRequest, Prompter) error {
	return r.denied("login", "sign-ins")
}

func (r *restricted) Logout(context.Context, LogoutRequest) error {
	return r.denied("logout", "sign-outs")
}

func (r *restricted) Recover(context.Context, RecoverRequest, Prompter) error {
	return r.denied("recover", "changes of an account")
}

func (r *restricted) denied(op, format string, args ...any) error {
	e := &Error{Code: CodeDenied, Op: op, Message: fmt.Sprintf(format, args...) + " are not for this socket, which is for forwarding: it hands out "}
	if len(r.environments) == 0 {
		e.Message += "nothing"
		e.Hint = "name environments in forward_environments of config.toml"
	} else {
		e.Message += "only tokens of " + strings.Join(r.environments, ", ")
		e.Hint = "do that on the agent's own machine"
	}
	return e
}
