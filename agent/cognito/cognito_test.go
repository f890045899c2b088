package cognito_test

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

const (
	username = "ada"
	password = "correct horse battery"
)

// start starts a pool with the user ada.
func start(t *testing.T, opts ...cognitotest.Option) *cognitotest.Server {
	t.Helper()
	srv := cognitotest.New(opts...)
	t.Cleanup(srv.Close)
	srv.AddUser(cognitotest.User{Name: username, Password: password, Email: "ada@example.com"})
	return srv
}

// startInMemory is start for a synctest bubble, and returns an Authenticator that reaches the pool.
func startInMemory(t *testing.T, opts ...cognitotest.Option) (*cognitotest.Server, *cognito.Authenticator) {
	t.Helper()
	srv := cognitotest.NewInMemory(opts...)
	t.Cleanup(srv.Close)
	srv.AddUser(cognitotest.User{Name: username, Password: password, Email: "ada@example.com"})
	return srv, cognito.New(cognito.Options{HTTPClient: srv.Client()})
}

func environment(srv *cognitotest.Server) agent.Environment {
	return agent.Environment{
		Name: "prod", Region: srv.Region, UserPoolID: srv.PoolID, ClientID: srv.ClientID,
		APIURL: "https://kyc.example", Endpoint: srv.URL,
	}
}

func at(url string) agent.Environment {
	return agent.Environment{Name: "prod", Region: "us-east-2", UserPoolID: "us-east-2_pool", ClientID: "client", Endpoint: url}
}

func ada() agent.LoginRequest {
	return agent.LoginRequest{Environment: "prod", Username: username, Password: agent.NewSecret(password)}
}

// unasked returns a Prompter that fails the test if it is called.
func unasked(t *testing.T) agent.Prompter {
	return func(_ context.Context, c agent.Challenge) (agent.Answers, error) {
		t.Errorf("asked %s, which nobody expected", c.Name)
		return nil, errors.New("unexpected")
	}
}

// nobodyThere is the Prompter of a sign-in without a person.
func nobodyThere(context.Context, agent.Challenge) (agent.Answers, error) {
	return nil, errors.New("nobody there")
}

func signIn(t *testing.T, a *cognito.Authenticator, env agent.Environment) agent.AuthResult {
	t.Helper()
	g, err := a.Login(t.Context(), env, ada(), unasked(t))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// wantError fails unless err is an *agent.Error with code, and its line contains all of says.
func wantError(t *testing.T, err error, code agent.Code, says ...string) *agent.Error {
	t.Helper()
	e, ok := errors.AsType[*agent.Error](err)
	if !ok {
		t.Fatalf("got %v, want an *agent.Error with code %s", err, code)
	}
	if e.Code != code || !errors.Is(err, code) {
		t.Errorf("got code %s, want %s: %v", e.Code, code, err)
	}
	for _, s := range says {
		if !strings.Contains(withoutRequest(err), s) {
			t.Errorf("%q does not say %q", err, s)
		}
	}
	if e.Environment != "prod" || e.Op == "" || e.Message == "" || e.Hint == "" || strings.ContainsAny(err.Error(), "\n{}") {
		t.Errorf("not one whole line with a next step: %+v", e)
	}
	return e
}

// withoutRequest is the text of an error without the id of a request.
func withoutRequest(err error) string { return requestID.ReplaceAllString(err.Error(), "") }

var requestID = regexp.MustCompile(` \(request [0-9a-f-]{36}\)`)

func TestLogin(t *testing.T) {
	srv := start(t)
	a := cognito.New(cognito.Options{})
	before := time.Now()
	g := signIn(t, a, environment(srv))
	user, _ := srv.User(username)
	if g.SignIn.Username != username || g.SignIn.Subject != user.Sub || g.SignIn.RefreshToken.IsZero() {
		t.Errorf("sign-in: %+v", g.SignIn)
	}
	if at := g.SignIn.SignedInAt; at.Before(before.Add(-time.Second)) || at.After(time.Now()) {
		t.Errorf("signed in at %v", at)
	}
	if g.Lifetime != time.Hour || g.Skew != 0 || strings.Count(g.IDToken.Reveal(), ".") != 2 {
		t.Errorf("result: lifetime %v, skew %v", g.Lifetime, g.Skew)
	}
	if srv.Calls(cognitotest.APICall) != 1 || srv.Calls(cognitotest.JWKS) != 1 {
		t.Errorf("%d API calls and %d key fetches, want one of each", srv.Calls(cognitotest.APICall), srv.Calls(cognitotest.JWKS))
	}
	for _, c := range srv.Log() {
		if c.Header.Get("Authorization") != "" {
			t.Error("a call was signed: the SDK found credentials")
		}
	}
}

// A person may type an alias; the real name is stored.
func TestLoginByAlias(t *testing.T) {
	srv := start(t)
	req := ada()
	req.Username = "ada@example.com"
	g, err := cognito.New(cognito.Options{}).Login(t.Context(), environment(srv), req, unasked(t))
	if err != nil {
		t.Fatal(err)
	}
	if g.SignIn.Username != username {
		t.Errorf("kept %q, want %q", g.SignIn.Username, username)
	}
}

func TestLoginNeedsNameAndPassword(t *testing.T) {
	srv := start(t)
	for name, req := range map[string]agent.LoginRequest{
		"no name":     {Password: agent.NewSecret(password)},
		"no password": {Username: username},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := cognito.New(cognito.Options{}).Login(t.Context(), environment(srv), req, unasked(t))
			wantError(t, err, agent.CodeUsage, "user name and a password")
		})
	}
	if n := srv.Calls(cognitotest.AnyCall); n != 0 {
		t.Errorf("%d calls for requests that cannot work", n)
	}
}

