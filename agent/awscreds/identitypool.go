package awscreds

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

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
	who := identity{pool: o.env.IdentityPoolID, provider: o.provider(), subject: subject(o.token)}
	known := o.cachedIdentity(who)
	id, fail := known, (*failure)(nil)
	if id == "" {
		if id, fail = o.getID(ctx, who); fail != nil {
			return agent.AWSResult{}, o.errorFor(fail)
		}
	}
	result, fail, err := o.getCredentials(ctx, id)
	if fail != nil && fail.Code == "ResourceNotFoundException" && known != "" {
		if id, fail = o.getID(ctx, who); fail == nil {
			result, fail, err = o.getCredentials(ctx, id)
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

// callPool makes a call of the identity pool and decodes its answer.
func callPool[Out any](ctx context.Context, o *operation, call awscall.Call, input any) (*Out, *awscall.Exchange, *failure) {
	region, _, _ := strings.Cut(o.env.IdentityPoolID, ":")
	return invoke(ctx, o, call, func(ctx context.Context) (*Out, error) {
		body, err := json.Marshal(input)
		if err != nil {
			return nil, err
		}
		answer, err := o.send(ctx, request{
			service: "cognito-identity", region: region, contentType: "application/x-amz-json-1.1",
			target: "AWSCognitoIdentityService." + call.Name, body: body, refused: jsonError,
		})
		if err != nil {
			return nil, err
		}
		out := new(Out)
		return out, decodeJSON(answer, out)
	})
}

func identityCall(name string) awscall.Call {
	return awscall.Call{Name: name, Host: "the identity pool", Service: "the identity pool", Format: "JSON"}
}

type getIDInput struct {
	IdentityPoolID string `json:"IdentityPoolId"`
	Logins         map[string]string
}

type getIDOutput struct {
	IdentityID string `json:"IdentityId"`
}

func (o *operation) getID(ctx context.Context, who identity) (string, *failure) {
	call := identityCall("GetId")
	out, x, fail := callPool[getIDOutput](ctx, o, call, getIDInput{who.pool, o.logins()})
	if fail == nil && out.IdentityID == "" {
		fail = &failure{Failure: awscall.Failure{Call: call, Status: x.Status, Text: call.Service + " answered without an identity"}}
	}
	if fail != nil {
		return "", fail
	}
	who.id = out.IdentityID
	o.cacheIdentity(who)
	return who.id, nil
}

type getCredentialsInput struct {
	IdentityID    string `json:"IdentityId"`
	Logins        map[string]string
	CustomRoleARN string `json:"CustomRoleArn,omitempty"`
}

type getCredentialsOutput struct {
	Credentials struct {
		AccessKeyID  string `json:"AccessKeyId"`
		SecretKey    string
		SessionToken string
		Expiration   float64 // seconds since 1970
	}
}

func (o *operation) getCredentials(ctx context.Context, id string) (agent.AWSResult, *failure, error) {
	call := identityCall("GetCredentialsForIdentity")
	out, x, fail := callPool[getCredentialsOutput](ctx, o, call, getCredentialsInput{id, o.logins(), o.env.RoleARN})
	if fail != nil {
		return agent.AWSResult{}, fail, nil
	}
	c := credentials{id: out.Credentials.AccessKeyID, secret: out.Credentials.SecretKey, session: out.Credentials.SessionToken}
	if end := out.Credentials.Expiration; end != 0 {
		c.end = time.UnixMilli(int64(end * 1000))
	}
	result, err := o.result(call, x, c)
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
