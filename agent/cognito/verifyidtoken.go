package cognito

import (
	"context"
	"crypto/rsa"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/idtoken"
	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

// leeway is how far an ID token's iat may lie in the future.
const leeway = 60 * time.Second

// authResult verifies the ID token of an answer and returns it together with s, which has the
// newest refresh token.
func (o *operation) authResult(
	ctx context.Context, s agent.SignIn, r *types.AuthenticationResultType, x *awscall.Exchange,
) (agent.AuthResult, error) {
	result := agent.AuthResult{SignIn: s, Skew: x.Skew()}
	if aws.ToString(r.IdToken) == "" {
		return agent.AuthResult{}, o.errorf(agent.CodeInternal, withRequestID("tell the user pool's administrator", x.RequestID), "Cognito sent no ID token")
	}
	claims, err := o.verifyIDToken(ctx, aws.ToString(r.IdToken), s.Subject, result.Skew)
	if err != nil {
		return agent.AuthResult{}, err
	}
	result.SignIn.Subject = claims.Subject
	if claims.Username != "" {
		result.SignIn.Username = claims.Username
	}
	result.IDToken = agent.NewSecret(aws.ToString(r.IdToken))
	result.Lifetime = claims.Lifetime()
	// ExpiresIn is the lifetime of the access token alone, and emulators omit it.
	result.AccessToken = agent.NewSecret(aws.ToString(r.AccessToken))
	result.AccessLifetime = time.Duration(r.ExpiresIn) * time.Second
	return result, nil
}

// verifyIDToken checks an ID token by Cognito's clock, so that a wrong clock on this machine
// does no harm.
func (o *operation) verifyIDToken(ctx context.Context, raw, subject string, skew time.Duration) (idtoken.Claims, error) {
	find := func(issuer, kid string) (*rsa.PublicKey, error) {
		return o.auth.keys.find(ctx, o.env.KeysURL(issuer), kid)
	}
	claims, err := idtoken.Verify(raw, find, idtoken.Expect{
		Issuers: o.env.Issuers(), Audience: o.env.ClientID, Subject: subject, Nonce: o.nonce,
		Now: o.auth.now().Add(skew), Leeway: leeway,
	})
	if err == nil {
		return claims, nil
	}
	if f, ok := errors.AsType[*awscall.Failure](err); ok {
		e := o.errorf(agent.CodeUnavailable, o.keysHint(f), "the new ID token could not be verified: %s", f.Text)
		e.Err = f
		return claims, e
	}
	code := agent.CodeInternal
	if errors.Is(err, idtoken.CheckIssuer) {
		code = agent.CodeConfiguration // Cognito's token is right, and the environment says another issuer
	}
	e := o.errorf(code, o.verifyHint(err), "the new ID token was refused: %v", err)
	e.Err = err
	return claims, e
}

// keysUnavailable reports whether err is that of an ID token which could not be verified because
// the signing keys were out of reach.
func keysUnavailable(err error) bool {
	f, ok := errors.AsType[*awscall.Failure](err)
	return ok && f.Call.Name == jwksCall
}

// keysHint is the next step after the signing keys could not be fetched.
func (o *operation) keysHint(f *awscall.Failure) string {
	if f.UnknownCA {
		return unknownCAHint
	}
	return o.retryHint()
}

// verifyHint is the next step after a token failed a check.
func (o *operation) verifyHint(err error) string {
	switch {
	case errors.Is(err, idtoken.CheckNonce):
		return "begin again: " + o.rerunHint()
	case errors.Is(err, idtoken.CheckSubject) && o.name == "refresh":
		return o.rerunHint()
	case errors.Is(err, idtoken.CheckIssuer), errors.Is(err, idtoken.CheckAudience),
		errors.Is(err, idtoken.CheckKey), errors.Is(err, idtoken.CheckSignature):
		return "check user_pool_id, client_id, issuer and jwks_url of environment " + o.env.Name
	case errors.Is(err, idtoken.CheckExpiry), errors.Is(err, idtoken.CheckIssuedAt), errors.Is(err, idtoken.CheckNotBefore):
		return "check the clock of this machine and of the server at " + awscall.Host(o.env.EndpointURL())
	}
	return "tell the user pool's administrator"
}