// A password that Cognito refused is sent once: Cognito locks accounts.
func TestPasswordIsSentOnce(t *testing.T) {
	for name, f := range map[string]cognitotest.Fault{
		"wrong":     cognitotest.Refuse("NotAuthorizedException", "Incorrect username or password."),
		"no user":   cognitotest.Refuse("UserNotFoundException", "User does not exist."),
		"locked":    cognitotest.Refuse("NotAuthorizedException", "Password attempts exceeded"),
		"limit":     cognitotest.Refuse("LimitExceededException", "Attempt limit exceeded, please try after some time."),
		"firewall":  cognitotest.Blocked(),
		"no answer": cognitotest.Answer(200, "text/html", "<h1>Welcome</h1>"),
		"emulator":  cognitotest.RefuseStatus(500, "CognitoLocal#Unsupported", "m"),
	} {
		t.Run(name, func(t *testing.T) {
			srv := start(t)
			srv.FailNext(cognitotest.SignIn, -1, f)
			if _, err := cognito.New(cognito.Options{}).Login(t.Context(), environment(srv), ada(), unasked(t)); err == nil {
				t.Fatal("no error")
			}
			if n := srv.Calls(cognitotest.SignIn); n != 1 {
				t.Errorf("the password was sent %d times", n)
			}
		})
	}
}

func TestLoginFailures(t *testing.T) {
	tests := []struct {
		name string
		edit func(*cognitotest.User)
		set  []cognitotest.Setting
		req  agent.LoginRequest
		code agent.Code
		want string
	}{
		{name: "wrong password", req: agent.LoginRequest{Username: username, Password: agent.NewSecret("nope")},
			code: agent.CodeLoginRequired, want: "prod: Invalid username or password; check both, then run: kyc-agentd login prod"},
		{name: "unknown user, hidden", req: agent.LoginRequest{Username: "eve", Password: agent.NewSecret("nope")},
			code: agent.CodeLoginRequired, want: "prod: Invalid username or password; check both, then run: kyc-agentd login prod"},
		{name: "unknown user, told", req: agent.LoginRequest{Username: "eve", Password: agent.NewSecret("nope")},
			set:  []cognitotest.Setting{cognitotest.HideUnknownUsers(false)},
			code: agent.CodeLoginRequired, want: "prod: User not found; check the user name, then run: kyc-agentd login prod"},
		{name: "unconfirmed", edit: func(u *cognitotest.User) { u.Status = cognitotest.Unconfirmed },
			code: agent.CodeLoginRequired, want: "prod: User account not confirmed. Please verify your email. Run: kyc-agentd confirm prod"},
		{name: "reset", edit: func(u *cognitotest.User) { u.Status = cognitotest.ResetRequired },
			code: agent.CodeLoginRequired, want: "prod: Password reset required; run: kyc-agentd password reset prod"},
		{name: "disabled", edit: func(u *cognitotest.User) { u.Disabled = true },
			code: agent.CodeLoginRequired, want: "prod: this user is disabled; ask the user pool's administrator to enable it"},
		{name: "flow off", set: []cognitotest.Setting{cognitotest.Flows("USER_SRP_AUTH", "REFRESH_TOKEN_AUTH")},
			code: agent.CodeConfiguration, want: "does not allow the auth_flow of environment prod (it lacks ALLOW_USER_PASSWORD_AUTH); set auth_flow to one that it allows"},
		{name: "client secret", set: []cognitotest.Setting{cognitotest.ClientSecret("s3cret")},
			code: agent.CodeConfiguration, want: "has a secret, and none is configured; set client_secret_file of environment prod"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			srv := start(t)
			srv.Set(test.set...)
			if test.edit != nil {
				srv.EditUser(username, test.edit)
			}
			req := test.req
			if req.Username == "" {
				req = ada()
			}
			_, err := cognito.New(cognito.Options{}).Login(t.Context(), environment(srv), req, nobodyThere)
			wantError(t, err, test.code, test.want)
		})
	}
}

