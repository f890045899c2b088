package awscreds_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/awscreds"
	"github.com/legaltalent/kyc-agent/agent/awscreds/awstest"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/internal/testlog"
)

// A fixture is a user pool with a user, and an AWS that trusts the pool.
type fixture struct {
	*testing.T
	pool      *cognitotest.Server
	aws       *awstest.Server
	env       agent.Environment // with the identity pool
	said      *testlog.Buffer
	exchanger *awscreds.Exchanger
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{T: t, pool: cognitotest.New(), said: &testlog.Buffer{}}
	t.Cleanup(f.pool.Close)
	f.pool.AddUser(cognitotest.User{Name: "ada", Password: "correct horse"})
	f.aws = awstest.New(awstest.UserPool{Issuer: f.pool.Issuer(), JWKS: f.pool.Issuer() + "/.well-known/jwks.json", ClientID: f.pool.ClientID})
	t.Cleanup(f.aws.Close)
	f.env = agent.Environment{
		Name: "prod", Region: f.pool.Region, UserPoolID: f.pool.PoolID, ClientID: f.pool.ClientID, Endpoint: f.pool.URL,
		IdentityPoolID: f.aws.IdentityPoolID, AWSEndpoint: f.aws.URL,
	}
	f.exchanger = awscreds.New(awscreds.Options{Logger: f.said.Logger()})
	return f
}

// roleEnv returns env with a role instead of the identity pool.
func (f *fixture) roleEnv() agent.Environment {
	env := f.env
	env.IdentityPoolID, env.AWSRoleARN = "", f.aws.RoleARN
	return env
}

// idToken returns a new ID token of ada.
func (f *fixture) idToken() agent.Secret {
	f.Helper()
	req := agent.LoginRequest{Environment: "prod", Username: "ada", Password: agent.NewSecret("correct horse")}
	g, err := cognito.New(cognito.Options{}).Login(f.Context(), f.env, req, nil)
	if err != nil {
		f.Fatal(err)
	}
	return g.IDToken
}

// works checks that STS accepts credentials, with the SDK.
func (f *fixture) works(g agent.AWSResult) {
	f.Helper()
	api := sts.New(sts.Options{
		Region: "us-east-2", BaseEndpoint: aws.String(f.aws.URL), Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: g.AccessKeyID, SecretAccessKey: g.SecretAccessKey.Reveal(), SessionToken: g.SessionToken.Reveal()}, nil
		}),
	})
	out, err := api.GetCallerIdentity(f.Context(), nil)
	if err != nil || !strings.Contains(aws.ToString(out.Arn), ":assumed-role/kyc-users/") {
		f.Errorf("the credentials do not work: %v", err)
	}
}

func TestExchange(t *testing.T) {
	f := newFixture(t)
	custom := f.env
	custom.RoleARN = f.aws.RoleARN
	for name, env := range map[string]agent.Environment{"identity pool": f.env, "custom role": custom, "role at STS": f.roleEnv()} {
		f.aws.SetLifetime(time.Hour)
		g, err := f.exchanger.Exchange(t.Context(), env, f.idToken())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if left := g.Lifetime; left < 59*time.Minute || left > time.Hour+time.Second {
			t.Errorf("%s: lifetime %s", name, left)
		}
		f.works(g)
		f.aws.SetLifetime(0)
		_, err = f.exchanger.Exchange(t.Context(), env, f.idToken())
		f.want(err, agent.CodeUnavailable, "already expired")
	}
	if n := f.aws.Calls(awstest.GetID); n != 1 {
		t.Errorf("%d calls of GetId for one user, want 1", n)
	}
}

// want ends the test unless err has the code, and one line that contains all parts.
func (f *fixture) want(err error, code agent.Code, parts ...string) *agent.Error {
	f.Helper()
	e, ok := errors.AsType[*agent.Error](err)
	if !ok || e.Code != code || e.Environment != "prod" || e.Op != "aws" {
		f.Fatalf("error %v (%T, code %s), want code %s", err, err, agent.CodeOf(err), code)
	}
	for _, part := range parts {
		if !strings.Contains(e.Error(), part) {
			f.Errorf("error %q does not say %q", e, part)
		}
	}
	if e.Hint == "" {
		f.Errorf("error %q has no next step", e)
	}
	return e
}

