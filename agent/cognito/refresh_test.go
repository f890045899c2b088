package cognito_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

const (
	initiateAuth = "InitiateAuth"
	tokens       = "GetTokensFromRefreshToken"
)

// refreshCalls returns the refresh calls that arrived, in order.
func refreshCalls(srv *cognitotest.Server) []string {
	var ops []string
	for _, c := range srv.Log() {
		if c.Op == tokens || c.Op == initiateAuth && c.Flow == "REFRESH_TOKEN_AUTH" {
			ops = append(ops, c.Op)
		}
	}
	return ops
}

func wantCalls(t *testing.T, srv *cognitotest.Server, want ...string) {
	t.Helper()
	if got := refreshCalls(srv); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("calls %v, want %v", got, want)
	}
}

// Refreshes succeed with either first call, and with every kind of app client.
func TestRefresh(t *testing.T) {
	tests := []struct {
		name     string
		settings []cognitotest.Setting
		begin    string // SignIn.RefreshAPI before
		rotates  bool
		calls    []string
		worked   string // SignIn.RefreshAPI after
	}{
		{"plain client", nil, "", false, []string{initiateAuth}, "initiate-auth"},
		{"plain client, known", nil, "initiate-auth", false, []string{initiateAuth}, "initiate-auth"},
		{"plain client, the new call", nil, "tokens", false, []string{tokens}, "tokens"},
		{"a name from a later version", nil, "oauth", false, []string{initiateAuth}, "initiate-auth"},
		{"rotation, looks dead", []cognitotest.Setting{cognitotest.Rotation(0)}, "", true, []string{initiateAuth, tokens}, "tokens"},
		{"rotation, known", []cognitotest.Setting{cognitotest.Rotation(0)}, "tokens", true, []string{tokens}, "tokens"},
		{"rotation, was plain", []cognitotest.Setting{cognitotest.Rotation(30 * time.Second)}, "initiate-auth", true, []string{initiateAuth, tokens}, "tokens"},
		{"rotation, refused as a flow", []cognitotest.Setting{cognitotest.Rotation(0), cognitotest.RotationRefusal("InvalidParameterException", "Refresh token rotation is on")}, "", true, []string{initiateAuth, tokens}, "tokens"},
		{"rotation, refused as switched off", []cognitotest.Setting{cognitotest.Rotation(0), cognitotest.RotationRefusal("OperationNotEnabledException", "m")}, "", true, []string{initiateAuth, tokens}, "tokens"},
		{"rotation, refused as unsupported", []cognitotest.Setting{cognitotest.Rotation(0), cognitotest.RotationRefusal("UnsupportedOperationException", "m")}, "", true, []string{initiateAuth, tokens}, "tokens"},
		{"flow not allowed", []cognitotest.Setting{cognitotest.Flows("USER_PASSWORD_AUTH")}, "", false, []string{initiateAuth, tokens}, "tokens"},
		{"no ExpiresIn", []cognitotest.Setting{cognitotest.OmitLifetime(true)}, "", false, []string{initiateAuth}, "initiate-auth"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			srv := start(t, cognitotest.IDTokenLifetime(20*time.Minute))
			a := cognito.New(cognito.Options{})
			before := signIn(t, a, environment(srv))
			srv.Set(test.settings...)
			s := before.SignIn
			s.RefreshAPI = test.begin
			g, err := a.Refresh(t.Context(), environment(srv), s, nobody)
			if err != nil {
				t.Fatal(err)
			}
			wantCalls(t, srv, test.calls...)
			if g.SignIn.RefreshAPI != test.worked {
				t.Errorf("remembers %q, want %q", g.SignIn.RefreshAPI, test.worked)
			}
			if rotated := !g.SignIn.RefreshToken.Equal(before.SignIn.RefreshToken); rotated != test.rotates {
				t.Errorf("refresh token changed: %v, want %v", rotated, test.rotates)
			}
			if g.Lifetime != 20*time.Minute || g.IDToken.IsZero() || g.IDToken.Equal(before.IDToken) {
				t.Errorf("lifetime %v, new token %v", g.Lifetime, !g.IDToken.Equal(before.IDToken))
			}
			if g.SignIn.Subject != before.SignIn.Subject || g.SignIn.Username != username || !g.SignIn.SignedInAt.Equal(before.SignIn.SignedInAt) {
				t.Errorf("stored sign-in changed: %+v", g.SignIn)
			}
		})
	}
}