// Cognito's lockout looks like a wrong password, except for its message.
func TestLoginLockout(t *testing.T) {
	srv := start(t)
	a := cognito.New(cognito.Options{})
	bad := ada()
	bad.Password = agent.NewSecret("nope")
	for range 5 {
		_, err := a.Login(t.Context(), environment(srv), bad, unasked(t))
		wantError(t, err, agent.CodeLoginRequired, "Invalid username or password")
	}
	_, err := a.Login(t.Context(), environment(srv), ada(), unasked(t))
	e := wantError(t, err, agent.CodeThrottled, "locked this account for a while", "15 minutes at most", "run: kyc-agentd login prod")
	if e.RetryAfter != 15*time.Minute {
		t.Errorf("retry after %v", e.RetryAfter)
	}
}

// A sign-in whose ID token is refused is not stored, and is revoked.
func TestLoginRefusesBadTokens(t *testing.T) {
	for _, f := range forgeries() {
		if f.sameUser {
			continue // any user will do at a sign-in
		}
		t.Run(f.name, func(t *testing.T) {
			srv := start(t)
			srv.Forge(1, f.forgery)
			g, err := cognito.New(cognito.Options{}).Login(t.Context(), environment(srv), ada(), unasked(t))
			wantError(t, err, f.code(), "the new ID token was refused: "+f.check+":")
			if g != (agent.AuthResult{}) {
				t.Error("something was kept")
			}
			if n := srv.Calls("RevokeToken"); n != 1 {
				t.Errorf("%d revocations, want one", n)
			}
		})
	}
}

func TestLoginWithKeysOutOfReach(t *testing.T) {
	srv := start(t)
	srv.FailNext(cognitotest.JWKS, -1, cognitotest.BadGateway())
	g, err := cognito.New(cognito.Options{}).Login(t.Context(), environment(srv), ada(), unasked(t))
	wantError(t, err, agent.CodeUnavailable, "the new ID token could not be verified", "HTTP 502", "signing keys")
	if g != (agent.AuthResult{}) || srv.Calls("RevokeToken") != 1 {
		t.Errorf("kept %v, %d revocations", g != (agent.AuthResult{}), srv.Calls("RevokeToken"))
	}
}

type forgery struct {
	name     string
	check    string
	forgery  cognitotest.Forgery
	sameUser bool // wrong only where the user is known already
}

// code is that of the error: the issuer is configured, the rest makes no sense.
func (f forgery) code() agent.Code {
	if f.check == "iss" {
		return agent.CodeConfiguration
	}
	return agent.CodeInternal
}

func forgeries() []forgery {
	claim := func(name string, value any) cognitotest.Forgery {
		return cognitotest.Forgery{Claims: map[string]any{name: value}}
	}
	return []forgery{
		{name: "another pool", check: "iss", forgery: claim("iss", "https://cognito-idp.us-east-2.amazonaws.com/other")},
		{name: "another client", check: "aud", forgery: claim("aud", "other")},
		{name: "an access token", check: "token_use", forgery: claim("token_use", "access")},
		{name: "no user", check: "sub", forgery: claim("sub", nil)},
		{name: "another user", check: "sub", forgery: claim("sub", "other"), sameUser: true},
		{name: "expired", check: "exp", forgery: cognitotest.Forgery{Age: 61 * time.Minute}},
		{name: "from the future", check: "iat", forgery: cognitotest.Forgery{Age: -2 * time.Minute}},
		{name: "alg none", check: "alg", forgery: cognitotest.Forgery{Algorithm: "none"}},
		{name: "alg HS256", check: "alg", forgery: cognitotest.Forgery{Algorithm: "HS256"}},
		{name: "unknown kid", check: "kid", forgery: cognitotest.Forgery{KeyID: "other"}},
		{name: "wrong key", check: "signature", forgery: cognitotest.Forgery{WrongKey: true}},
	}
}

func TestRevoke(t *testing.T) {
	srv := start(t)
	a := cognito.New(cognito.Options{})
	env := environment(srv)
	g := signIn(t, a, env)
	if err := a.Revoke(t.Context(), env, g.SignIn); err != nil {
		t.Fatal(err)
	}
	_, err := a.Refresh(t.Context(), env, g.SignIn, nobody)
	wantError(t, err, agent.CodeLoginRequired, "expired or was ended; run: kyc-agentd login prod")
	if err := a.Revoke(t.Context(), env, g.SignIn); err != nil {
		t.Errorf("the second time: %v", err)
	}
	if err := a.Revoke(t.Context(), env, agent.SignIn{}); err != nil {
		t.Errorf("of nothing: %v", err)
	}
}