// TestIdentityIsKept checks that the identity of a user is cached, but not after it was deleted or
// for another user.
func TestIdentityIsKept(t *testing.T) {
	f := newFixture(t)
	f.pool.AddUser(cognitotest.User{Name: "eve", Password: "correct horse"})
	ada := f.idToken()
	use := func(token agent.Secret, calls int) {
		t.Helper()
		if _, err := f.exchanger.Exchange(t.Context(), f.env, token); err != nil {
			t.Fatal(err)
		}
		if n := f.aws.Calls(awstest.GetID); n != calls {
			t.Errorf("%d calls of GetId, want %d", n, calls)
		}
	}
	use(ada, 1)
	use(ada, 1)
	f.aws.ForgetIdentities()
	use(ada, 2)
	g, err := cognito.New(cognito.Options{}).Login(t.Context(), f.env, agent.LoginRequest{Username: "eve", Password: agent.NewSecret("correct horse")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	use(g.IDToken, 3)
	use(ada, 4)
}

func TestRefusals(t *testing.T) {
	f := newFixture(t)
	token := f.idToken()
	changed := func(change func(*agent.Environment)) agent.Environment {
		env := f.env
		change(&env)
		return env
	}
	other := f.roleEnv()
	other.AWSRoleARN = "arn:aws:iam::123456789012:role/others"
	for _, test := range []struct {
		name  string
		env   agent.Environment
		token agent.Secret
		code  agent.Code
		says  []string
	}{
		{"no such pool", changed(func(e *agent.Environment) { e.IdentityPoolID = "us-east-2:11111111-1111-1111-1111-111111111111" }), token,
			agent.CodeConfiguration, []string{"there is no identity pool us-east-2:1111", "identity_pool_id"}},
		{"not a provider", changed(func(e *agent.Environment) { e.Issuer = "https://elsewhere.example" }), token,
			agent.CodeDenied, []string{"refused the ID token", f.env.UserPoolID, f.env.ClientID}},
		{"not the role", changed(func(e *agent.Environment) { e.RoleARN = other.AWSRoleARN }), token,
			agent.CodeConfiguration, []string{"GetCredentialsForIdentity", "role_arn"}},
		{"no trust", other, token, agent.CodeDenied, []string{other.AWSRoleARN, "trust policy"}},
		{"no token", f.roleEnv(), agent.NewSecret("x"), agent.CodeConfiguration, []string{"no identity provider", "in IAM"}},
		{"neither", changed(func(e *agent.Environment) { e.IdentityPoolID = "" }), token, agent.CodeConfiguration, []string{"identity_pool_id", "aws_role_arn"}},
		{"plain http", changed(func(e *agent.Environment) { e.AWSEndpoint = "http://sts.example" }), token, agent.CodeConfiguration, []string{"aws_endpoint", "plain http"}},
		{"nobody there", changed(func(e *agent.Environment) { e.AWSEndpoint = "http://127.0.0.1:1" }), token, agent.CodeUnavailable, []string{"127.0.0.1:1 refused the connection"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := *f
			f.T = t
			_, err := f.exchanger.Exchange(t.Context(), test.env, test.token)
			f.want(err, test.code, test.says...)
		})
	}
}

// codes are error codes of AWS, by the agent's code.
var codes = map[agent.Code][]string{
	agent.CodeThrottled:     {"TooManyRequestsException", "LimitExceededException", "Throttling", "ThrottlingException", "RequestLimitExceeded"},
	agent.CodeUnavailable:   {"InternalErrorException", "ResourceConflictException", "ExternalServiceException", "IDPCommunicationError", "ServiceUnavailable"},
	agent.CodeDenied:        {"NotAuthorizedException", "AccessDenied", "ExpiredTokenException", "IDPRejectedClaim"},
	agent.CodeConfiguration: {"InvalidIdentityPoolConfigurationException", "InvalidParameterException", "ValidationError", "InvalidIdentityToken", "RegionDisabledException", "UnknownOperationException"},
	agent.CodeInternal:      {"UnheardOfException"},
}

func TestCodes(t *testing.T) {
	f := newFixture(t)
	token := f.idToken()
	for want, names := range codes {
		for _, name := range names {
			for operation, env := range f.environments() {
				f.aws.FailNext(operation, 1, awstest.Fault{Code: name, Message: "a word of the server's"})
				_, err := f.exchanger.Exchange(t.Context(), env, token)
				e := f.want(err, want)
				if strings.Contains(e.Error(), "a word of the server's") || strings.Contains(e.Error(), "{") {
					t.Errorf("%s: %v", name, e)
				}
				if stale := strings.HasPrefix(name, "Expired"); errors.Is(err, agent.ErrIDTokenExpired) != stale {
					t.Errorf("%s: about the age of the token is %v", name, !stale)
				}
			}
		}
	}
	for operation, env := range f.environments() {
		f.aws.FailNext(operation, 1, awstest.Fault{Code: "NotAuthorizedException", Message: "Invalid login token. Token expired: 2 >= 1"})
		if _, err := f.exchanger.Exchange(t.Context(), env, token); !errors.Is(err, agent.ErrIDTokenExpired) {
			t.Errorf("%s: %v is about the age of the token", operation, err)
		}
		for _, fault := range []awstest.Fault{
			{Status: 502, Body: "<html>"}, {Status: 200, Body: "<html>"}, {Status: 500, Code: "AccessDenied"}, {Status: 403, Body: "no"},
		} {
			f.aws.FailNext(operation, 1, fault)
			_, err := f.exchanger.Exchange(t.Context(), env, token)
			f.want(err, agent.CodeUnavailable)
		}
		f.aws.FailNext(operation, 1, awstest.Fault{Status: 429, Body: "no"})
		_, err := f.exchanger.Exchange(t.Context(), env, token)
		f.want(err, agent.CodeThrottled)
	}
}

// environments returns an environment for each operation that an exchange can begin with.
func (f *fixture) environments() map[string]agent.Environment {
	return map[string]agent.Environment{awstest.GetCredentials: f.env, awstest.AssumeRoleWithWebIdentity: f.roleEnv()}
}

// TestSecrecy checks that no log record at debug level and no error, however it is printed,
// contains an ID token, a key or a message of AWS.
func TestSecrecy(t *testing.T) {
	f := newFixture(t)
	token := f.idToken()
	secrets := []string{token.Reveal(), token.Reveal()[strings.LastIndex(token.Reveal(), ".")+1:]}
	for operation, env := range f.environments() {
		g, err := f.exchanger.Exchange(t.Context(), env, token)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, g.SecretAccessKey.Reveal(), g.SessionToken.Reveal())
		fmt.Fprintf(f.said, "%v %+v %#v %q", g, g, g, g)
		for _, names := range codes {
			for _, name := range names {
				f.aws.FailNext(operation, 1, awstest.Fault{Code: name, Message: g.SecretAccessKey.Reveal() + " " + g.SessionToken.Reveal()})
				f.hear(f.exchanger.Exchange(t.Context(), env, token))
			}
		}
		for _, status := range []int{200, 400, 403, 500} {
			f.aws.FailNext(operation, 1, awstest.Fault{Status: status, Body: token.Reveal() + g.SecretAccessKey.Reveal() + g.SessionToken.Reveal()})
			f.hear(f.exchanger.Exchange(t.Context(), env, token))
		}
	}
	text := f.said.String()
	for _, secret := range secrets {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("a secret is in …%q", text[max(0, i-80):i])
		}
	}
	if !strings.Contains(text, "AWS call") || !strings.Contains(text, "AccessDenied") {
		t.Error("nothing was said that could have held a secret")
	}
}

