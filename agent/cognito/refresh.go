package cognito

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	cip "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

// The two refresh calls, as agent.SignIn.RefreshAPI names them. An app client with refresh
// token rotation accepts only the second, others accept both. Whether a client has rotation
// can only be queried with credentials of its AWS account.
const (
	apiInitiateAuth = "initiate-auth" // InitiateAuth with REFRESH_TOKEN_AUTH
	apiGetTokens    = "tokens"        // GetTokensFromRefreshToken
)

func otherAPI(api string) string {
	if api == apiGetTokens {
		return apiInitiateAuth
	}
	return apiGetTokens
}

// Refresh gets a new ID token with the refresh token in s. It begins with the call that
// succeeded last time. Before it reports that the sign-in has ended, or that the app client
// does not allow refreshes, it tries the other call.
func (a *Authenticator) Refresh(ctx context.Context, env agent.Environment, s agent.SignIn, keep func(agent.SignIn)) (agent.AuthResult, error) {
	o, err := a.newOperation("refresh", env)
	if err != nil {
		return agent.AuthResult{}, err
	}
	if s.RefreshToken.IsZero() {
		return agent.AuthResult{}, o.errorf(agent.CodeLoginRequired, o.rerunHint(), "the stored sign-in has no refresh token")
	}
	if result, ok, err := o.verifyKept(ctx, s); ok {
		return result, err
	}
	before := s.RefreshToken
	out, x, fail := o.refreshTokens(ctx, &s, keep)
	if fail != nil {
		return agent.AuthResult{}, o.refreshError(before, fail)
	}
	result, err := o.authResult(ctx, s, out, x)
	if keysUnavailable(err) {
		a.refreshes.keepUnverified(env, s, out, x)
	}
	return result, err
}

// verifyKept completes the last refresh, if only the signing keys were missing for that, and
// reports whether it did, or must be tried again. If the ID token is of no use any more, a new
// refresh is needed.
func (o *operation) verifyKept(ctx context.Context, s agent.SignIn) (agent.AuthResult, bool, error) {
	kept := o.auth.refreshes.findUnverified(o.env, s)
	if kept == nil {
		return agent.AuthResult{}, false, nil
	}
	s.RefreshAPI = kept.refreshAPI
	result, err := o.authResult(ctx, s, kept.answer(), kept.x)
	if keysUnavailable(err) {
		return agent.AuthResult{}, true, err
	}
	o.auth.refreshes.forgetUnverified(o.env.Name)
	result.Age = max(o.auth.now().Sub(kept.x.Received), 0)
	if result.Age >= result.Lifetime {
		return agent.AuthResult{}, false, nil
	}
	return result, true, nil
}

// refreshError translates a failure of a refresh with token. If the answer to the refresh before
// got lost, Cognito may have rotated the token in that refresh; nobody else has used it.
func (o *operation) refreshError(token agent.Secret, f *failure) *agent.Error {
	mapping := mappingOf(refreshMapping, f)
	if lost, ok := o.auth.refreshes.lostAnswer(o.env.Name, token); ok && mapping == tokenReused {
		mapping = answerLost
		if lost.late {
			mapping = answerLate
		}
	}
	return o.errorFrom(mapping, f)
}

// refreshTokens makes the refresh and updates s. If the refresh token was rotated, it has
// passed s to keep already.
func (o *operation) refreshTokens(
	ctx context.Context, s *agent.SignIn, keep func(agent.SignIn),
) (*types.AuthenticationResultType, *awscall.Exchange, *failure) {
	api := o.firstAPI(*s)
	out, x, fail := o.refreshWith(ctx, api, *s)
	if fail != nil && fail.tryOtherAPI() {
		api = otherAPI(api)
		first := fail
		if out, x, fail = o.refreshWith(ctx, api, *s); fail != nil {
			fail = moreDefinite(first, fail)
		}
	}
	if fail != nil {
		o.auth.refreshes.noteUnanswered(o.env.Name, s.RefreshToken, fail)
		return nil, x, fail
	}
	o.auth.refreshes.forget(o.env.Name)
	s.RefreshAPI = api
	if token := aws.ToString(out.RefreshToken); token != "" {
		s.RefreshToken = agent.NewSecret(token)
		keep(*s) // before anything that can fail, such as fetching the signing keys: the old token is invalid
	}
	return out, x, nil
}

