// Package awscreds turns ID tokens of a Cognito user pool into temporary AWS credentials:
// it is the agent's [agent.Exchanger], for any number of environments.
//
// A newcomer needs one call: [New], whose result goes into agent.Options.
//
// There are two ways, and the environment says which: a Cognito identity pool gives the
// credentials of the role it has for its users (or of one they may choose), in two calls,
// GetId and GetCredentialsForIdentity; STS gives those of a role that trusts the user pool,
// in one, AssumeRoleWithWebIdentity. None of the calls is signed: the ID token is what
// they go by.
//
// What it promises:
//   - Each call is made once, with a deadline of its own; the agent tries again. But an
//     identity that the pool has forgotten is asked for anew.
//   - No word of the server's is in an error or a log record.
//   - It keeps nothing but the names of identities, which are no secret.
package awscreds

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

// Options is what an [Exchanger] is made of. The zero Options is good.
type Options struct {
	// HTTPClient reaches AWS. nil means one of our own, as that of agent/cognito.
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
	identities map[string]identity // the last one of each environment
}

var _ agent.Exchanger = (*Exchanger)(nil)

// New makes an Exchanger. It does no network.
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

// An operation is one exchange.
type operation struct {
	exchanger *Exchanger
	env       agent.Environment
	token     agent.Secret
}

// checkEnvironment refuses an environment that cannot work or that would show an ID token to the
// network.
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

// endpoint is where the SDK is to call; nil means AWS's own place for the region.
func (o *operation) endpoint() *string {
	if o.env.AWSEndpoint == "" {
		return nil
	}
	return aws.String(o.env.AWSEndpoint)
}

// client is the SDK's way to the network.
func (o *operation) client() awscall.Doer {
	return awscall.Doer{Client: o.exchanger.http, Now: o.exchanger.now}
}

// callTimeout bounds one call. A request for credentials is answered within 7 s.
const callTimeout = 5 * time.Second

// invoke makes one call. Exactly one of the results Out and *failure is set.
func invoke[Out any](ctx context.Context, o *operation, c awscall.Call, f func(context.Context) (*Out, error)) (*Out, *awscall.Exchange, *failure) {
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

// result makes the result of what a call yielded.
func (o *operation) result(c awscall.Call, x *awscall.Exchange, id, secret, session *string, end *time.Time) (agent.AWSResult, error) {
	result := agent.AWSResult{
		AccessKeyID:     aws.ToString(id),
		SecretAccessKey: agent.NewSecret(aws.ToString(secret)),
		SessionToken:    agent.NewSecret(aws.ToString(session)),
		Lifetime:        aws.ToTime(end).Sub(x.Received.Add(x.Skew())),
	}
	if result.AccessKeyID == "" || result.SecretAccessKey.IsZero() || result.SessionToken.IsZero() || end == nil {
		return agent.AWSResult{}, o.errorf(agent.CodeUnavailable, retryHint, "%s answered without credentials", c.Service)
	}
	if result.Lifetime <= 0 {
		return agent.AWSResult{}, o.errorf(agent.CodeUnavailable, "check this machine's clock", "%s gave credentials that have ended already", c.Service)
	}
	return result, nil
}