func (f *fixture) hear(_ agent.AWSResult, err error) {
	for e := err; e != nil; e = errors.Unwrap(e) {
		fmt.Fprintf(f.said, "%T %v %+v %#v\n", e, e, e, e)
	}
}

// TestExpiredIDToken checks that both methods report an ID token that AWS considers expired. The
// user pool's clock is behind AWS's.
func TestExpiredIDToken(t *testing.T) {
	f := newFixture(t)
	f.pool.Set(cognitotest.ClockSkew(-2 * time.Hour))
	token := f.idToken()
	for _, env := range f.environments() {
		_, err := f.exchanger.Exchange(t.Context(), env, token)
		if f.want(err, agent.CodeDenied, "expired", "clock"); !errors.Is(err, agent.ErrIDTokenExpired) {
			t.Errorf("%v is not about the age of the token", err)
		}
	}
}

// refusing is a transport that records requests and refuses them.
type refusing struct{ requests []*http.Request }

func (r *refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	r.requests = append(r.requests, req)
	return nil, syscall.ECONNREFUSED
}

// TestWhereItCalls checks the endpoints that are called without aws_endpoint: that of the identity
// pool's region, or the STS of the environment's region. No call is signed.
func TestWhereItCalls(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIA0123456789ABCDEF") // must be ignored
	t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
	t.Setenv("AWS_ENDPOINT_URL", "https://elsewhere.example")
	env := agent.Environment{Name: "prod", Region: "us-east-2", UserPoolID: "us-east-2_x", ClientID: "c"}
	role := func(region, arn string) agent.Environment {
		env := env
		env.Region, env.AWSRoleARN = region, arn
		return env
	}
	pool := env
	pool.IdentityPoolID = "eu-west-1:0f1c2a7e-5b3d-4c8e-9a61-7d2b8e4f6a90"
	for want, env := range map[string]agent.Environment{
		"cognito-identity.eu-west-1.amazonaws.com": pool,
		"sts.us-east-2.amazonaws.com":              role("us-east-2", "arn:aws:iam::123456789012:role/kyc"),
		"sts.us-east-1.amazonaws.com":              role("us-east-1", "arn:aws:iam::123456789012:role/kyc"),
		"sts.cn-north-1.amazonaws.com.cn":          role("cn-north-1", "arn:aws-cn:iam::123456789012:role/kyc"),
	} {
		r := &refusing{}
		x := awscreds.New(awscreds.Options{HTTPClient: &http.Client{Transport: r}})
		_, err := x.Exchange(t.Context(), env, agent.NewSecret("e.e.e"))
		if agent.CodeOf(err) != agent.CodeUnavailable || !strings.Contains(err.Error(), want+" refused the connection") {
			t.Errorf("%s: %v", want, err)
		}
		if len(r.requests) != 1 {
			t.Fatalf("%s: %d requests, want one", want, len(r.requests))
		}
		if req := r.requests[0]; req.URL.Scheme != "https" || req.URL.Host != want || req.Header.Get("Authorization") != "" || strings.Contains(req.URL.String(), "e.e.e") {
			t.Errorf("%s: %s, signed %q", want, req.URL, req.Header.Get("Authorization"))
		}
	}
}