// firstAPI returns the call to try first: the one that succeeded last time. If none has, that
// is InitiateAuth, which emulators and older stacks support, too. With a client secret it is
// GetTokensFromRefreshToken, which takes the plain secret. InitiateAuth wants a hash over the
// name that Cognito has for the user, and answers NotAuthorizedException to any other name.
func (o *operation) firstAPI(s agent.SignIn) string {
	switch {
	case s.RefreshAPI == apiGetTokens, s.RefreshAPI == apiInitiateAuth:
		return s.RefreshAPI
	case !o.env.ClientSecret.Current().IsZero():
		return apiGetTokens
	}
	return apiInitiateAuth
}

// refreshWith makes one refresh call. Exactly one of the first and the last result is set.
func (o *operation) refreshWith(ctx context.Context, api string, s agent.SignIn) (*types.AuthenticationResultType, *awscall.Exchange, *failure) {
	name, call := "InitiateAuth", o.refreshWithInitiateAuth
	if api == apiGetTokens {
		name, call = "GetTokensFromRefreshToken", o.refreshWithGetTokens
	}
	r, x, fail := invoke(ctx, o, name, func(ctx context.Context) (*types.AuthenticationResultType, error) {
		return call(ctx, s)
	})
	if fail == nil && (r == nil || aws.ToString(r.IdToken) == "" && aws.ToString(r.RefreshToken) == "") {
		// This is treated like no answer: the refresh can be tried again.
		fail = &failure{Failure: awscall.Failure{Call: awsCall(name, o.env.EndpointURL()), Status: x.Status}}
		fail.Text = fail.Call.Host + " answered without tokens"
	}
	return r, x, fail
}

func (o *operation) refreshWithInitiateAuth(ctx context.Context, s agent.SignIn) (*types.AuthenticationResultType, error) {
	parameters := map[string]string{"REFRESH_TOKEN": s.RefreshToken.Reveal()}
	if s.Device.Key != "" {
		parameters["DEVICE_KEY"] = s.Device.Key
	}
	o.addSecretHash(parameters, s.Username)
	out, err := o.api.InitiateAuth(ctx, &cip.InitiateAuthInput{
		AuthFlow:       types.AuthFlowTypeRefreshTokenAuth,
		ClientId:       aws.String(o.env.ClientID),
		AuthParameters: parameters,
	})
	if err != nil {
		return nil, err
	}
	return out.AuthenticationResult, nil
}

func (o *operation) refreshWithGetTokens(ctx context.Context, s agent.SignIn) (*types.AuthenticationResultType, error) {
	out, err := o.api.GetTokensFromRefreshToken(ctx, &cip.GetTokensFromRefreshTokenInput{
		ClientId:     aws.String(o.env.ClientID),
		ClientSecret: o.plainSecret(),
		DeviceKey:    optional(s.Device.Key),
		RefreshToken: aws.String(s.RefreshToken.Reveal()),
	})
	if err != nil {
		return nil, err
	}
	return out.AuthenticationResult, nil
}

// tryOtherAPI reports whether the other refresh call may succeed: after a refusal of the call,
// and after a refusal of the token, because that may be how Cognito refuses a call that the
// app client does not accept. After RefreshTokenReuseException, Cognito knows the token and the
// other call would fail, too.
func (f *failure) tryOtherAPI() bool {
	if f.Code == "RefreshTokenReuseException" {
		return false
	}
	return f.refusesAPI() || f.endsSignIn()
}

// endsSignIn reports whether f is a definite answer that the sign-in has ended.
func (f *failure) endsSignIn() bool {
	return mappingOf(refreshMapping, f).code == agent.CodeLoginRequired
}

// refusesAPI reports whether f refuses the call rather than the token.
func (f *failure) refusesAPI() bool {
	if f.isUnknownCall() {
		return true
	}
	if f.Status >= 500 || f.aboutSecret() {
		return false
	}
	switch f.Code {
	case "InvalidParameterException", "OperationNotEnabledException", "UnsupportedOperationException":
		return true
	}
	return false
}

// moreDefinite returns the failure that counts after both calls have failed. If the server does
// not accept the second call, the first failure counts. Otherwise the second counts: it is a
// definite answer, or it leaves open whether the sign-in has ended, which then is kept.
func moreDefinite(first, second *failure) *failure {
	if second.refusesAPI() {
		return first
	}
	return second
}
