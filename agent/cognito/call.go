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

// invoke makes and logs one call. f proves the client secret, if it has to, with the current
// one: see withRenewedSecret. Exactly one of the results Out and *failure is set.
func invoke[Out any](ctx context.Context, o *operation, name string, f func(context.Context) (*Out, error)) (out *Out, x *awscall.Exchange, fail *failure) {
	fail = o.withRenewedSecret(ctx, func() *failure {
		var raw *awscall.Failure
		var message string
		out, x, raw, message = awscall.Make(ctx, awsCall(name, o.env.EndpointURL()), answerTimeout, f)
		return o.examine(ctx, name, x, raw, message)
	})
	return out, x, fail
}

// callStep is invoke for a call that may end a sign-in with tokens, and returns the step that
// follows. After a failure only the exchange of the step is set. If the answer comes when
// nobody waits for it any more, what it grants is revoked.
func (si *signIn) callStep(ctx context.Context, name string, f func(context.Context) (*step, error)) (next step, fail *failure) {
	discard := func(late *step) { si.op.discardLate(context.WithoutCancel(ctx), late.result) }
	fail = si.op.withRenewedSecret(ctx, func() *failure {
		out, x, raw, message := awscall.MakeKept(ctx, awsCall(name, si.op.env.EndpointURL()), answerTimeout, f, discard)
		if next = (step{}); out != nil {
			next = *out
		}
		next.x = x
		return si.op.examine(ctx, name, x, raw, message)
	})
	return next, fail
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
