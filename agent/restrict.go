package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// ForwardingSocket is the name of the socket for forwarding.
const ForwardingSocket = "extra"

// ForwardingPolicy returns the policy of a socket that is forwarded to another machine, whose
// administrator can use it, too: it hands out tokens of the named environments and does
// nothing else.
func ForwardingPolicy(environments ...string) Policy {
	return Policy{Socket: ForwardingSocket, Environments: environments, Allow: []Access{AccessToken}}
}

// Restrict returns what is behind a socket with [ForwardingPolicy].
func Restrict(s Service, environments ...string) Service {
	return ForwardingPolicy(environments...).Restrict(s)
}

// Restrict returns a Service that does what p allows, and nothing else.
//
// Everything else is CodeDenied, and so are the token of any other environment, an access
// token, an API key that is stored instead of a sign-in, because it never expires, and a
// MinValid above RestrictedMinValid. A token that has enough life left for most, but not for
// MinValid, is refreshed once a minute; any earlier that is CodeThrottled. Status reports
// where the named environments are, their state, and which one is the default, but not who
// is signed in.
func (p Policy) Restrict(s Service) *Restricted {
	r := &Restricted{policy: p, service: s, forced: map[string]*forcedRefresh{}, limiter: rateLimiter{rate: p.Rate}}
	for _, name := range p.Environments {
		for _, op := range []string{"token", "aws"} {
			r.forced[op+name] = &forcedRefresh{turn: make(chan struct{}, 1)}
		}
	}
	return r
}

const (
	// RestrictedMinValid is the longest MinValid of a token by way of [Policy.Restrict]. It leaves
	// room for a long job, and a token of an hour lasts twice as long as it.
	RestrictedMinValid = 30 * time.Minute
	// forcedInterval is the least time between two refreshes of an environment that were due
	// for a MinValid alone. Each is a call of Cognito and may replace the refresh token.
	forcedInterval = time.Minute
)

// Restricted is a Service with a policy. Every socket that shares it shares its rate.
//
// It embeds no Service, so that a method added to Service later does not compile until it is
// decided here what it may do.
type Restricted struct {
	policy  Policy
	service Service
	forced  map[string]*forcedRefresh // by operation and environment
	limiter rateLimiter
}

// A forcedRefresh is the last refresh that a MinValid caused.
type forcedRefresh struct {
	turn chan struct{} // holds a value while one runs
	at   time.Time     // when it began, wall clock; whoever has the turn may use it
}

var _ Service = (*Restricted)(nil)

// Policy returns the policy of r.
func (r *Restricted) Policy() Policy { return r.policy }

// Admit counts a request that the policy allows. If it is one more than the policy's rate, it is
// CodeThrottled. refund takes the request back if nothing came of it.
func (r *Restricted) Admit() (refund func(), err error) {
	at, wait := r.limiter.allow()
	if wait == 0 {
		return func() { r.limiter.refund(at) }, nil
	}
	return nil, &Error{
		Code: CodeThrottled, Op: "request", RetryAfter: wait,
		Message: fmt.Sprintf("the socket %s answers %s requests", r.policy.Socket, r.policy.Rate),
		Hint:    fmt.Sprintf("try again in %s", max(wait, time.Second).Round(time.Second)),
	}
}

// RateState returns how many requests the policy's rate leaves now, and how many it refused.
func (r *Restricted) RateState() (remaining int, refused int64) { return r.limiter.state() }

// admitted calls get as a request that counts if it succeeds.
func admitted[T any](r *Restricted, get func() (T, error)) (result T, err error) {
	refund, err := r.Admit()
	if err != nil {
		return result, err
	}
	if result, err = get(); err != nil {
		refund()
	}
	return result, err
}

// Denied returns the error for what no policy allows, such as "sign-outs".
func (r *Restricted) Denied(op, what string) error { return r.policy.denied(op, what) }

// Token implements [Service].
func (r *Restricted) Token(ctx context.Context, req TokenRequest) (Token, error) {
	if !r.policy.Allows(AccessToken) {
		return Token{}, r.policy.denied("token", "tokens")
	}
	if err := r.check(ctx, "token", "tokens", &req); err != nil {
		return Token{}, err
	}
	if req.Type != TypeID {
		return Token{}, r.policy.denied("token", "access tokens")
	}
	t, err := admitted(r, func() (Token, error) {
		t, err := r.token(ctx, req)
		if err == nil && t.ExpiresAt.IsZero() {
			return Token{}, r.policy.denied("token", "API keys, which never expire,")
		}
		return t, err
	})
	return t, hideUser(req, err)
}

// APIToken returns the token for a request that the policy's CheckAPI and Admit allow. It must
// not reach the client. An API key is among them, because the client does not get it.
func (r *Restricted) APIToken(ctx context.Context, req TokenRequest) (Token, error) {
	if !r.policy.Allows(AccessAPI) || !slices.Contains(r.policy.Environments, req.Environment) || req.Type != TypeID {
		return Token{}, r.policy.denied("proxy", "requests to the API of "+sanitize.Cut(req.Environment, maxQuoted))
	}
	return r.token(ctx, req)
}

