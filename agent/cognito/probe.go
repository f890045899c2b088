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

// A Problem is what keeps an environment from working.
type Problem struct {
	Kind ProblemKind
	// Err says what is wrong and what to do about it, without a word of the server's.
	Err *agent.Error
}

// A ProblemKind is where a fault lies. The list only grows.
type ProblemKind string

// The kinds. Up to FaultTLS there was no answer.
const (
	ProblemSetting    ProblemKind = "setting"                            // the environment's own settings cannot work; nothing was sent
	ProblemProxy      ProblemKind = ProblemKind(awscall.StageProxy)      // "proxy": it did not let the call through
	ProblemDNS        ProblemKind = ProblemKind(awscall.StageDNS)        // "dns": the host's name cannot be resolved
	ProblemConnection ProblemKind = ProblemKind(awscall.StageConnection) // "connection": refused, cut, or no answer in time
	ProblemTLS        ProblemKind = ProblemKind(awscall.StageTLS)        // "tls": none, or a certificate that cannot be trusted
	ProblemAnswer     ProblemKind = "answer"                             // an answer that is none of Cognito's, or an error of its own
	ProblemBlocked    ProblemKind = "blocked"                            // a firewall in front of Cognito refused
	ProblemThrottled  ProblemKind = "throttled"                          // too many calls
	ProblemClient     ProblemKind = "client-id"                          // Cognito does not know the app client
	ProblemSecret     ProblemKind = "secret"                             // the app client's secret is missing, wrong or one too many
	ProblemFlow       ProblemKind = "flow"                               // the app client does not allow the auth_flow
)

// A ProbeResult is what Probe found.
type ProbeResult struct {
	Keys   *Problem // of the signing keys; nil when they can be used
	SignIn *Problem // of signing in; nil when a user with the right password could
	// Answered says that Cognito's API answered, whatever it said.
	Answered bool
	// Skew is how far Cognito's clock is ahead of this machine's; 0 below 2 s, and
	// where there was no answer.
	Skew time.Duration
}

// Probe finds out whether an environment could work, without a user: it fetches the
// signing keys afresh and begins one sign-in, by the environment's flow, as a user whose
// name is made up of random letters. Cognito's refusal of that user tells the app
// client, its secret and its flow from wrong ones.
//
// It is one call of InitiateAuth, which counts towards the quota of the user pool's
// account (120 a second) as any sign-in does. No account is locked and nobody is
// billed for, as the user does not exist; triggers of the pool (Lambda) and its log see
// the attempt. It takes no longer than callTimeout.
func (a *Authenticator) Probe(ctx context.Context, env agent.Environment) ProbeResult {
	o, err := a.newOperation("probe", env)
	if err == nil {
		err = o.setFlow()
	}
	if err != nil {
		return ProbeResult{SignIn: &Problem{Kind: ProblemSetting, Err: asError(err)}}
	}
	o.command = "kyc-agentd doctor " + env.Name
	var result ProbeResult
	var both sync.WaitGroup
	both.Go(func() { result.Keys = o.probeKeys(ctx) })
	o.probeSignIn(ctx, &result)
	both.Wait()
	return result
}

// probeKeys fetches the JWK set past the cache.
func (o *operation) probeKeys(ctx context.Context) *Problem {
	_, fail := o.auth.keys.fetch(ctx, o.env.KeysURL())
	if fail == nil {
		return nil
	}
	hint := o.retryHint()
	if fail.Status != 0 {
		hint = "check user_pool_id, issuer and jwks_url of environment " + o.env.Name
	}
	e := o.errorf(agent.CodeUnavailable, hint, "%s", fail.Text)
	e.Err = fail
	return &Problem{Kind: (&failure{Failure: *fail}).problemKind(), Err: e}
}

// probeSignIn begins a sign-in, and goes no further.
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
		return // a challenge: the pool does not tell that there is no such user
	}
	e := si.op.errorFor(signInMapping, fail)
	// Whatever is said of a user is said of one that does not exist.
	if e.Code != agent.CodeLoginRequired && fail.reason != reasonAttempts {
		result.SignIn = &Problem{Kind: fail.problemKind(), Err: e}
	}
}

func asError(err error) *agent.Error {
	if e, ok := errors.AsType[*agent.Error](err); ok {
		return e
	}
	return &agent.Error{Code: agent.CodeOf(err), Op: "probe", Message: err.Error(), Err: err}
}

// problemKind is where the fault lies that a failure shows.
func (f *failure) problemKind() ProblemKind {
	switch {
	case f.Status == 0:
		return ProblemKind(f.Stage)
	case f.aboutSecret():
		return ProblemSecret
	case f.reason == reasonFlow:
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
