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
	Kind FaultKind
	// Err says what is wrong and what to do about it, without a word of the server's.
	Err *agent.Error
}

// A FaultKind is where a fault lies. The list only grows.
type FaultKind string

// The kinds. Up to FaultTLS there was no answer.
const (
	FaultSetting    FaultKind = "setting"                       // the environment's own settings cannot work; nothing was sent
	FaultProxy      FaultKind = FaultKind(awscall.AtProxy)      // "proxy": it did not let the call through
	FaultDNS        FaultKind = FaultKind(awscall.AtDNS)        // "dns": the host's name cannot be resolved
	FaultConnection FaultKind = FaultKind(awscall.AtConnection) // "connection": refused, cut, or no answer in time
	FaultTLS        FaultKind = FaultKind(awscall.AtTLS)        // "tls": none, or a certificate that cannot be trusted
	FaultAnswer     FaultKind = "answer"                        // an answer that is none of Cognito's, or an error of its own
	FaultBlocked    FaultKind = "blocked"                       // a firewall in front of Cognito refused
	FaultThrottled  FaultKind = "throttled"                     // too many calls
	FaultClient     FaultKind = "client-id"                     // Cognito does not know the app client
	FaultSecret     FaultKind = "secret"                        // the app client's secret is missing, wrong or one too many
	FaultFlow       FaultKind = "flow"                          // the app client does not allow the auth_flow
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
	t, err := a.begin("probe", env)
	if err == nil {
		err = t.chooseFlow()
	}
	if err != nil {
		return ProbeResult{SignIn: &Problem{Kind: FaultSetting, Err: asError(err)}}
	}
	t.command = "kyc-agentd doctor " + env.Name
	var h ProbeResult
	var both sync.WaitGroup
	both.Go(func() { h.Keys = t.probeKeys(ctx) })
	t.probeSignIn(ctx, &h)
	both.Wait()
	return h
}

// probeKeys fetches the JWK set past the cache.
func (t *task) probeKeys(ctx context.Context) *Problem {
	_, fail := t.auth.keys.fetch(ctx, t.env.KeysURL())
	if fail == nil {
		return nil
	}
	hint := t.again()
	if fail.Status != 0 {
		hint = "check user_pool_id, issuer and jwks_url of environment " + t.env.Name
	}
	e := t.errorf(agent.CodeUnavailable, hint, "%s", fail.Words)
	e.Err = fail
	return &Problem{Kind: (&failure{Failure: *fail}).kind(), Err: e}
}

// probeSignIn begins a sign-in, and goes no further.
func (t *task) probeSignIn(ctx context.Context, h *ProbeResult) {
	si, err := t.signIn(agent.LoginRequest{
		Username: "kyc-agentd-doctor-" + rand.Text(), Password: agent.NewSecret(rand.Text()),
	})
	if err != nil {
		h.SignIn = &Problem{Kind: FaultSetting, Err: asError(err)}
		return
	}
	s, fail := si.initiateOnce(ctx)
	h.Answered, h.Skew = s.x.Status != 0, s.x.Skew()
	if fail == nil {
		return // a challenge: the pool does not tell that there is no such user
	}
	e := si.op.failed(atSignIn, fail)
	// Whatever is said of a user is said of one that does not exist.
	if e.Code != agent.CodeLoginRequired && fail.reason != reasonAttempts {
		h.SignIn = &Problem{Kind: fail.kind(), Err: e}
	}
}

func asError(err error) *agent.Error {
	if e, ok := errors.AsType[*agent.Error](err); ok {
		return e
	}
	return &agent.Error{Code: agent.CodeOf(err), Op: "probe", Message: err.Error(), Err: err}
}

// kind is where the fault lies that a failure shows.
func (f *failure) kind() FaultKind {
	switch {
	case f.Status == 0:
		return FaultKind(f.Where)
	case f.aboutSecret():
		return FaultSecret
	case f.reason == reasonFlow:
		return FaultFlow
	case f.Code == "ResourceNotFoundException":
		return FaultClient
	}
	switch meaningOf(atSignIn, f).code {
	case agent.CodeDenied:
		return FaultBlocked
	case agent.CodeThrottled:
		return FaultThrottled
	}
	return FaultAnswer
}