func TestRevokeErrors(t *testing.T) {
	tests := []struct {
		name  string
		fault cognitotest.Fault
		code  agent.Code // empty: no error
		says  string
	}{
		{"switched off", cognitotest.Refuse("UnsupportedOperationException", "m"), "", ""},
		{"unknown to an emulator", cognitotest.Refuse("NotAuthorizedException", "m"), "", ""},
		{"an emulator without it", cognitotest.RefuseStatus(500, "CognitoLocal#Unsupported", "m"), "", ""},
		{"throttled", cognitotest.Throttle(), agent.CodeThrottled, "stays valid at Cognito until it expires"},
		{"down", cognitotest.BadGateway(), agent.CodeUnavailable, "HTTP 502"},
		{"dropped", cognitotest.Drop(), agent.CodeUnavailable, "closed the connection"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			srv := start(t)
			a := cognito.New(cognito.Options{})
			g := signIn(t, a, environment(srv))
			srv.FailNext("RevokeToken", 1, test.fault)
			err := a.Revoke(t.Context(), environment(srv), g.SignIn)
			if test.code == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			wantError(t, err, test.code, test.says)
		})
	}
}

// No environment makes the client send a secret in the clear.
func TestEnvironmentIsCheckedFirst(t *testing.T) {
	good := agent.Environment{Name: "prod", Region: "us-east-2", UserPoolID: "us-east-2_p", ClientID: "c"}
	tests := []struct {
		name string
		edit func(*agent.Environment)
		says string
	}{
		{"no region", func(e *agent.Environment) { e.Region = "" }, "no region is configured"},
		{"no pool", func(e *agent.Environment) { e.UserPoolID = "" }, "no user_pool_id is configured"},
		{"no client", func(e *agent.Environment) { e.ClientID = "" }, "no client_id is configured"},
		{"http endpoint", func(e *agent.Environment) { e.Endpoint = "http://cognito.example" }, "endpoint is plain http to cognito.example"},
		{"http to an address", func(e *agent.Environment) { e.Endpoint = "http://192.0.2.1:9229" }, "not a loopback address: use https"},
		{"a name that looks local", func(e *agent.Environment) { e.Endpoint = "http://localhost.example" }, "not a loopback address"},
		{"0.0.0.0", func(e *agent.Environment) { e.Endpoint = "http://0.0.0.0:1" }, "not a loopback address"},
		{"http issuer", func(e *agent.Environment) { e.Issuer = "http://cognito.example/p" }, "issuer is plain http"},
		{"http keys", func(e *agent.Environment) { e.JWKSURL = "http://cognito.example/keys" }, "jwks_url is plain http"},
		{"no scheme", func(e *agent.Environment) { e.Endpoint = "cognito.example" }, "endpoint is not a URL"},
		{"another scheme", func(e *agent.Environment) { e.Endpoint = "ftp://cognito.example" }, "must begin with https://"},
		{"a password in it", func(e *agent.Environment) { e.Endpoint = "https://u:hunter2@cognito.example" }, "no user, query or fragment"},
		{"a query", func(e *agent.Environment) { e.JWKSURL = "https://cognito.example/?k=1" }, "jwks_url must be"},
		{"nonsense", func(e *agent.Environment) { e.Endpoint = "https://%" }, "is not a URL"},
		{"no host", func(e *agent.Environment) { e.Endpoint = "https://:443" }, "is not a URL"},
	}
	none := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		t.Error("bytes were sent")
		return nil, errors.New("no")
	})}
	a := cognito.New(cognito.Options{HTTPClient: none})
	stored := agent.SignIn{RefreshToken: agent.NewSecret("r")}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			env := good
			test.edit(&env)
			_, err := a.Login(t.Context(), env, ada(), unasked(t))
			e := wantError(t, err, agent.CodeConfiguration, test.says, "kyc-agentd reload")
			if strings.Contains(e.Error(), "hunter2") {
				t.Error("the URL's password is in the error")
			}
			_, err = a.Refresh(t.Context(), env, stored, nobody)
			wantError(t, err, agent.CodeConfiguration, test.says)
			wantError(t, a.Revoke(t.Context(), env, stored), agent.CodeConfiguration, test.says)
		})
	}
}

func TestLoopbackIsTrusted(t *testing.T) { synctest.Test(t, testLoopbackIsTrusted) }

func testLoopbackIsTrusted(t *testing.T) {
	for _, url := range []string{"http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9", "http://127.9.9.9:9"} {
		refuse := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("here") })}
		_, err := cognito.New(cognito.Options{HTTPClient: refuse}).Login(t.Context(), at(url), ada(), unasked(t))
		wantError(t, err, agent.CodeUnavailable)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
