package cognito

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

// A Problem is a reason why an environment does not work.
type Problem struct {
	Kind ProblemKind
	// Err says what is wrong and how to fix it, without any text of the server.
	Err *agent.Error
}

// A ProblemKind says where a problem is. New kinds may be added.
type ProblemKind string

// The kinds of problems. With those up to ProblemTLS there was no answer.
const (
	ProblemSetting    ProblemKind = "setting"                            // the environment's own settings cannot work; nothing was sent
	ProblemProxy      ProblemKind = ProblemKind(awscall.StageProxy)      // "proxy": the proxy refused the call or could not be reached
	ProblemDNS        ProblemKind = ProblemKind(awscall.StageDNS)        // "dns": the host name cannot be resolved
	ProblemConnection ProblemKind = ProblemKind(awscall.StageConnection) // "connection": refused, closed, or no answer in time
	ProblemTLS        ProblemKind = ProblemKind(awscall.StageTLS)        // "tls": the server does not speak TLS, or its certificate is not trusted
	ProblemAnswer     ProblemKind = "answer"                             // an answer that is not from Cognito, or an internal error of Cognito
	ProblemBlocked    ProblemKind = "blocked"                            // a firewall in front of Cognito refused
	ProblemThrottled  ProblemKind = "throttled"                          // too many calls
	ProblemClient     ProblemKind = "client-id"                          // Cognito does not know the app client
	ProblemSecret     ProblemKind = "secret"                             // the client secret is missing, wrong, or not needed
	ProblemFlow       ProblemKind = "flow"                               // the app client does not allow the auth_flow
)

// A ProbeResult is the result of Probe.
type ProbeResult struct {
	Keys   *Problem // with the signing keys; nil if they are usable
	SignIn *Problem // with signing in; nil if a user with the right password could sign in
	// Issuer is what the pool's discovery document says; "" if that cannot be fetched. It is
	// the server's text.
	Issuer string
	// Answered says that Cognito's API answered, even if with an error.
	Answered bool
	// Skew is how far Cognito's clock is ahead of this machine's. It is 0 below 2 s, and if
	// there was no answer.
	Skew time.Duration
}

// Probe checks whether an environment can work, without a user. It fetches the signing keys,
// bypassing the cache, and begins one sign-in, with the environment's flow, as a user with a
// random name. The error with which Cognito refuses that user shows whether the app client,
// its secret and its flow are right.
//
// The sign-in is one call of InitiateAuth, which counts towards the quota of the user pool's
// AWS account (120 a second) like any sign-in. As the user does not exist, no account is locked
// and no user is billed; Lambda triggers and logs of the pool see the attempt. Probe takes no
// longer than quickTimeout.
func (a *Authenticator) Probe(ctx context.Context, env agent.Environment) ProbeResult {
	o, err := a.newOperation("probe", env)
	if err == nil {
		err = o.setFlow()
	}
	if err != nil {
		return ProbeResult{SignIn: &Problem{Kind: ProblemSetting, Err: asError(err)}}
	}
	o.command = "kyc-agentd doctor " + env.Name
	ctx, cancel := context.WithTimeout(ctx, quickTimeout)
	defer cancel()
	var result ProbeResult
	var both sync.WaitGroup
	both.Go(func() { result.Keys = o.probeKeys(ctx) })
	both.Go(func() { result.Issuer = o.probeIssuer(ctx) })
	o.probeSignIn(ctx, &result)
	both.Wait()
	return result
}

// probeKeys fetches the JWK set, bypassing the cache. A pool may have a set at one of its
// issuers only, so the first answer that is a set will do.
func (o *operation) probeKeys(ctx context.Context) *Problem {
	var fail *awscall.Failure
	for _, issuer := range o.env.Issuers() {
		_, f := o.auth.keys.fetch(ctx, o.env.KeysURL(issuer))
		if f == nil {
			return nil
		}
		if fail == nil {
			fail = f
		}
		if f.Status == 0 || o.env.JWKSURL != "" {
			break // the others would fail in the same way
		}
	}
	hint := o.keysHint(fail)
	if fail.Status != 0 {
		hint = "check user_pool_id, issuer and jwks_url of environment " + o.env.Name
	}
	e := o.errorf(agent.CodeUnavailable, hint, "%s", fail.Text)
	e.Err = fail
	return &Problem{Kind: (&failure{Failure: *fail}).problemKind(), Err: e}
}

// probeSignIn begins a sign-in without completing it.
func (o *operation) probeSignIn(ctx context.Context, result *ProbeResult) {
	si, err := o.newSignIn(agent.LoginRequest{
		Username: "kyc-agentd-doctor-" + rand.Text(), Password: agent.NewSecret(rand.Text()),
	})
	if err != nil {
		result.SignIn = &Problem{Kind: ProblemSetting, Err: asError(err)}
		return
	}
	s, fail := si.initiateOnce(ctx)
	result.Answered, result.Skew = s.x.Status != 0, s.x.Skew()
	if fail == nil {
		return // a challenge: the pool does not reveal that the user does not exist
	}
	e := si.op.errorFor(signInMapping, fail)
	if !fail.aboutUser(e) {
		result.SignIn = &Problem{Kind: fail.problemKind(), Err: e}
	}
}

// aboutUser reports whether a sign-in failed, with e, because of its user, and not because of
// the environment. That does not count in a probe, because the user does not exist.
func (f *failure) aboutUser(e *agent.Error) bool {
	switch {
	case f.Status >= 500 || f.aboutSecret():
		return false
	case e.Code == agent.CodeLoginRequired, f.reason == reasonAttempts:
		return true
	}
	return f.Code == "NotAuthorizedException" || f.Code == "UserLambdaValidationException"
}

func asError(err error) *agent.Error {
	if e, ok := errors.AsType[*agent.Error](err); ok {
		return e
	}
	return &agent.Error{Code: agent.CodeOf(err), Op: "probe", Message: err.Error(), Err: err}
}

// problemKind returns the kind of problem that a failure shows.
func (f *failure) problemKind() ProblemKind {
	switch {
	case f.Status == 0:
		return ProblemKind(f.Stage)
	case f.aboutSecret():
		return ProblemSecret
	case f.reason == reasonFlow, f.reason == reasonNoTriggers:
		return ProblemFlow
	case f.Code == "ResourceNotFoundException":
		return ProblemClient
	}
	switch mappingOf(signInMapping, f).code {
	case agent.CodeDenied:
		return ProblemBlocked
	case agent.CodeThrottled:
		return ProblemThrottled
	}
	return ProblemAnswer
}
