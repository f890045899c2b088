package cognito

import (
	"context"
	"errors"
	"maps"

	"github.com/aws/aws-sdk-go-v2/aws"
	cip "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/legaltalent/kyc-agent/agent"
)

const (
	maxSteps   = 10 // challenges in one sign-in; real ones have three at most
	maxAnswers = 10 // answers to one challenge; Cognito gives up before
)

// Login signs in with user name and password (USER_PASSWORD_AUTH) and puts the
// challenges that follow to ask. The password is sent once: Cognito locks an
// account after a few bad ones.
func (a *Authenticator) Login(ctx context.Context, env agent.Environment, req agent.LoginRequest, ask agent.Asker) (agent.Grant, error) {
	t, err := a.begin("login", env)
	if err != nil {
		return agent.Grant{}, err
	}
	if req.Username == "" || req.Password.IsZero() {
		return agent.Grant{}, t.errorf(agent.CodeUsage, t.login(), "a sign-in needs a user name and a password")
	}
	s, err := t.initiate(ctx, req)
	for n := 0; err == nil && s.result == nil; n++ {
		if n == maxSteps {
			return agent.Grant{}, t.errorf(agent.CodeInternal, "tell the user pool's administrator", "Cognito asks on and on: %d challenges", n)
		}
		s, err = t.answer(ctx, s, ask)
	}
	if err != nil {
		return agent.Grant{}, err
	}
	return t.signedIn(ctx, s)
}

// A step is where a sign-in stands after a call: at a challenge, or at its result.
type step struct {
	result    *types.AuthenticationResultType // nil while there is a challenge
	challenge types.ChallengeNameType
	params    map[string]string
	session   *string
	user      string // the name to answer with
	x         *exchange
}

func (t *task) initiate(ctx context.Context, req agent.LoginRequest) (step, error) {
	out, x, fail := invoke(ctx, t, "InitiateAuth", func(ctx context.Context) (*cip.InitiateAuthOutput, error) {
		return t.api.InitiateAuth(ctx, &cip.InitiateAuthInput{
			AuthFlow: types.AuthFlowTypeUserPasswordAuth,
			ClientId: aws.String(t.env.ClientID),
			AuthParameters: map[string]string{
				"USERNAME": req.Username,
				"PASSWORD": req.Password.Reveal(),
			},
		})
	})
	if fail != nil {
		return step{}, t.failed(atSignIn, fail)
	}
	return step{
		result: out.AuthenticationResult, challenge: out.ChallengeName, params: out.ChallengeParameters,
		session: out.Session, user: userOf(out.ChallengeParameters, req.Username), x: x,
	}, nil
}

// userOf is the name to answer a challenge with: the real one, which Cognito tells,
// where the person typed an e-mail address or another alias.
func userOf(params map[string]string, known string) string {
	for _, key := range []string{"USERNAME", "USER_ID_FOR_SRP"} {
		if name := params[key]; name != "" {
			return name
		}
	}
	return known
}

// answer puts a challenge to the person until Cognito takes the answer. A wrong one
// leaves the session as it was, so the next goes to the same.
func (t *task) answer(ctx context.Context, s step, ask agent.Asker) (step, error) {
	q, ok := questions[s.challenge]
	if !ok {
		return step{}, t.unanswerable(s.challenge)
	}
	c, err := t.challenge(q, s)
	if err != nil {
		return step{}, err
	}
	for range maxAnswers {
		given, err := ask(ctx, c)
		if err != nil {
			return step{}, t.givenUp(c, err)
		}
		responses, problem := q.respond(s, given)
		if problem == "" {
			next, fail := t.respond(ctx, s, responses)
			if fail == nil {
				return next, nil
			}
			if problem = q.problem(fail); problem == "" {
				return step{}, t.failed(atAnswer, fail)
			}
		}
		c.Problem = problem
	}
	return step{}, t.errorf(agent.CodeLoginRequired, "begin again: "+t.login(), "%d answers in a row were refused", maxAnswers)
}

func (t *task) respond(ctx context.Context, s step, responses map[string]string) (step, *failure) {
	send := maps.Clone(responses)
	send["USERNAME"] = s.user
	out, x, fail := invoke(ctx, t, "RespondToAuthChallenge", func(ctx context.Context) (*cip.RespondToAuthChallengeOutput, error) {
		return t.api.RespondToAuthChallenge(ctx, &cip.RespondToAuthChallengeInput{
			ChallengeName:      s.challenge,
			ClientId:           aws.String(t.env.ClientID),
			Session:            s.session,
			ChallengeResponses: send,
		})
	})
	if fail != nil {
		return step{}, fail
	}
	return step{
		result: out.AuthenticationResult, challenge: out.ChallengeName, params: out.ChallengeParameters,
		session: out.Session, user: userOf(out.ChallengeParameters, s.user), x: x,
	}, nil
}

func (t *task) unanswerable(name types.ChallengeNameType) error {
	switch {
	case name == "":
		return t.errorf(agent.CodeUnavailable, t.again(), "%s answered neither with tokens nor with a challenge", host(t.env.EndpointURL()))
	case !challengePattern.MatchString(string(name)):
		name = "a challenge without a proper name"
	}
	return t.errorf(agent.CodeConfiguration,
		"ask the user pool's administrator to set up another sign-in method for this user",
		"Cognito asks for %s, which this version cannot answer", name)
}

// givenUp is the end of a sign-in by the person, or by whoever relays to them.
func (t *task) givenUp(c agent.Challenge, err error) error {
	if own, ok := errors.AsType[*agent.Error](err); ok {
		return own
	}
	code := agent.CodeLoginRequired
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		code = agent.CodeUnavailable
	}
	e := t.errorf(code, "begin again: "+t.login(), "the sign-in was given up at %s", c.Name)
	e.Err = err
	return e
}

// signedIn makes the Grant of a complete sign-in. One whose ID token is no good is
// not left behind at Cognito.
func (t *task) signedIn(ctx context.Context, s step) (agent.Grant, error) {
	if aws.ToString(s.result.RefreshToken) == "" {
		return agent.Grant{}, t.errorf(agent.CodeConfiguration,
			"check which flows the app client "+t.env.ClientID+" allows", "Cognito signed the user in without a refresh token")
	}
	if s.result.NewDeviceMetadata != nil {
		t.log.Warn("the user pool remembers devices, which this version does not: it may refuse to refresh", "env", t.env.Name)
	}
	sealed := agent.Sealed{Username: s.user, RefreshToken: agent.NewSecret(aws.ToString(s.result.RefreshToken)), SignedInAt: t.now()}
	g, err := t.grant(ctx, sealed, s.result, s.x)
	if err != nil {
		t.discard(ctx, sealed)
	}
	return g, err
}

// discard revokes a refresh token that nobody will have; that it failed is in the log.
func (t *task) discard(ctx context.Context, s agent.Sealed) {
	_, _ = t.revoke(context.WithoutCancel(ctx), s)
}