// Ten refreshes in a row, each with the result of the previous one.
func TestRefreshChain(t *testing.T) {
	srv := start(t, cognitotest.Rotation(0))
	a := cognito.New(cognito.Options{})
	g := signIn(t, a, environment(srv))
	for n := range 10 {
		var err error
		if g, err = a.Refresh(t.Context(), environment(srv), g.SignIn, nobody); err != nil {
			t.Fatalf("refresh %d: %v", n, err)
		}
	}
	if n := srv.Calls(initiateAuth); n != 2 {
		t.Errorf("InitiateAuth was called %d times, want the sign-in and one try", n)
	}
	if n := srv.Calls(cognitotest.JWKS); n != 1 {
		t.Errorf("the signing keys were fetched %d times, want once", n)
	}
}

func TestRefreshEndsASignIn(t *testing.T) {
	const ended = "expired or was ended; run: kyc-agentd login prod"
	tests := []struct {
		name     string
		settings []cognitotest.Setting
		kill     func(*cognitotest.Server, agent.SignIn)
		begin    string
		calls    []string
		says     string
	}{
		{"revoked", nil, signOut, "", []string{initiateAuth, tokens}, ended},
		{"revoked, the new call first", nil, signOut, "tokens", []string{tokens, initiateAuth}, ended},
		{"revoked, rotation", []cognitotest.Setting{cognitotest.Rotation(0)}, signOut, "tokens", []string{tokens, initiateAuth}, ended},
		{"expired", []cognitotest.Setting{cognitotest.RefreshTokenLifetime(-time.Second)}, nil, "", []string{initiateAuth, tokens}, ended},
		{"deleted user", nil, func(srv *cognitotest.Server, _ agent.SignIn) { srv.DeleteUser(username) }, "", []string{initiateAuth, tokens}, ended},
		{"disabled user", nil, func(srv *cognitotest.Server, _ agent.SignIn) {
			srv.EditUser(username, func(u *cognitotest.User) { u.Disabled = true })
		}, "", []string{initiateAuth, tokens}, "this user is disabled"},
		{"one call refused, the other not on offer", nil, func(srv *cognitotest.Server, _ agent.SignIn) {
			srv.SignOutUser(username)
			srv.FailNext(tokens, 1, cognitotest.Refuse("UnknownOperationException", ""))
		}, "", []string{initiateAuth, tokens}, ended},
		{"one call refused, the other as in cognito-local", nil, func(srv *cognitotest.Server, _ agent.SignIn) {
			srv.SignOutUser(username)
			srv.FailNext(tokens, 1, cognitotest.RefuseStatus(500, "CognitoLocal#Unsupported", "Cognito Local unsupported feature"))
		}, "", []string{initiateAuth, tokens}, ended},
		{"one call refused, the other switched off", nil, func(srv *cognitotest.Server, _ agent.SignIn) {
			srv.SignOutUser(username)
			srv.FailNext(tokens, 1, cognitotest.Refuse("OperationNotEnabledException", ""))
		}, "", []string{initiateAuth, tokens}, ended},
		{"the call not on offer, the other refused", []cognitotest.Setting{cognitotest.Flows("USER_PASSWORD_AUTH")}, signOut, "", []string{initiateAuth, tokens}, ended},
		{"used twice", nil, func(srv *cognitotest.Server, _ agent.SignIn) {
			srv.FailNext(cognitotest.Refresh, 1, cognitotest.Refuse("RefreshTokenReuseException", "Refresh token reuse detected"))
		}, "tokens", []string{tokens}, "it was used a second time; run: kyc-agentd login prod"},
		{"used twice, told by the other call", []cognitotest.Setting{cognitotest.Rotation(0)}, func(srv *cognitotest.Server, _ agent.SignIn) {
			srv.FailNext(tokens, 1, cognitotest.Refuse("RefreshTokenReuseException", "Refresh token reuse detected"))
		}, "", []string{initiateAuth, tokens}, "it was used a second time"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			srv := start(t, cognitotest.RefreshTokenLifetime(24*time.Hour))
			srv.Set(test.settings...)
			a := cognito.New(cognito.Options{})
			s := signIn(t, a, environment(srv)).SignIn
			if test.kill != nil {
				test.kill(srv, s)
			}
			s.RefreshAPI = test.begin
			g, err := a.Refresh(t.Context(), environment(srv), s, nobody)
			wantError(t, err, agent.CodeLoginRequired, test.says)
			wantCalls(t, srv, test.calls...)
			if g != (agent.AuthResult{}) {
				t.Error("a result despite a definite refusal")
			}
		})
	}
}

