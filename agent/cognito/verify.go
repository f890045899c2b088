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

// grant verifies the ID token of an answer and makes the Grant of it and of sealed,
// which has the newest refresh token.
func (t *task) grant(ctx context.Context, sealed agent.SignIn, r *types.AuthenticationResultType, x *awscall.Exchange) (agent.AuthResult, error) {
	g := agent.AuthResult{SignIn: sealed, Skew: x.Skew()}
	claims, err := t.verify(ctx, aws.ToString(r.IdToken), sealed.Subject, g.Skew)
	if err != nil {
		return agent.AuthResult{}, err
	}
	g.SignIn.Subject = claims.Subject
	if claims.Username != "" {
		g.SignIn.Username = claims.Username
	}
	g.IDToken = agent.NewSecret(aws.ToString(r.IdToken))
	// Not ExpiresIn: that is the access token's, and emulators leave it out.
	g.Lifetime = claims.Lifetime()
	return g, nil
}

// verify checks an ID token on Cognito's clock, so that a machine whose own is
// wrong works all the same.
func (t *task) verify(ctx context.Context, raw, subject string, skew time.Duration) (idtoken.Claims, error) {
	find := func(kid string) (*rsa.PublicKey, error) { return t.auth.keys.find(ctx, t.env.KeysURL(), kid) }
	claims, err := idtoken.Verify(raw, find, idtoken.Expect{
		Issuer: t.env.IssuerURL(), Audience: t.env.ClientID, Subject: subject,
		Now: t.auth.now().Add(skew), Leeway: leeway,
	})
	if err == nil {
		return claims, nil
	}
	if f, ok := errors.AsType[*awscall.Failure](err); ok {
		e := t.errorf(agent.CodeUnavailable, t.again(), "the new ID token could not be verified: %s", f.Words)
		e.Err = f
		return claims, e
	}
	e := t.errorf(agent.CodeInternal, t.verifyHint(err), "the new ID token was refused: %v", err)
	e.Err = err
	return claims, e
}

// verifyHint is the next step after a token failed a check.
func (t *task) verifyHint(err error) string {
	switch {
	case errors.Is(err, idtoken.CheckSubject) && t.op == "refresh":
		return t.rerun()
	case errors.Is(err, idtoken.CheckIssuer), errors.Is(err, idtoken.CheckAudience), errors.Is(err, idtoken.CheckKey), errors.Is(err, idtoken.CheckSignature):
		return "check user_pool_id, client_id, issuer and jwks_url of environment " + t.env.Name
	case errors.Is(err, idtoken.CheckExpiry), errors.Is(err, idtoken.CheckIssuedAt), errors.Is(err, idtoken.CheckNotBefore):
		return "check the clock of this machine, and of whatever answers at " + awscall.Host(t.env.EndpointURL())
	}
	return "tell the user pool's administrator"
}
