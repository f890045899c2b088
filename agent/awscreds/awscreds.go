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
	x := &Exchanger{http: awscall.Client(o.HTTPClient), log: o.Logger, now: awscall.Wall(o.Now), identities: map[string]identity{}}
	if x.log == nil {
		x.log = slog.New(slog.DiscardHandler)
	}
	return x
}

// Exchange implements [agent.Exchanger].
func (x *Exchanger) Exchange(ctx context.Context, env agent.Environment, idToken agent.Secret) (agent.AWSResult, error) {
	t := &task{exchanger: x, env: env, token: idToken}
	if err := t.check(); err != nil {
		return agent.AWSResult{}, err
	}
	if env.IdentityPoolID != "" {
		return t.byIdentityPool(ctx)
	}
	return t.byRole(ctx)
}

// A task is one exchange.
type task struct {
	exchanger *Exchanger
	env       agent.Environment
	token     agent.Secret
}

// check refuses an environment that cannot work or that would show an ID token to the
// network.
func (t *task) check() error {
	switch problem := awscall.CheckURL(t.env.AWSEndpoint); {
	case t.env.AWSEndpoint != "" && problem != "":
		return t.errorf(agent.CodeConfiguration, "correct the configuration of environment "+t.env.Name+", then run: kyc-agentd reload",
			"aws_endpoint %s", problem)
	case !t.env.HasAWS():
		return t.errorf(agent.CodeConfiguration, "set identity_pool_id or aws_role_arn of environment "+t.env.Name,
			"nothing is configured that gives AWS credentials")
	}
	return nil
}

// endpoint is where the SDK is to call; nil means AWS's own place for the region.
func (t *task) endpoint() *string {
	if t.env.AWSEndpoint == "" {
		return nil
	}
	return aws.String(t.env.AWSEndpoint)
}

// client is the SDK's way to the network.
func (t *task) client() awscall.Doer {
	return awscall.Doer{Client: t.exchanger.http, Now: t.exchanger.now}
}

// callTimeout bounds one call. A request for credentials is answered within 7 s.
const callTimeout = 5 * time.Second

// invoke makes one call. Exactly one of the results Out and *failure is set.
func invoke[Out any](ctx context.Context, t *task, c awscall.Call, f func(context.Context) (*Out, error)) (*Out, *awscall.Exchange, *failure) {
	out, x, bad, message := awscall.Make(ctx, c, callTimeout, f)
	attrs := []slog.Attr{
		slog.String("op", "aws"), slog.String("env", t.env.Name), slog.String("call", c.Name),
		slog.Duration("duration", x.Took.Round(time.Millisecond)), slog.Int("status", x.Status), slog.Duration("skew", x.Skew()),
	}
	var fail *failure
	if bad != nil {
		fail = &failure{Failure: *bad, expired: saysExpired(message)}
		attrs = append(attrs, slog.String("error", fail.Error()))
	}
	t.exchanger.log.LogAttrs(ctx, slog.LevelDebug, "AWS call", attrs...)
	return out, x, fail
}

// grant makes the result of what a call yielded.
func (t *task) grant(c awscall.Call, x *awscall.Exchange, id, secret, session *string, end *time.Time) (agent.AWSResult, error) {
	g := agent.AWSResult{
		AccessKeyID:     aws.ToString(id),
		SecretAccessKey: agent.NewSecret(aws.ToString(secret)),
		SessionToken:    agent.NewSecret(aws.ToString(session)),
		Lifetime:        aws.ToTime(end).Sub(x.Received.Add(x.Skew())),
	}
	if g.AccessKeyID == "" || g.SecretAccessKey.IsZero() || g.SessionToken.IsZero() || end == nil {
		return agent.AWSResult{}, t.errorf(agent.CodeUnavailable, tryAgain, "%s answered without credentials", c.Service)
	}
	if g.Lifetime <= 0 {
		return agent.AWSResult{}, t.errorf(agent.CodeUnavailable, "check this machine's clock", "%s gave credentials that have ended already", c.Service)
	}
	return g, nil
}