func signOut(srv *cognitotest.Server, _ agent.SignIn) { srv.SignOutUser(username) }

// Only a definite answer of Cognito ends a sign-in: any other failure of either call keeps it.
func TestRefreshKeepsASignIn(t *testing.T) {
	refused := cognitotest.Refuse("NotAuthorizedException", "Invalid Refresh Token.")
	tests := []struct {
		name  string
		first cognitotest.Fault
		other *cognitotest.Fault // of the second call; nil: it must not be made
		code  agent.Code
		says  string
	}{
		{"dropped", cognitotest.Drop(), nil, agent.CodeUnavailable, "closed the connection before it answered; the agent tries again by itself"},
		{"half a refusal", cognitotest.Answer(400, "application/x-amz-json-1.1", `{"__type":"NotAuthorizedExc`), nil, agent.CodeUnavailable,
			"closed the connection in the middle of its answer (HTTP 400); the agent tries again by itself"},
		{"502", cognitotest.BadGateway(), nil, agent.CodeUnavailable, "answered HTTP 502 with something that is not JSON"},
		{"500", cognitotest.Internal(), nil, agent.CodeUnavailable, "internal error (InternalErrorException)"},
		{"500 that says NotAuthorized", cognitotest.RefuseStatus(500, "NotAuthorizedException", "m"), nil, agent.CodeUnavailable, "internal error"},
		{"503 that says NotAuthorized", cognitotest.RefuseStatus(503, "RefreshTokenReuseException", "m"), nil, agent.CodeUnavailable, "internal error"},
		{"throttled", cognitotest.Throttle(), nil, agent.CodeThrottled, "Too many requests. Please try again later."},
		{"throttled with 429", cognitotest.Throttle429(), nil, agent.CodeThrottled, "Too many requests. Please try again later."},
		{"429", cognitotest.Bare429(), nil, agent.CodeThrottled, "Too many requests. Please try again later."},
		{"firewall", cognitotest.Blocked(), nil, agent.CodeDenied, "blocked by a firewall (WAF)"},
		{"403", cognitotest.Answer(403, "text/html", "<h1>Forbidden</h1>"), nil, agent.CodeDenied, "blocked by a firewall (WAF)"},
		{"limit", cognitotest.Refuse("LimitExceededException", "m"), nil, agent.CodeThrottled, "limit of attempts"},
		{"401 of a portal", cognitotest.Answer(401, "text/html", "<h1>Pay</h1>"), nil, agent.CodeConfiguration, "HTTP 401"},
		{"401 of a portal that likes JSON", cognitotest.Answer(401, "application/json", `{"message":"NotAuthorizedException"}`), nil, agent.CodeConfiguration, "HTTP 401 with something that is not a Cognito error"},
		{"404", cognitotest.Answer(404, "text/plain", "no"), nil, agent.CodeConfiguration, "HTTP 404 with something that is not JSON; check endpoint of environment prod"},
		{"200 of a portal", cognitotest.Answer(200, "text/html", "<h1>Welcome</h1>"), nil, agent.CodeUnavailable, "not JSON"},
		{"an empty 200", cognitotest.Answer(200, "application/x-amz-json-1.1", ""), nil, agent.CodeUnavailable, "answered without tokens"},
		{"an empty object", cognitotest.Answer(200, "application/x-amz-json-1.1", "{}"), nil, agent.CodeUnavailable, "answered without tokens"},
		{"an empty result", cognitotest.Answer(200, "application/x-amz-json-1.1", `{"AuthenticationResult":{}}`), nil, agent.CodeUnavailable, "answered without tokens"},
		{"half an answer", cognitotest.Answer(200, "application/x-amz-json-1.1", `{"AuthenticationResult":{"IdToken":"ey`), nil, agent.CodeUnavailable, "an incomplete answer"},
		{"wrong types", cognitotest.Answer(200, "application/x-amz-json-1.1", `{"AuthenticationResult":{"IdToken":7}}`), nil, agent.CodeUnavailable, "an incomplete answer, or one that is not JSON"},
		{"wrong client", cognitotest.Refuse("ResourceNotFoundException", "m"), nil, agent.CodeConfiguration, "does not know the app client"},
		{"client secret", cognitotest.Refuse("NotAuthorizedException", "Unable to verify secret hash for client x"), nil, agent.CodeConfiguration, "has a secret"},
		{"client secret, as a parameter", cognitotest.Refuse("InvalidParameterException", "Client x is configured for secret but secret was not received"), nil, agent.CodeConfiguration, "has a secret"},
		{"secret hash", cognitotest.Refuse("NotAuthorizedException", "SecretHash does not match for the client: x"), nil, agent.CodeConfiguration, "has a secret"},
		{"trigger", cognitotest.Refuse("UnexpectedLambdaException", "m"), nil, agent.CodeUnavailable, "Lambda"},
		{"the pool's own check", cognitotest.Refuse("UserLambdaValidationException", "m"), nil, agent.CodeDenied, "refused it"},
		{"a code from the future", cognitotest.Refuse("SomethingNewException", "m"), nil, agent.CodeInternal, "InitiateAuth with SomethingNewException, which this version does not know"},
		{"no flow at all", cognitotest.Refuse("InvalidParameterException", "m"), new(cognitotest.Refuse("InvalidParameterException", "m")), agent.CodeConfiguration, "does not allow refresh tokens"},
		{"refused, then dropped", refused, new(cognitotest.Drop()), agent.CodeUnavailable, "closed the connection"},
		{"refused, then 502", refused, new(cognitotest.BadGateway()), agent.CodeUnavailable, "HTTP 502"},
		{"refused, then 500", refused, new(cognitotest.Internal()), agent.CodeUnavailable, "internal error"},
		{"refused, then throttled", refused, new(cognitotest.Throttle()), agent.CodeThrottled, "Too many requests."},
		{"refused, then 429", refused, new(cognitotest.Bare429()), agent.CodeThrottled, "Too many requests."},
		{"refused, then firewall", refused, new(cognitotest.Blocked()), agent.CodeDenied, "firewall"},
		{"refused, then wrong client", refused, new(cognitotest.Refuse("ResourceNotFoundException", "m")), agent.CodeConfiguration, "does not know the app client"},
		{"refused, then a code from the future", refused, new(cognitotest.Refuse("SomethingNewException", "m")), agent.CodeInternal, "SomethingNewException"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			srv := start(t)
			a := cognito.New(cognito.Options{})
			s := signIn(t, a, environment(srv)).SignIn
			srv.FailNext(initiateAuth, 1, test.first)
			want := []string{initiateAuth}
			if test.other != nil {
				srv.FailNext(tokens, 1, *test.other)
				want = append(want, tokens)
			}
			g, err := a.Refresh(t.Context(), environment(srv), s, nobody)
			wantError(t, err, test.code, test.says)
			wantCalls(t, srv, want...)
			if g != (agent.AuthResult{}) {
				t.Error("a result despite a failure")
			}
			if _, err := a.Refresh(t.Context(), environment(srv), s, nobody); err != nil {
				t.Errorf("the sign-in did not survive: %v", err)
			}
		})
	}
}

