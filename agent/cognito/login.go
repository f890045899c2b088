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
	maxSteps   = 30 // challenges in one sign-in; real sign-ins have at most eight, apart from custom challenges
	maxAnswers = 10 // answers to one challenge; Cognito ends the sign-in earlier
)

// Login signs in with the environment's flow. It asks for everything else that Cognito
// requires through ask, which also offers to recover an account that must be recovered first.
// Cognito locks an account after a few wrong passwords, so one that it has refused is not sent
// again. It is sent again after a call that failed for a moment (see withTries), after one
// whose client secret Cognito refused (see withRenewedSecret), and after Cognito has accepted
// it, if the pool turns out to no longer know the device that was sent with it.
func (a *Authenticator) Login(ctx context.Context, env agent.Environment, req agent.LoginRequest, ask agent.Prompter) (agent.AuthResult, error) {
	o, err := a.newOperation("login", env)
	if err != nil {
		return agent.AuthResult{}, err
	}
	o.ask = ask
	if req.RedirectURI != "" {
		return o.browserLogin(ctx, req)
	}
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

// A signIn is a sign-in in progress. The completed one, which is stored, is an agent.SignIn.
type signIn struct {
	op              *operation
	user            string       // as typed
	password        agent.Secret // empty if the flow began without one
	device          agent.Device // as which the pool may know this machine; zero once the pool says that it does not
	srpClient       *srp.Client  // of an SRP exchange that has begun and is not answered yet
	lastAnswered    step         // the last challenge that a person answered
	passwordChanged bool         // a new password was set during the sign-in
	refreshAPI      string       // the refresh call to try first; "" if there is no reason for either

	recovered map[string]bool // the error codes after which recovery was offered
}

func (o *operation) newSignIn(req agent.LoginRequest) (*signIn, error) {
	if err := o.setFlow(); err != nil {
		return nil, err
	}
	user, err := o.checkUsername(req.Username)
	switch {
	case err != nil:
		return nil, err
	case user == "" || req.Password.IsZero() && !o.flow.passwordOptional:
		return nil, o.errorf(agent.CodeUsage, o.rerunHint(), "a sign-in needs a user name and a password")
	case beginsWithBOM(req.Password.Reveal()):
		return nil, o.errorf(agent.CodeUsage, bomHint, "the password begins with a byte order mark (U+FEFF)")
	}
	return &signIn{op: o, user: user, password: req.Password, device: req.Device, recovered: map[string]bool{}}, nil
}

// A step is the state of a sign-in after a call: a challenge or the result.
type step struct {
	result    *types.AuthenticationResultType // nil if there is a challenge
	challenge types.ChallengeNameType
	params    map[string]string
	available []types.ChallengeNameType // the choices of SELECT_CHALLENGE
	session   *string
	user      string // USERNAME of the answer
	x         *awscall.Exchange
}

// usernameFor returns the name to answer a challenge with. Cognito sends the real name, which
// differs from known if the person typed an e-mail address or another alias.
func usernameFor(params map[string]string, known string) string {
	for _, key := range []string{"USER_ID_FOR_SRP", "USERNAME"} {
		if name := params[key]; name != "" {
			return name
		}
	}
	return known
}

// run signs in. If the state of the account does not allow that, it offers to recover the
// account and tries again.
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

// attempt signs in, by answering challenges until there is a result.
func (si *signIn) attempt(ctx context.Context) (step, error) {
	s, err := si.initiate(ctx)
	for n := 0; err == nil && s.result == nil; n++ {
		if n == maxSteps {
			return step{}, si.op.errorf(agent.CodeInternal, withRequestID("tell the user pool's administrator", s.x.RequestID), "too many challenges: Cognito asked %d in one sign-in", n)
		}
		s, err = si.answerChallenge(ctx, s)
	}
	return s, err
}

// answerChallenge answers one challenge.
func (si *signIn) answerChallenge(ctx context.Context, s step) (step, error) {
	if f, ok := challengeHandlers[s.challenge]; ok {
		return f(si, ctx, s)
	}
	q, ok := questions[s.challenge]
	if !ok {
		return step{}, si.op.unsupportedChallenge(s)
	}
	return si.askQuestion(ctx, q, s)
}

// challengeHandlers answer the challenges that need more than a question, or no question.
var challengeHandlers = map[types.ChallengeNameType]func(*signIn, context.Context, step) (step, error){
	types.ChallengeNameTypePassword:               (*signIn).sendPassword,
	types.ChallengeNameTypePasswordSrp:            (*signIn).sendSRPA,
	types.ChallengeNameTypePasswordVerifier:       (*signIn).sendPasswordProof,
	types.ChallengeNameTypeSelectChallenge:        (*signIn).chooseFactor,
	types.ChallengeNameTypeMfaSetup:               (*signIn).setUpMFA,
	types.ChallengeNameTypeDeviceSrpAuth:          (*signIn).sendDeviceSRPA,
	types.ChallengeNameTypeDevicePasswordVerifier: (*signIn).sendDeviceProof,
}

func (o *operation) unsupportedChallenge(s step) error {
	name := s.challenge
	switch {
	case name == "":
		return o.errorf(agent.CodeUnavailable, o.retryHint(), "%s answered neither with tokens nor with a challenge", awscall.Host(o.env.EndpointURL()))
	case name == types.ChallengeNameTypeWebAuthn:
		e := o.errorf(agent.CodeConfiguration, o.browserHint(), "Cognito asks for a passkey (WEB_AUTHN), which only a browser can use")
		e.Hint = withRequestID(e.Hint, s.x.RequestID)
		return e
	case !challengePattern.MatchString(string(name)):
		name = "a challenge with an invalid name"
	}
	return o.noFactor(s, "Cognito asks for "+string(name)+", which this version cannot answer")
}

// noFactor is the error for a user who can only sign in with what this version does not have.
func (o *operation) noFactor(s step, message string) error {
	hint := withRequestID("ask the user pool's administrator to set up another sign-in method for this user", s.x.RequestID)
	return o.errorf(agent.CodeConfiguration, hint, "%s", message)
}

// malformedChallenge is the error for a challenge that makes no sense.
func (o *operation) malformedChallenge(s step, why error) error {
	return o.errorf(agent.CodeConfiguration, withRequestID("tell the user pool's administrator", s.x.RequestID),
		"the challenge %s from Cognito cannot be answered: %v", s.challenge, why)
}

// promptError is the error for an operation that was ended by the person, or by the program
// between this one and the person.
func (o *operation) promptError(c agent.Challenge, err error) error {
	if own, ok := errors.AsType[*agent.Error](err); ok {
		return own
	}
	code := agent.CodeLoginRequired
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		code = agent.CodeUnavailable
	}
	message := "the sign-in was given up at %s"
	if o.name == "recover" {
		message = "given up at %s"
	}
	e := o.errorf(code, "begin again: "+o.rerunHint(), message, c.Name)
	e.Err = err
	return e
}

