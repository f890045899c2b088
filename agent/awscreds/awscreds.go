// Package awscreds exchanges ID tokens of a Cognito user pool for temporary AWS credentials.
// It implements [agent.Exchanger], for any number of environments.
//
// There is one call: [New], whose result goes into agent.Options:
//
//	a, err := agent.New(agent.Options{Exchanger: awscreds.New(awscreds.Options{}), …})
//
// There are two methods, and the environment configures which one is used. A Cognito identity
// pool returns credentials of the role that it assigns to its users, or of one that they may
// choose, in two calls: GetId and GetCredentialsForIdentity (identitypool.go). STS returns
// credentials of a role that trusts the user pool, in one call: AssumeRoleWithWebIdentity
// (assumerole.go). None of the calls is signed; they are authenticated by the ID token. call.go
// sends them.
//
// What the package promises:
//   - Each call is made once, with its own deadline; the agent repeats an exchange that
//     failed. Only an identity that the pool no longer knows is requested anew.
//   - Errors and log records contain no text of the server.
//   - Nothing is stored but the ids of identities, which are not secret.
package awscreds

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

// Options configures an [Exchanger]. The zero value is usable.
type Options struct {
	// HTTPClient makes the calls to AWS. nil means a default client, as in agent/cognito.
	HTTPClient *http.Client
	// Logger gets one debug record per call. nil discards.
	Logger *slog.Logger
	// Now is this machine's wall clock; nil means time.Now.
	Now func() time.Time
}

// An Exchanger implements [agent.Exchanger]. It is safe for concurrent use.
type Exchanger struct {
	http *http.Client
	log  *slog.Logger
	now  func() time.Time

	mu         sync.Mutex
	identities map[string]identity // the last one used, by environment
}

var _ agent.Exchanger = (*Exchanger)(nil)

// New returns an Exchanger. It makes no network calls.
func New(o Options) *Exchanger {
	x := &Exchanger{http: awscall.Client(o.HTTPClient), log: o.Logger, now: awscall.WallClock(o.Now), identities: map[string]identity{}}
	if x.log == nil {
		x.log = slog.New(slog.DiscardHandler)
	}
	return x
}

// Exchange implements [agent.Exchanger].
func (x *Exchanger) Exchange(ctx context.Context, env agent.Environment, idToken agent.Secret) (agent.AWSResult, error) {
	o := &operation{exchanger: x, env: env, token: idToken}
	if err := o.checkEnvironment(); err != nil {
		return agent.AWSResult{}, err
	}
	if env.IdentityPoolID != "" {
		return o.exchangeAtIdentityPool(ctx)
	}
	return o.assumeRole(ctx)
}

// An operation is one call of Exchange.
type operation struct {
	exchanger *Exchanger
	env       agent.Environment
	token     agent.Secret
}

// checkEnvironment refuses an environment that cannot work, or that would send an ID token
// over the network in the clear.
func (o *operation) checkEnvironment() error {
	switch problem := awscall.CheckURL(o.env.AWSEndpoint); {
	case o.env.AWSEndpoint != "" && problem != "":
		return o.errorf(agent.CodeConfiguration, "correct the configuration of environment "+o.env.Name+", then run: kyc-agentd reload",
			"aws_endpoint %s", problem)
	case !o.env.HasAWS():
		return o.errorf(agent.CodeConfiguration, "set identity_pool_id or aws_role_arn of environment "+o.env.Name,
			"nothing is configured that gives AWS credentials")
	}
	return nil
}

// client sends the requests.
func (o *operation) client() awscall.Doer {
	return awscall.Doer{Client: o.exchanger.http, Now: o.exchanger.now}
}

// callTimeout limits one call, its connection included. The agent answers a request for credentials within 7 s.
const callTimeout = 5 * time.Second

// invoke makes and logs one call. Exactly one of the results Out and *failure is set.
func invoke[Out any](ctx context.Context, o *operation, c awscall.Call, f func(context.Context) (*Out, error)) (*Out, *awscall.Exchange, *failure) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, x, raw, message := awscall.Make(ctx, c, callTimeout, f)
	attrs := []slog.Attr{
		slog.String("op", "aws"), slog.String("env", o.env.Name), slog.String("call", c.Name),
		slog.Duration("duration", x.Took.Round(time.Millisecond)), slog.Int("status", x.Status), slog.Duration("skew", x.Skew()),
	}
	var fail *failure
	if raw != nil {
		fail = &failure{Failure: *raw, expired: saysExpired(message)}
		attrs = append(attrs, slog.String("error", fail.Error()))
	}
	o.exchanger.log.LogAttrs(ctx, slog.LevelDebug, "AWS call", attrs...)
	return out, x, fail
}

// credentials are what an answer has; what it lacks is empty.
type credentials struct {
	id, secret, session string
	end                 time.Time
}

// result returns the credentials of an answer, or an error if it has none.
func (o *operation) result(call awscall.Call, x *awscall.Exchange, c credentials) (agent.AWSResult, error) {
	if c.id == "" || c.secret == "" || c.session == "" || c.end.IsZero() {
		return agent.AWSResult{}, o.errorf(agent.CodeUnavailable, retryHint, "%s answered without credentials", call.Service)
	}
	left := c.end.Sub(x.Received.Add(x.Skew()))
	if left <= 0 {
		return agent.AWSResult{}, o.errorf(agent.CodeUnavailable, "check this machine's clock",
			"%s returned credentials that have already expired", call.Service)
	}
	return agent.AWSResult{AccessKeyID: c.id, SecretAccessKey: agent.NewSecret(c.secret), SessionToken: agent.NewSecret(c.session), Lifetime: left}, nil
}