// If an answer is lost after the refresh, the same token works again within the grace period.
// Without a grace period Cognito refuses it, and the sign-in ends.
func TestRefreshAnswerLost(t *testing.T) {
	for _, grace := range []time.Duration{30 * time.Second, 0} {
		t.Run(grace.String(), func(t *testing.T) {
			srv := start(t, cognitotest.Rotation(grace))
			a := cognito.New(cognito.Options{})
			s := signIn(t, a, environment(srv)).SignIn
			s.RefreshAPI = "tokens"
			srv.FailNext(tokens, 1, cognitotest.Drop().After())
			_, err := a.Refresh(t.Context(), environment(srv), s, nobody)
			wantError(t, err, agent.CodeUnavailable)
			if srv.Refreshes() != 1 {
				t.Fatalf("%d refreshes granted, want the lost one", srv.Refreshes())
			}
			_, err = a.Refresh(t.Context(), environment(srv), s, nobody)
			if grace > 0 && err != nil {
				t.Errorf("within the grace period: %v", err)
			}
			if grace == 0 {
				wantError(t, err, agent.CodeLoginRequired, "Cognito's answer to an earlier refresh got lost", "run: kyc-agentd login prod")
				wantCalls(t, srv, tokens, tokens)
			}
		})
	}
}

// The old refresh token is already invalid: the new one must be stored before the rest of the
// answer is examined, even if that is wrong.
func TestRefreshKeepsTheNewTokenFirst(t *testing.T) {
	for _, f := range forgeries() {
		t.Run(f.name, func(t *testing.T) {
			srv := start(t, cognitotest.Rotation(0))
			a := cognito.New(cognito.Options{})
			s := signIn(t, a, environment(srv)).SignIn
			srv.Forge(1, f.forgery)
			var kept agent.SignIn
			g, err := a.Refresh(t.Context(), environment(srv), s, func(s agent.SignIn) { kept = s })
			wantError(t, err, f.code(), "the new ID token was refused: "+f.check+":")
			mustBeLive(t, srv, a, s, kept, g)
		})
	}
	t.Run("keys out of reach", func(t *testing.T) {
		srv := start(t, cognitotest.Rotation(0))
		s := signIn(t, cognito.New(cognito.Options{}), environment(srv)).SignIn
		srv.FailNext(cognitotest.JWKS, 1, cognitotest.Drop())
		a := cognito.New(cognito.Options{}) // which has no keys yet
		var kept agent.SignIn
		g, err := a.Refresh(t.Context(), environment(srv), s, func(s agent.SignIn) { kept = s })
		wantError(t, err, agent.CodeUnavailable, "could not be verified", "closed the connection", "the agent tries again by itself")
		mustBeLive(t, srv, a, s, kept, g)
	})
	t.Run("foreign keys", func(t *testing.T) {
		srv := start(t, cognitotest.Rotation(0))
		s := signIn(t, cognito.New(cognito.Options{}), environment(srv)).SignIn
		srv.Set(cognitotest.ForeignJWKS(true))
		a := cognito.New(cognito.Options{})
		var kept agent.SignIn
		g, err := a.Refresh(t.Context(), environment(srv), s, func(s agent.SignIn) { kept = s })
		wantError(t, err, agent.CodeInternal, "signature: ", "jwks_url of environment prod")
		srv.Set(cognitotest.ForeignJWKS(false))
		mustBeLive(t, srv, cognito.New(cognito.Options{}), s, kept, g)
	})
	t.Run("without rotation", func(t *testing.T) {
		srv := start(t)
		a := cognito.New(cognito.Options{})
		s := signIn(t, a, environment(srv)).SignIn
		srv.Forge(1, cognitotest.Forgery{WrongKey: true})
		var kept agent.SignIn
		g, err := a.Refresh(t.Context(), environment(srv), s, func(s agent.SignIn) { kept = s })
		wantError(t, err, agent.CodeInternal)
		if kept != (agent.SignIn{}) || g != (agent.AuthResult{}) {
			t.Error("something was kept, or granted")
		}
	})
}

