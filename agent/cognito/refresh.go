package cognito

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	cip "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

// The two refresh calls, as Sealed.RefreshAPI names them. An app client with refresh
// token rotation takes the second alone, others take both, and which kind a client
// is cannot be asked without an AWS account's credentials.
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

// Refresh gets a new ID token with the refresh token in s. It begins with the call
// that worked the last time; before it says that the sign-in is dead, or that the
// app client does not allow refreshing, it tries the other one.
func (a *Authenticator) Refresh(ctx context.Context, env agent.Environment, s agent.SignIn, keep func(agent.SignIn)) (agent.AuthResult, error) {
	o, err := a.newOperation("refresh", env)
	if err != nil {
		return agent.AuthResult{}, err
	}
	if s.RefreshToken.IsZero() {
		return agent.AuthResult{}, o.errorf(agent.CodeLoginRequired, o.rerunHint(), "the kept sign-in has no refresh token")
	}
	out, x, fail := o.refreshTokens(ctx, &s, keep)
	if fail != nil {
		return agent.AuthResult{}, o.errorFor(refreshMapping, fail)
	}
	return o.authResult(ctx, s, out, x)
}

// refreshTokens makes the refresh. s is then what is to be kept; keep has it already if the
// refresh token was rotated.
func (o *operation) refreshTokens(ctx context.Context, s *agent.SignIn, keep func(agent.SignIn)) (*types.AuthenticationResultType, *awscall.Exchange, *failure) {
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
		return nil, x, fail
	}
	s.RefreshAPI = api
	if token := aws.ToString(out.RefreshToken); token != "" {
		s.RefreshToken = agent.NewSecret(token)
		keep(*s) // before anything else, such as a fetch of the signing keys: the old one is dead
	}
	return out, x, nil
}

// firstAPI is the call to begin with: the one that worked the last time. Before that it
// is InitiateAuth, which emulators and older stacks have, too. With a client secret it
// is the other one: that takes the secret plain, where InitiateAuth wants a hash
// over the name that Cognito has for the user, and says nothing else than
// NotAuthorizedException about any other.
func (o *operation) firstAPI(s agent.SignIn) string {
	switch {
	case s.RefreshAPI == apiGetTokens, s.RefreshAPI == apiInitiateAuth:
		return s.RefreshAPI
	case !o.env.ClientSecret.IsZero():
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
		// As good as no answer: it may be asked for again.
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

// tryOtherAPI reports whether the other refresh call may do better: after a
// refusal of the token, for that is how a call can look that the app client does
// not take, and after a refusal of the call. A token that was used twice
// (RefreshTokenReuseException) is known to Cognito, and no other call helps.
func (f *failure) tryOtherAPI() bool {
	if f.Code == "RefreshTokenReuseException" {
		return false
	}
	return f.refusesAPI() || f.endsSignIn()
}

// endsSignIn reports whether f is Cognito's definite word that the sign-in has ended.
func (f *failure) endsSignIn() bool {
	return mappingOf(refreshMapping, f).code == agent.CodeLoginRequired
}

// refusesAPI reports whether f is about the call and not about the token.
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

// moreDefinite is what two failures come to. Where the second call was not on offer, the
// first one's word stands. Else the second's does: it is the definite one, or one
// that leaves the question open, and then the sign-in is kept.
func moreDefinite(first, second *failure) *failure {
	if second.refusesAPI() {
		return first
	}
	return second
}
