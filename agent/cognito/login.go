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
	o, err := a.newOperation("login", env)
	if err != nil {
		return agent.AuthResult{}, err
	}
	o.ask = ask
	si, err := o.newSignIn(req)
	if err != nil {
		return agent.AuthResult{}, err
	}
	s, err := si.run(ctx)
	if err != nil {
		return agent.AuthResult{}, err
	}
	return si.finish(ctx, s)
}

// A signIn is a sign-in under way.
type signIn struct {
	op              *operation
	user            string       // as typed
	password        agent.Secret // empty where the flow goes without one
	device          agent.Device // that the pool may know this machine by; zero once it turns out that it does not
	srpClient       *srp.Client  // begun, and not answered yet
	lastAnswered    step         // the last challenge whose answer was taken
	passwordChanged bool         // a new password was set on the way

	recovered map[string]bool // the codes after which the account was mended
}

func (o *operation) newSignIn(req agent.LoginRequest) (*signIn, error) {
	if err := o.setFlow(); err != nil {
		return nil, err
	}
	if req.Username == "" || req.Password.IsZero() && !o.flow.passwordOptional {
		return nil, o.errorf(agent.CodeUsage, o.rerunHint(), "a sign-in needs a user name and a password")
	}
	return &signIn{op: o, user: req.Username, password: req.Password, device: req.Device, recovered: map[string]bool{}}, nil
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

// usernameFor is the name to answer a challenge with: the real one, which Cognito tells,
// where the person typed an e-mail address or another alias.
func usernameFor(params map[string]string, known string) string {
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
	for range recoveries {
		if err == nil || !si.recoverAccount(ctx, &err) {
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
		s, err = si.answerChallenge(ctx, s)
	}
	return s, err
}

// answerChallenge gets past one challenge.
func (si *signIn) answerChallenge(ctx context.Context, s step) (step, error) {
	if f, ok := challengeHandlers[s.challenge]; ok {
		return f(si, ctx, s)
	}
	q, ok := questions[s.challenge]
	if !ok {
		return step{}, si.op.unsupportedChallenge(s.challenge)
	}
	return si.askQuestion(ctx, q, s)
}

// challengeHandlers are the challenges that take more than a question, or none.
var challengeHandlers = map[types.ChallengeNameType]func(*signIn, context.Context, step) (step, error){
	types.ChallengeNameTypePassword:               (*signIn).sendPassword,
	types.ChallengeNameTypePasswordSrp:            (*signIn).sendSRPA,
	types.ChallengeNameTypePasswordVerifier:       (*signIn).sendPasswordProof,
	types.ChallengeNameTypeSelectChallenge:        (*signIn).chooseFactor,
	types.ChallengeNameTypeMfaSetup:               (*signIn).setUpMFA,
	types.ChallengeNameTypeDeviceSrpAuth:          (*signIn).sendDeviceSRPA,
	types.ChallengeNameTypeDevicePasswordVerifier: (*signIn).sendDeviceProof,
}

func (o *operation) unsupportedChallenge(name types.ChallengeNameType) error {
	switch {
	case name == "":
		return o.errorf(agent.CodeUnavailable, o.retryHint(), "%s answered neither with tokens nor with a challenge", awscall.Host(o.env.EndpointURL()))
	case name == types.ChallengeNameTypeWebAuthn:
		return o.errorf(agent.CodeConfiguration,
			"ask the user pool's administrator to set up another sign-in method for this user",
			"Cognito asks for a passkey (WEB_AUTHN), which a terminal cannot use")
	case !challengePattern.MatchString(string(name)):
		name = "a challenge without a proper name"
	}
	return o.errorf(agent.CodeConfiguration,
		"ask the user pool's administrator to set up another sign-in method for this user",
		"Cognito asks for %s, which this version cannot answer", name)
}

// malformedChallenge is a challenge that makes no sense.
func (o *operation) malformedChallenge(s step, why error) error {
	return o.errorf(agent.CodeConfiguration, "tell the user pool's administrator", "Cognito asks for %s in a way that cannot be answered: %v", s.challenge, why)
}

// promptError is the end of a task by the person, or by whoever relays to them.
func (o *operation) promptError(c agent.Challenge, err error) error {
	if own, ok := errors.AsType[*agent.Error](err); ok {
		return own
	}
	code := agent.CodeLoginRequired
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		code = agent.CodeUnavailable
	}
	e := o.errorf(code, "begin again: "+o.rerunHint(), "%sgiven up at %s", o.ended(), c.Name)
	e.Err = err
	return e
}

// sessionLife is how long Cognito waits for an answer, unless the app client's
// AuthSessionValidity says otherwise.
const sessionLife = 3 * time.Minute

// challengeError is the error for a failure at a challenge. Cognito's refusal of a session that
// is too old may look like any other.
func (si *signIn) challengeError(table mappingTable, s step, f *failure) error {
	if f.Code == "NotAuthorizedException" && f.reason == "" && si.op.auth.now().Sub(s.x.Received) >= sessionLife {
		f.reason = reasonExpired
	}
	return si.op.errorFor(table, f)
}

// finish makes the Grant of a complete sign-in. One whose ID token is no good is
// not left behind at Cognito.
func (si *signIn) finish(ctx context.Context, s step) (agent.AuthResult, error) {
	if aws.ToString(s.result.RefreshToken) == "" {
		return agent.AuthResult{}, si.op.errorf(agent.CodeConfiguration,
			"check which flows the app client "+si.op.env.ClientID+" allows", "Cognito signed the user in without a refresh token")
	}
	stored := agent.SignIn{
		Username: s.user, RefreshToken: agent.NewSecret(aws.ToString(s.result.RefreshToken)),
		Device: si.device, SignedInAt: si.op.auth.now(),
	}
	result, err := si.op.authResult(ctx, stored, s.result, s.x)
	if err != nil {
		si.op.discard(ctx, stored)
		return agent.AuthResult{}, err
	}
	if device, ok := si.confirmDevice(ctx, s.result); ok {
		result.SignIn.Device = device
	}
	return result, nil
}

// discard revokes a refresh token that nobody will have; that it failed is in the log.
func (o *operation) discard(ctx context.Context, s agent.SignIn) {
	_, _ = o.revoke(context.WithoutCancel(ctx), s)
}