// check fills in the environment of req, and refuses one that is not among the policy's, and
// more life than a Restricted gives.
func (r *Restricted) check(ctx context.Context, op, plural string, req *TokenRequest) error {
	if req.Environment == "" {
		st, err := r.service.Status(ctx)
		if err != nil {
			return err
		}
		req.Environment = st.DefaultEnvironment
	}
	if !slices.Contains(r.policy.Environments, req.Environment) {
		return r.policy.denied(op, plural+" of "+sanitize.Cut(req.Environment, maxQuoted))
	}
	if req.MinValid > RestrictedMinValid {
		return &Error{
			Code: CodeDenied, Op: op, Environment: req.Environment,
			Message: fmt.Sprintf("min_valid %s is more than this socket, which is for %s, allows", req.MinValid, r.policy.purpose()),
			Hint:    fmt.Sprintf("ask for at most %s", RestrictedMinValid),
		}
	}
	return nil
}

// hideUser returns err, but does not tell who is signed in.
func hideUser(req TokenRequest, err error) error {
	if e, ok := errors.AsType[*Error](err); ok && req.User != "" && e.Code == CodeDenied {
		return &Error{Code: CodeDenied, Op: e.Op, Environment: req.Environment, Message: fmt.Sprintf("not signed in as %q", sanitize.Cut(req.User, maxQuoted))}
	}
	return err
}

// token returns a token of one of the environments.
func (r *Restricted) token(ctx context.Context, req TokenRequest) (Token, error) {
	return boundForced(ctx, r, "token", req, r.service.Token, func(t Token) time.Time { return t.ExpiresAt })
}

// awsCredentials returns AWS credentials of one of the environments.
func (r *Restricted) awsCredentials(ctx context.Context, req TokenRequest) (AWSCredentials, error) {
	return boundForced(ctx, r, "aws", req, r.service.AWSCredentials, func(c AWSCredentials) time.Time { return c.ExpiresAt })
}

// boundForced calls get. It asks for MinValid only if what everybody gets has less, and then
// once a minute.
func boundForced[T any](ctx context.Context, r *Restricted, op string, req TokenRequest, get func(context.Context, TokenRequest) (T, error), expires func(T) time.Time) (T, error) {
	usual := req
	usual.MinValid = min(req.MinValid, 0)
	enough := func(t T, err error) bool {
		return err != nil || expires(t).IsZero() || expires(t).Round(0).Sub(time.Now().Round(0)) >= req.MinValid
	}
	if t, err := get(ctx, usual); enough(t, err) {
		return t, err
	}
	var none T
	forced := r.forced[op+req.Environment]
	select {
	case forced.turn <- struct{}{}:
		defer func() { <-forced.turn }()
	case <-ctx.Done():
		return none, &Error{Code: CodeUnavailable, Op: op, Environment: req.Environment, Message: "the refresh is still going on; try again", RetryAfter: time.Second, Err: ctx.Err()}
	}
	if t, err := get(ctx, usual); enough(t, err) { // the one before brought it
		return t, err
	}
	now := time.Now().Round(0)
	if pause := forced.at.Add(forcedInterval).Sub(now); pause > 0 && pause <= forcedInterval {
		return none, r.tooSoon(op, req, pause)
	}
	before := forced.at
	forced.at = now
	t, err := get(ctx, req)
	if errors.Is(err, CodeUsage) {
		forced.at = before // it is more than a new one has, so nothing was refreshed
	}
	return t, err
}

// tooSoon returns the error for a refresh that was forced less than a minute after another.
func (r *Restricted) tooSoon(op string, req TokenRequest, pause time.Duration) error {
	return &Error{
		Code: CodeThrottled, Op: op, Environment: req.Environment, RetryAfter: pause,
		Message: fmt.Sprintf("min_valid %s needs a refresh, and this socket, which is for %s, allows one a minute", req.MinValid, r.policy.purpose()),
		Hint:    fmt.Sprintf("try again in %s, or ask for less", max(pause, time.Second).Round(time.Second)),
	}
}

// AWSCredentials implements [Service].
func (r *Restricted) AWSCredentials(ctx context.Context, req TokenRequest) (AWSCredentials, error) {
	if !r.policy.Allows(AccessAWS) {
		return AWSCredentials{}, r.policy.denied("aws", "AWS credentials")
	}
	if err := r.check(ctx, "aws", "AWS credentials", &req); err != nil {
		return AWSCredentials{}, err
	}
	c, err := admitted(r, func() (AWSCredentials, error) { return r.awsCredentials(ctx, req) })
	return c, hideUser(req, err)
}

// Status implements [Service].
func (r *Restricted) Status(ctx context.Context) (Status, error) {
	st, err := r.service.Status(ctx)
	if err != nil {
		return Status{}, err
	}
	shown := Status{Version: st.Version, DefaultEnvironment: st.DefaultEnvironment, Environments: []EnvironmentStatus{}}
	for _, e := range st.Environments {
		if slices.Contains(r.policy.Environments, e.Name) {
			shown.Environments = append(shown.Environments, EnvironmentStatus{
				Name: e.Name, APIURL: e.APIURL, AllowedHosts: e.AllowedHosts, State: e.State, ExpiresAt: e.ExpiresAt,
			})
		}
	}
	return shown, nil
}

// Login implements [Service].
func (r *Restricted) Login(context.Context, LoginRequest, Prompter) error {
	return r.policy.denied("login", "sign-ins")
}

// Logout implements [Service].
func (r *Restricted) Logout(context.Context, LogoutRequest) error {
	return r.policy.denied("logout", "sign-outs")
}

// Recover implements [Service].
func (r *Restricted) Recover(context.Context, RecoverRequest, Prompter) error {
	return r.policy.denied("recover", "changes of an account")
}
