package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// Restrict returns a Service limited to what may be exposed to another machine: it hands
// out tokens of the named environments and does nothing else. It is for a socket that is
// forwarded to another machine, whose administrator can use it, too.
//
// Everything else is CodeDenied, and so is the token of any other environment, an API key that
// is stored instead of a sign-in, because it never expires, and a MinValid above
// RestrictedMinValid. A token that has enough life left for most, but not for MinValid, is
// refreshed once a minute; any earlier that is CodeThrottled. Status reports
// where the named environments are, their state, and which one is the default, but not who
// is signed in.
func Restrict(s Service, environments ...string) Service {
	r := &restricted{service: s, environments: slices.Clone(environments), forced: map[string]*forcedRefresh{}}
	for _, name := range environments {
		r.forced[name] = &forcedRefresh{turn: make(chan struct{}, 1)}
	}
	return r
}

const (
	// RestrictedMinValid is the longest MinValid of a token by way of [Restrict]. It leaves
	// room for a long job, and a token of an hour lasts twice as long as it.
	RestrictedMinValid = 30 * time.Minute
	// forcedInterval is the least time between two refreshes of an environment that were due
	// for a MinValid alone. Each is a call of Cognito and may replace the refresh token.
	forcedInterval = time.Minute
)

// restricted embeds no Service, so that a method added to Service later does not compile
// until it is decided here what it may do.
type restricted struct {
	service      Service
	environments []string
	forced       map[string]*forcedRefresh // by environment
}

// A forcedRefresh is the last refresh that a MinValid caused.
type forcedRefresh struct {
	turn chan struct{} // holds a value while one runs
	at   time.Time     // when it began, wall clock; whoever has the turn may use it
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
	if req.MinValid > RestrictedMinValid {
		return Token{}, &Error{
			Code: CodeDenied, Op: "token", Environment: req.Environment,
			Message: fmt.Sprintf("min_valid %s is more than this socket, which is for forwarding, allows", req.MinValid),
			Hint:    fmt.Sprintf("ask for at most %s", RestrictedMinValid),
		}
	}
	t, err := r.token(ctx, req)
	if req.User != "" && errors.Is(err, CodeDenied) { // who is signed in is not told here
		return Token{}, &Error{Code: CodeDenied, Op: "token", Environment: req.Environment, Message: fmt.Sprintf("not signed in as %q", sanitize.Cut(req.User, maxQuoted))}
	}
	if err == nil && t.ExpiresAt.IsZero() {
		return Token{}, r.denied("token", "API keys, which never expire,")
	}
	return t, err
}

// token returns a token of one of the environments. It asks for MinValid only if the token that
// everybody gets has less.
func (r *restricted) token(ctx context.Context, req TokenRequest) (Token, error) {
	usual := req
	usual.MinValid = min(req.MinValid, 0)
	enough := func(t Token, err error) bool {
		return err != nil || t.ExpiresAt.IsZero() || t.ExpiresAt.Round(0).Sub(time.Now().Round(0)) >= req.MinValid
	}
	if t, err := r.service.Token(ctx, usual); enough(t, err) {
		return t, err
	}
	forced := r.forced[req.Environment]
	select {
	case forced.turn <- struct{}{}:
		defer func() { <-forced.turn }()
	case <-ctx.Done():
		return Token{}, &Error{Code: CodeUnavailable, Op: "token", Environment: req.Environment, Message: "the refresh is still going on; try again", RetryAfter: time.Second, Err: ctx.Err()}
	}
	if t, err := r.service.Token(ctx, usual); enough(t, err) { // the one before brought it
		return t, err
	}
	now := time.Now().Round(0)
	if pause := forced.at.Add(forcedInterval).Sub(now); pause > 0 && pause <= forcedInterval {
		return Token{}, &Error{
			Code: CodeThrottled, Op: "token", Environment: req.Environment, RetryAfter: pause,
			Message: fmt.Sprintf("min_valid %s needs a refresh, and this socket, which is for forwarding, allows one a minute", req.MinValid),
			Hint:    fmt.Sprintf("try again in %s, or ask for less", max(pause, time.Second).Round(time.Second)),
		}
	}
	before := forced.at
	forced.at = now
	t, err := r.service.Token(ctx, req)
	if errors.Is(err, CodeUsage) {
		forced.at = before // it is more than a new token has, so nothing was refreshed
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
