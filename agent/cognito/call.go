package cognito

import (
	"context"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

// answerTimeout is how long a call waits for its answer once the request was sent. Cognito
// gives a Lambda trigger 5 s and calls it up to three times, and a call has several triggers.
const answerTimeout = 60 * time.Second

// quickTimeout limits calls that run no trigger, and those that nobody should wait a minute for.
const quickTimeout = 10 * time.Second

// invoke makes and logs one call. Exactly one of the results Out and *failure is set.
func invoke[Out any](ctx context.Context, o *operation, name string, f func(context.Context) (*Out, error)) (*Out, *awscall.Exchange, *failure) {
	out, x, raw, message := awscall.Make(ctx, awsCall(name, o.env.EndpointURL()), answerTimeout, f)
	return out, x, o.examine(ctx, name, x, raw, message)
}

// callStep makes one call that may end a sign-in with tokens, and returns the step that
// follows. After a failure only the exchange of the step is set. If the answer comes when
// nobody waits for it any more, what it grants is revoked.
func (si *signIn) callStep(ctx context.Context, name string, f func(context.Context) (*step, error)) (step, *failure) {
	next, x, raw, message := awscall.MakeKept(ctx, awsCall(name, si.op.env.EndpointURL()), answerTimeout, f, func(late *step) {
		si.op.discardLate(context.WithoutCancel(ctx), late.result)
	})
	if fail := si.op.examine(ctx, name, x, raw, message); fail != nil {
		return step{x: x}, fail
	}
	next.x = x
	return *next, nil
}

// discardLate revokes the sign-in in a late answer, which may be nil.
func (o *operation) discardLate(ctx context.Context, r *types.AuthenticationResultType) {
	if r == nil || aws.ToString(r.RefreshToken) == "" {
		return
	}
	o.auth.log.Info("revoking a sign-in that nobody waited for", "op", o.name, "env", o.env.Name)
	o.discard(ctx, agent.SignIn{RefreshToken: agent.NewSecret(aws.ToString(r.RefreshToken))})
}

// discard revokes a refresh token that nobody will use. A failure is only logged.
func (o *operation) discard(ctx context.Context, s agent.SignIn) {
	ctx = context.WithoutCancel(ctx)
	_, _ = withTries(ctx, func() (struct{}, *failure) {
		_, fail := o.revoke(ctx, s)
		return struct{}{}, fail
	})
}

// awsCall describes a call to Cognito at a URL.
func awsCall(name, url string) awscall.Call {
	return awscall.Call{Name: name, Host: awscall.Host(url), Service: "Cognito", Format: "JSON"}
}

// examine logs the outcome of a call, but never its content, and adds to a failure what
// Cognito's message says. Without a failure it returns nil.
func (o *operation) examine(ctx context.Context, name string, x *awscall.Exchange, raw *awscall.Failure, message string) *failure {
	attrs := []slog.Attr{
		slog.String("op", o.name), slog.String("env", o.env.Name), slog.String("call", name),
		slog.Duration("duration", x.Took.Round(time.Millisecond)), slog.Int("status", x.Status),
		slog.Duration("skew", x.Skew()),
	}
	var fail *failure
	if raw != nil {
		fail = newFailure(*raw, message)
		if fail.reason == reasonSecretMissing && !o.env.ClientSecret.Current().IsZero() {
			fail.reason = reasonSecretWrong
		}
		attrs = append(attrs, slog.String("error", fail.Error()))
	}
	o.auth.log.LogAttrs(ctx, slog.LevelDebug, "Cognito call", attrs...)
	return fail
}