// Fetching the keys may take long, and until the new refresh token is durable a crash would lose
// the sign-in.
func TestRefreshKeepsBeforeItFetchesKeys(t *testing.T) {
	srv := start(t, cognitotest.Rotation(0))
	s := signIn(t, cognito.New(cognito.Options{}), environment(srv)).SignIn
	srv.ForgetCalls()
	_, err := cognito.New(cognito.Options{}).Refresh(t.Context(), environment(srv), s, func(agent.SignIn) {
		if n := srv.Calls(cognitotest.JWKS); n != 0 {
			t.Errorf("the keys were fetched %d times before", n)
		}
	})
	if err != nil || srv.Calls(cognitotest.JWKS) != 1 {
		t.Errorf("%v; %d fetches of the keys", err, srv.Calls(cognitotest.JWKS))
	}
}

func mustBeLive(t *testing.T, srv *cognitotest.Server, a *cognito.Authenticator, was, kept agent.SignIn, g agent.AuthResult) {
	t.Helper()
	if g != (agent.AuthResult{}) {
		t.Error("an unverified ID token got out")
	}
	if kept.RefreshToken.IsZero() || kept.RefreshToken.Equal(was.RefreshToken) || kept.RefreshAPI != "tokens" {
		t.Fatalf("the new refresh token was lost: %+v", kept)
	}
	if kept.Subject != was.Subject || kept.Username != was.Username || !kept.SignedInAt.Equal(was.SignedInAt) {
		t.Errorf("the rest of the sign-in was lost: %+v", kept)
	}
	if _, err := a.Refresh(t.Context(), environment(srv), kept, nobody); err != nil {
		t.Errorf("the token that was kept: %v", err)
	}
}

