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

// An identity is the id of a user in an identity pool. It never changes, unless an
// administrator deletes it.
type identity struct {
	pool, provider, subject string // identify the user
	id                      string
}

// exchangeAtIdentityPool gets credentials from the identity pool.
func (o *operation) exchangeAtIdentityPool(ctx context.Context) (agent.AWSResult, error) {
	region, _, _ := strings.Cut(o.env.IdentityPoolID, ":")
	api := cognitoidentity.New(cognitoidentity.Options{
		Region: region, BaseEndpoint: o.endpoint(), HTTPClient: o.client(), Retryer: aws.NopRetryer{},
	})
	who := identity{pool: o.env.IdentityPoolID, provider: o.provider(), subject: subject(o.token)}
	known := o.cachedIdentity(who)
	id, fail := known, (*failure)(nil)
	if id == "" {
		if id, fail = o.getID(ctx, api, who); fail != nil {
			return agent.AWSResult{}, o.errorFor(fail)
		}
	}
	result, fail, err := o.getCredentials(ctx, api, id)
	if fail != nil && fail.Code == "ResourceNotFoundException" && known != "" {
		if id, fail = o.getID(ctx, api, who); fail == nil {
			result, fail, err = o.getCredentials(ctx, api, id)
		}
	}
	if fail != nil {
		return agent.AWSResult{}, o.errorFor(fail)
	}
	return result, err
}

// provider returns the name of the user pool in an identity pool: the issuer without its scheme.
// https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-integrating-user-pools-with-identity-pools.html
func (o *operation) provider() string {
	_, name, _ := strings.Cut(o.env.IssuerURL(), "://")
	return name
}

func (o *operation) logins() map[string]string {
	return map[string]string{o.provider(): o.token.Reveal()}
}

func identityCall(name string) awscall.Call {
	return awscall.Call{Name: name, Host: "the identity pool", Service: "the identity pool", Format: "JSON"}
}

func (o *operation) getID(ctx context.Context, api *cognitoidentity.Client, who identity) (string, *failure) {
	call := identityCall("GetId")
	out, x, fail := invoke(ctx, o, call, func(ctx context.Context) (*cognitoidentity.GetIdOutput, error) {
		return api.GetId(ctx, &cognitoidentity.GetIdInput{IdentityPoolId: aws.String(who.pool), Logins: o.logins()})
	})
	if fail == nil && aws.ToString(out.IdentityId) == "" {
		fail = &failure{Failure: awscall.Failure{Call: call, Status: x.Status, Text: call.Service + " answered without an identity"}}
	}
	if fail != nil {
		return "", fail
	}
	who.id = *out.IdentityId
	o.cacheIdentity(who)
	return who.id, nil
}

func (o *operation) getCredentials(ctx context.Context, api *cognitoidentity.Client, id string) (agent.AWSResult, *failure, error) {
	call := identityCall("GetCredentialsForIdentity")
	in := &cognitoidentity.GetCredentialsForIdentityInput{IdentityId: aws.String(id), Logins: o.logins()}
	if o.env.RoleARN != "" {
		in.CustomRoleArn = aws.String(o.env.RoleARN)
	}
	out, x, fail := invoke(ctx, o, call, func(ctx context.Context) (*cognitoidentity.GetCredentialsForIdentityOutput, error) {
		return api.GetCredentialsForIdentity(ctx, in)
	})
	if fail != nil {
		return agent.AWSResult{}, fail, nil
	}
	c := out.Credentials
	if c == nil {
		c = new(types.Credentials)
	}
	result, err := o.result(call, x, c.AccessKeyId, c.SecretKey, c.SessionToken, c.Expiration)
	return result, nil, err
}

// cachedIdentity returns the id of who, or "" if it is not known.
func (o *operation) cachedIdentity(who identity) string {
	o.exchanger.mu.Lock()
	defer o.exchanger.mu.Unlock()
	last := o.exchanger.identities[o.env.Name]
	who.id = last.id
	if who != last || who.subject == "" {
		return ""
	}
	return last.id
}

// cacheIdentity stores the id of a user.
func (o *operation) cacheIdentity(who identity) {
	o.exchanger.mu.Lock()
	defer o.exchanger.mu.Unlock()
	o.exchanger.identities[o.env.Name] = who
}

// subject returns the `sub` of an ID token, or "". The token was verified when it was issued.
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
