package cognito

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito/srp"
	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

const (
	maxSteps   = 30 // challenges in one sign-in; real ones have eight at most, but for a pool's own questions
	maxAnswers = 10 // answers to one challenge; Cognito gives up before
)

// Login signs in by the environment's flow. What Cognito wants to know besides is put to
// ask; where the account must be mended first, that is offered through ask, too.
// A password is sent once in a sign-in, for Cognito locks an account after a few bad ones:
// again only after Cognito has taken it, when it turned out that a device it came with
// is forgotten.
func (a *Authenticator) Login(ctx context.Context, env agent.Environment, req agent.LoginRequest, ask agent.Prompter) (agent.AuthResult, error) {
	t, err := a.begin("login", env)
	if err != nil {
		return agent.AuthResult{}, err
	}
	t.ask = ask
	si, err := t.signIn(req)
	if err != nil {
		return agent.AuthResult{}, err
	}
	s, err := si.run(ctx)
	if err != nil {
		return agent.AuthResult{}, err
	}
	return si.signedIn(ctx, s)
}

// A signIn is a sign-in under way.
type signIn struct {
	op        *task
	user      string       // as typed
	password  agent.Secret // empty where the flow goes without one
	device    agent.Device // that the pool may know this machine by; zero once it turns out that it does not
	handshake *srp.Client  // begun, and not answered yet
	answered  step         // the last challenge whose answer was taken
	changed   bool         // a new password was set on the way

	cured map[string]bool // the codes after which the account was mended
}

func (t *task) signIn(req agent.LoginRequest) (*signIn, error) {
	if err := t.chooseFlow(); err != nil {
		return nil, err
	}
	if req.Username == "" || req.Password.IsZero() && !t.flow.open {
		return nil, t.errorf(agent.CodeUsage, t.rerun(), "a sign-in needs a user name and a password")
	}
	return &signIn{op: t, user: req.Username, password: req.Password, device: req.Device, cured: map[string]bool{}}, nil
}

// A step is where a sign-in stands after a call: at a challenge, or at its result.
type step struct {
	result    *types.AuthenticationResultType // nil while there is a challenge
	challenge types.ChallengeNameType
	params    map[string]string
	available []types.ChallengeNameType // to choose from, at SELECT_CHALLENGE
	session   *string
	user      string // the name to answer with
	x         *awscall.Exchange
}

// userOf is the name to answer a challenge with: the real one, which Cognito tells,
// where the person typed an e-mail address or another alias.
func userOf(params map[string]string, known string) string {
	for _, key := range []string{"USER_ID_FOR_SRP", "USERNAME"} {
		if name := params[key]; name != "" {
			return name
		}
	}
	return known
}

// run goes through a sign-in to its result. An account that cannot sign in as it is may
// be mended on the way.
func (si *signIn) run(ctx context.Context) (step, error) {
	s, err := si.attempt(ctx)
	for range cures {
		if err == nil || !si.cure(ctx, &err) {
			break
		}
		s, err = si.attempt(ctx)
	}
	return s, err
}

// attempt goes through a sign-in to its result.
func (si *signIn) attempt(ctx context.Context) (step, error) {
	s, err := si.initiate(ctx)
	for n := 0; err == nil && s.result == nil; n++ {
		if n == maxSteps {
			return step{}, si.op.errorf(agent.CodeInternal, "tell the user pool's administrator", "Cognito asks on and on: %d challenges", n)
		}
		s, err = si.next(ctx, s)
	}
	return s, err
}

// next gets past one challenge.
func (si *signIn) next(ctx context.Context, s step) (step, error) {
	if f, ok := procedures[s.challenge]; ok {
		return f(si, ctx, s)
	}
	q, ok := questions[s.challenge]
	if !ok {
		return step{}, si.op.unanswerable(s.challenge)
	}
	return si.answer(ctx, q, s)
}