func TestRefreshOfNothing(t *testing.T) {
	srv := start(t)
	_, err := cognito.New(cognito.Options{}).Refresh(t.Context(), environment(srv), agent.SignIn{}, nobody)
	wantError(t, err, agent.CodeLoginRequired, "no refresh token")
	if srv.Calls(cognitotest.AnyCall) != 0 {
		t.Error("a call without a token")
	}
}

// Rotated signing keys are used at once, after one fetch.
func TestRefreshAfterKeyRotation(t *testing.T) {
	srv := start(t)
	a := cognito.New(cognito.Options{})
	s := signIn(t, a, environment(srv)).SignIn
	srv.RotateKeys()
	srv.DropOldKeys()
	for range 3 {
		if _, err := a.Refresh(t.Context(), environment(srv), s, nobody); err != nil {
			t.Fatal(err)
		}
	}
	if n := srv.Calls(cognitotest.JWKS); n != 2 {
		t.Errorf("%d key fetches, want two", n)
	}
}

func TestRefreshesShareOneKeyFetch(t *testing.T) {
	srv := start(t)
	s := signIn(t, cognito.New(cognito.Options{}), environment(srv)).SignIn
	srv.ForgetCalls()
	srv.FailNext(cognitotest.JWKS, 1, cognitotest.Hang())
	a := cognito.New(cognito.Options{})
	var wg sync.WaitGroup
	const n = 20
	for range n {
		wg.Go(func() {
			if _, err := a.Refresh(t.Context(), environment(srv), s, nobody); err != nil {
				t.Error(err)
			}
		})
	}
	if err := srv.WaitCalls(t.Context(), cognitotest.Refresh, n); err != nil {
		t.Fatal(err)
	}
	if err := srv.WaitCalls(t.Context(), cognitotest.JWKS, 1); err != nil {
		t.Fatal(err)
	}
	srv.Release()
	wg.Wait()
	if got := srv.Calls(cognitotest.JWKS); got != 1 {
		t.Errorf("%d key fetches for %d refreshes", got, n)
	}
}

// nobody is a callback that stores nothing.
func nobody(agent.SignIn) {}