// sessionLife is how long Cognito waits for an answer by default. An app client can set
// another AuthSessionValidity.
const sessionLife = 3 * time.Minute

// challengeError is the error for a failure at a challenge. Cognito's message does not always
// say that the session has expired, so the time since the challenge decides, too.
func (si *signIn) challengeError(table mappingTable, s step, f *failure) error {
	if f.Code != "NotAuthorizedException" || f.Status >= 500 || f.reason != "" && f.reason != reasonSession {
		return si.op.errorFor(table, f)
	}
	switch {
	case si.op.auth.now().Sub(s.x.Received) >= sessionLife:
		return si.op.errorFrom(sessionExpired, f)
	case f.mayBeDone:
		return si.op.errorFrom(answerTakenOnce, f)
	}
	return si.op.errorFor(table, f)
}

// finish returns the result of a complete sign-in. A sign-in whose ID token is refused is
// revoked.
func (si *signIn) finish(ctx context.Context, s step) (agent.AuthResult, error) {
	if aws.ToString(s.result.RefreshToken) == "" {
		return agent.AuthResult{}, si.op.errorf(agent.CodeConfiguration,
			"check which flows the app client "+si.op.env.ClientID+" allows", "Cognito signed the user in without a refresh token")
	}
	stored := agent.SignIn{
		Username: s.user, RefreshToken: agent.NewSecret(aws.ToString(s.result.RefreshToken)),
		RefreshAPI: si.refreshAPI, Device: si.device, SignedInAt: si.op.auth.now(),
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