// procedures are the challenges that take more than a question, or none.
var procedures = map[types.ChallengeNameType]func(*signIn, context.Context, step) (step, error){
	types.ChallengeNameTypePassword:               (*signIn).sendPassword,
	types.ChallengeNameTypePasswordSrp:            (*signIn).offerProof,
	types.ChallengeNameTypePasswordVerifier:       (*signIn).provePassword,
	types.ChallengeNameTypeSelectChallenge:        (*signIn).choose,
	types.ChallengeNameTypeMfaSetup:               (*signIn).setUp,
	types.ChallengeNameTypeDeviceSrpAuth:          (*signIn).offerDeviceProof,
	types.ChallengeNameTypeDevicePasswordVerifier: (*signIn).proveDevice,
}

func (t *task) unanswerable(name types.ChallengeNameType) error {
	switch {
	case name == "":
		return t.errorf(agent.CodeUnavailable, t.again(), "%s answered neither with tokens nor with a challenge", awscall.Host(t.env.EndpointURL()))
	case name == types.ChallengeNameTypeWebAuthn:
		return t.errorf(agent.CodeConfiguration,
			"ask the user pool's administrator to set up another sign-in method for this user",
			"Cognito asks for a passkey (WEB_AUTHN), which a terminal cannot use")
	case !challengePattern.MatchString(string(name)):
		name = "a challenge without a proper name"
	}
	return t.errorf(agent.CodeConfiguration,
		"ask the user pool's administrator to set up another sign-in method for this user",
		"Cognito asks for %s, which this version cannot answer", name)
}

// improper is a challenge that makes no sense.
func (t *task) improper(s step, why error) error {
	return t.errorf(agent.CodeConfiguration, "tell the user pool's administrator", "Cognito asks for %s in a way that cannot be answered: %v", s.challenge, why)
}

// givenUp is the end of a task by the person, or by whoever relays to them.
func (t *task) givenUp(c agent.Challenge, err error) error {
	if own, ok := errors.AsType[*agent.Error](err); ok {
		return own
	}
	code := agent.CodeLoginRequired
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		code = agent.CodeUnavailable
	}
	e := t.errorf(code, "begin again: "+t.rerun(), "%sgiven up at %s", t.ended(), c.Name)
	e.Err = err
	return e
}

// sessionLife is how long Cognito waits for an answer, unless the app client's
// AuthSessionValidity says otherwise.
const sessionLife = 3 * time.Minute

// refused is the error for a failure at a challenge. Cognito's refusal of a session that
// is too old may look like any other.
func (si *signIn) refused(p phase, s step, f *failure) error {
	if f.Code == "NotAuthorizedException" && f.reason == "" && si.op.auth.now().Sub(s.x.Received) >= sessionLife {
		f.reason = reasonExpired
	}
	return si.op.failed(p, f)
}

// signedIn makes the Grant of a complete sign-in. One whose ID token is no good is
// not left behind at Cognito.
func (si *signIn) signedIn(ctx context.Context, s step) (agent.AuthResult, error) {
	if aws.ToString(s.result.RefreshToken) == "" {
		return agent.AuthResult{}, si.op.errorf(agent.CodeConfiguration,
			"check which flows the app client "+si.op.env.ClientID+" allows", "Cognito signed the user in without a refresh token")
	}
	sealed := agent.SignIn{
		Username: s.user, RefreshToken: agent.NewSecret(aws.ToString(s.result.RefreshToken)),
		Device: si.device, SignedInAt: si.op.auth.now(),
	}
	g, err := si.op.grant(ctx, sealed, s.result, s.x)
	if err != nil {
		si.op.discard(ctx, sealed)
		return agent.AuthResult{}, err
	}
	if device, ok := si.register(ctx, s.result); ok {
		g.SignIn.Device = device
	}
	return g, nil
}

// discard revokes a refresh token that nobody will have; that it failed is in the log.
func (t *task) discard(ctx context.Context, s agent.SignIn) {
	_, _ = t.revoke(context.WithoutCancel(ctx), s)
}
