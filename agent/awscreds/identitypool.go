package awscreds

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentity"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentity/types"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

// An identity is what an identity pool calls a user. It stays the same for ever, unless
// an administrator deletes it.
type identity struct {
	pool, provider, subject string // whom it is the name of
	id                      string
}

// byIdentityPool asks the identity pool.
func (t *task) byIdentityPool(ctx context.Context) (agent.AWSResult, error) {
	region, _, _ := strings.Cut(t.env.IdentityPoolID, ":")
	api := cognitoidentity.New(cognitoidentity.Options{
		Region: region, BaseEndpoint: t.endpoint(), HTTPClient: t.client(), Retryer: aws.NopRetryer{},
	})
	who := identity{pool: t.env.IdentityPoolID, provider: t.provider(), subject: subject(t.token)}
	known := t.known(who)
	id, fail := known, (*failure)(nil)
	if id == "" {
		if id, fail = t.getID(ctx, api, who); fail != nil {
			return agent.AWSResult{}, t.failed(fail)
		}
	}
	g, fail, err := t.getCredentials(ctx, api, id)
	if fail != nil && fail.Code == "ResourceNotFoundException" && known != "" {
		if id, fail = t.getID(ctx, api, who); fail == nil {
			g, fail, err = t.getCredentials(ctx, api, id)
		}
	}
	if fail != nil {
		return agent.AWSResult{}, t.failed(fail)
	}
	return g, err
}

// provider is what an identity pool calls a user pool: its issuer without the scheme.
// https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-integrating-user-pools-with-identity-pools.html
func (t *task) provider() string {
	_, name, _ := strings.Cut(t.env.IssuerURL(), "://")
	return name
}

func (t *task) logins() map[string]string { return map[string]string{t.provider(): t.token.Reveal()} }

func identityCall(name string) awscall.Call {
	return awscall.Call{Name: name, Host: "the identity pool", Service: "the identity pool", Form: "JSON"}
}

func (t *task) getID(ctx context.Context, api *cognitoidentity.Client, who identity) (string, *failure) {
	call := identityCall("GetId")
	out, x, fail := invoke(ctx, t, call, func(ctx context.Context) (*cognitoidentity.GetIdOutput, error) {
		return api.GetId(ctx, &cognitoidentity.GetIdInput{IdentityPoolId: aws.String(who.pool), Logins: t.logins()})
	})
	if fail == nil && aws.ToString(out.IdentityId) == "" {
		fail = &failure{Failure: awscall.Failure{Call: call, Status: x.Status, Words: call.Service + " answered without an identity"}}
	}
	if fail != nil {
		return "", fail
	}
	who.id = *out.IdentityId
	t.learn(who)
	return who.id, nil
}

func (t *task) getCredentials(ctx context.Context, api *cognitoidentity.Client, id string) (agent.AWSResult, *failure, error) {
	call := identityCall("GetCredentialsForIdentity")
	in := &cognitoidentity.GetCredentialsForIdentityInput{IdentityId: aws.String(id), Logins: t.logins()}
	if t.env.RoleARN != "" {
		in.CustomRoleArn = aws.String(t.env.RoleARN)
	}
	out, x, fail := invoke(ctx, t, call, func(ctx context.Context) (*cognitoidentity.GetCredentialsForIdentityOutput, error) {
		return api.GetCredentialsForIdentity(ctx, in)
	})
	if fail != nil {
		return agent.AWSResult{}, fail, nil
	}
	c := out.Credentials
	if c == nil {
		c = new(types.Credentials)
	}
	g, err := t.grant(call, x, c.AccessKeyId, c.SecretKey, c.SessionToken, c.Expiration)
	return g, nil, err
}

// known is the name of who, or "".
func (t *task) known(who identity) string {
	t.exchanger.mu.Lock()
	defer t.exchanger.mu.Unlock()
	last := t.exchanger.identities[t.env.Name]
	who.id = last.id
	if who != last || who.subject == "" {
		return ""
	}
	return last.id
}

// learn keeps the name of a user.
func (t *task) learn(who identity) {
	t.exchanger.mu.Lock()
	defer t.exchanger.mu.Unlock()
	t.exchanger.identities[t.env.Name] = who
}

// subject is the user an ID token is of, or "". It was verified when it came.
func subject(idToken agent.Secret) string {
	parts := strings.Split(idToken.Reveal(), ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Subject string `json:"sub"`
	}
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Subject
}
