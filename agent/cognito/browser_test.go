package cognito_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

const redirectURI = "http://127.0.0.1:8765/callback"

// withDomain is environment with a sign-in with a browser.
func withDomain(srv *cognitotest.Server) agent.Environment {
	env := environment(srv)
	env.Domain, env.RedirectURIs = srv.Domain(), []string{"http://127.0.0.1:8764/callback", redirectURI}
	srv.Set(cognitotest.RedirectURIs(env.RedirectURIs...))
	return env
}

func byBrowser() agent.LoginRequest {
	return agent.LoginRequest{Environment: "prod", RedirectURI: redirectURI}
}

// A visit is a person with a browser, who signs in and changes the address at which it ends.
type visit struct {
	t       *testing.T
	srv     *cognitotest.Server
	pages   []string
	asked   []agent.Challenge
	returns func(callback string) string // nil: unchanged
}

func (v *visit) ask(_ context.Context, c agent.Challenge) (agent.Answers, error) {
	v.asked, v.pages = append(v.asked, c), append(v.pages, c.BrowserURL)
	callback, err := v.srv.Authorize(c.BrowserURL, username, password)
	if err != nil {
		v.t.Error(err)
	}
	if v.returns != nil {
		callback = v.returns(callback)
	}
	return agent.Answers{agent.FieldCallback: agent.NewSecret(callback)}, nil
}

func TestBrowserLogin(t *testing.T) {
	srv := start(t, cognitotest.Rotation(0))
	a := cognito.New(cognito.Options{})
	env := withDomain(srv)
	env.IdentityProvider, env.Scopes = "SAML-corp", []string{"openid", "email"}
	v := &visit{t: t, srv: srv}
	req := byBrowser()
	req.Username = "ada@example.com"
	g, err := a.Login(t.Context(), env, req, v.ask)
	if err != nil {
		t.Fatal(err)
	}
	user, _ := srv.User(username)
	if g.SignIn.Username != username || g.SignIn.Subject != user.Sub || g.SignIn.RefreshToken.IsZero() || g.IDToken.IsZero() || g.AccessLifetime != time.Hour {
		t.Errorf("%+v", g)
	}
	page, err := url.Parse(v.pages[0])
	if err != nil {
		t.Fatal(err)
	}
	q := page.Query()
	for name, want := range map[string]string{
		"response_type": "code", "client_id": srv.ClientID, "redirect_uri": redirectURI, "scope": "openid email",
		"code_challenge_method": "S256", "identity_provider": "SAML-corp", "login_hint": "ada@example.com",
	} {
		if q.Get(name) != want {
			t.Errorf("%s=%q, want %q", name, q.Get(name), want)
		}
	}
	if len(q.Get("state")) < 22 || len(q.Get("nonce")) < 22 || q.Get("state") == q.Get("nonce") || page.Path != "/oauth2/authorize" {
		t.Errorf("the page is %s", page)
	}
	challenge, _ := base64.RawURLEncoding.DecodeString(q.Get("code_challenge"))
	if len(challenge) != 32 || strings.Contains(page.String(), "verifier") {
		t.Errorf("the page is %s", page)
	}
	// The next one has nothing in common with it.
	v.pages = nil
	if _, err := a.Login(t.Context(), env, byBrowser(), v.ask); err != nil {
		t.Fatal(err)
	}
	next, _ := url.Parse(v.pages[0])
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if next.Query().Get(name) == q.Get(name) {
			t.Errorf("%s is the same again", name)
		}
	}

	// A refresh is as after any other sign-in, and begins with the call that needs no flow.
	srv.ForgetCalls()
	var kept agent.SignIn
	if _, err := a.Refresh(t.Context(), env, g.SignIn, func(s agent.SignIn) { kept = s }); err != nil || kept.RefreshToken.IsZero() {
		t.Error(err, "not rotated")
	}
	if n := srv.Calls("GetTokensFromRefreshToken"); n != 1 || srv.Calls(cognitotest.Refresh) != 1 {
		t.Errorf("%d calls of GetTokensFromRefreshToken, %d refreshes", n, srv.Calls(cognitotest.Refresh))
	}
}

// An address that is no answer of this sign-in is asked for again, and the code is not touched.
func TestBrowserPaste(t *testing.T) {
	srv := start(t)
	env := withDomain(srv)
	other := func(change func(u *url.URL, q url.Values)) func(string) string {
		return func(callback string) string {
			u, _ := url.Parse(callback)
			q := u.Query()
			change(u, q)
			if q != nil {
				u.RawQuery = q.Encode()
			}
			return u.String()
		}
	}
	for name, tt := range map[string]struct {
		returns func(string) string
		problem string
	}{
		"no address":               {func(string) string { return "yes" }, "that is not an address"},
		"nothing":                  {func(string) string { return "" }, "that is not an address"},
		"the query alone":          {func(c string) string { return c[strings.Index(c, "?"):] }, "that is not an address"},
		"cut off before the state": {func(c string) string { return c[:strings.Index(c, "&state")] }, "a part of the address is missing"},
		"cut off in the state":     {func(c string) string { return c[:len(c)-3] }, "that is the address of another sign-in"},
		"cut off before the query": {func(c string) string { return c[:strings.Index(c, "?")] }, "a part of the address is missing"},
		"another state":            {other(func(_ *url.URL, q url.Values) { q.Set("state", "x") }), "that is the address of another sign-in"},
		"two states":               {other(func(_ *url.URL, q url.Values) { q.Add("state", "x") }), "a part of the address is missing"},
		"two codes":                {other(func(_ *url.URL, q url.Values) { q.Add("code", "x") }), "a part of the address is missing"},
		"an error with another state": {other(func(_ *url.URL, q url.Values) {
			q.Del("code")
			q.Set("error", "access_denied")
			q.Set("state", "x")
		}), "that is the address of another sign-in"},
		"another environment": {other(func(u *url.URL, _ url.Values) { u.Host = "127.0.0.1:8764" }), "that is of another environment; paste the address that begins with " + redirectURI},
		"another path":        {other(func(u *url.URL, _ url.Values) { u.Path = "/x" }), "paste the address that begins with " + redirectURI},
		"https":               {other(func(u *url.URL, _ url.Values) { u.Scheme = "https" }), "paste the address that begins with " + redirectURI},
		"the sign-in page":    {func(string) string { return srv.Domain() + "/login?client_id=x" }, "the browser has not returned there yet"},
		"the printed page":    {func(string) string { return srv.Domain() + "/oauth2/authorize?x" }, "that is the page to open"},
	} {
		t.Run(name, func(t *testing.T) {
			v := &visit{t: t, srv: srv, returns: tt.returns}
			ask := func(ctx context.Context, c agent.Challenge) (agent.Answers, error) {
				if len(v.asked) == 1 { // pasted once more, with what terminals and people add
					v.returns = func(c string) string { return " <" + c + ">\r" }
				}
				return v.ask(ctx, c)
			}
			if _, err := cognito.New(cognito.Options{}).Login(t.Context(), env, byBrowser(), ask); err != nil {
				t.Fatal(err)
			}
			if len(v.asked) != 2 || v.asked[0].Problem != "" || !strings.Contains(v.asked[1].Problem, tt.problem) || v.pages[0] != v.pages[1] {
				t.Errorf("asked %+v, want the problem %q", v.asked, tt.problem)
			}
		})
	}
}

// What ends the sign-in: no call of the token endpoint, or one.
func TestBrowserLoginFails(t *testing.T) {
	answer := func(error string) func(string) string {
		return func(callback string) string {
			u, _ := url.Parse(callback)
			q := u.Query()
			q.Del("code")
			q.Set("error", error)
			q.Set("error_description", "s3cret text of the server")
			u.RawQuery = q.Encode()
			return u.String()
		}
	}
	burnt := func(srv *cognitotest.Server) func(string) string {
		return func(callback string) string {
			u, _ := url.Parse(callback)
			res, err := http.PostForm(srv.Domain()+"/oauth2/token", url.Values{
				"grant_type": {"authorization_code"}, "client_id": {srv.ClientID}, "redirect_uri": {redirectURI}, "code": u.Query()["code"]})
			if err == nil {
				res.Body.Close()
			}
			srv.ForgetCalls()
			return callback
		}
	}
	const again = "begin again: run: kyc-agentd login --browser prod"
	for name, tt := range map[string]struct {
		set     []cognitotest.Setting
		returns func(*cognitotest.Server) func(string) string
		change  func(*agent.Environment, *agent.LoginRequest)
		code    agent.Code
		says    string
		calls   int // of the token endpoint
	}{
		"declined":             {returns: func(*cognitotest.Server) func(string) string { return answer("access_denied") }, code: agent.CodeDenied, says: "(access_denied); " + again},
		"the page failed":      {returns: func(*cognitotest.Server) func(string) string { return answer("server_error") }, code: agent.CodeUnavailable, says: "has an internal error (server_error)"},
		"any other error":      {returns: func(*cognitotest.Server) func(string) string { return answer("invalid_scope") }, code: agent.CodeConfiguration, says: "refused the sign-in (invalid_scope); check scopes"},
		"an error to avoid":    {returns: func(*cognitotest.Server) func(string) string { return answer("\x1b[2J eyJ") }, code: agent.CodeConfiguration, says: "refused the sign-in (an error with an invalid name)"},
		"a code burnt":         {returns: burnt, code: agent.CodeLoginRequired, says: "refused the code of the browser: it was used already, or is too old; " + again, calls: 1},
		"no refresh token":     {set: []cognitotest.Setting{cognitotest.OmitRefreshToken(true)}, code: agent.CodeConfiguration, says: "without a refresh token", calls: 1},
		"another nonce":        {set: []cognitotest.Setting{cognitotest.Nonce("x")}, code: agent.CodeInternal, says: "the new ID token was refused: nonce: expected that of this sign-in, found another, or none; " + again, calls: 1},
		"another issuer":       {set: []cognitotest.Setting{cognitotest.TokenIssuer("https://evil.example")}, code: agent.CodeConfiguration, says: "the new ID token was refused: iss", calls: 1},
		"another signature":    {set: []cognitotest.Setting{cognitotest.ForeignJWKS(true)}, code: agent.CodeInternal, says: "the new ID token was refused: signature", calls: 1},
		"a client secret":      {set: []cognitotest.Setting{cognitotest.ClientSecret("geheim")}, code: agent.CodeConfiguration, says: "does not accept the app client", calls: 1},
		"an unregistered URI":  {change: func(_ *agent.Environment, r *agent.LoginRequest) { r.RedirectURI = "http://127.0.0.1:1/" }, code: agent.CodeUsage, says: "that redirect_uri is none of the environment's"},
		"no domain":            {change: func(e *agent.Environment, _ *agent.LoginRequest) { e.Domain = "" }, code: agent.CodeConfiguration, says: "needs domain and redirect_uris"},
		"a domain without TLS": {change: func(e *agent.Environment, _ *agent.LoginRequest) { e.Domain = "http://kyc.example" }, code: agent.CodeConfiguration, says: "domain "},
	} {
		t.Run(name, func(t *testing.T) {
			srv := start(t, cognitotest.RedirectURIs(redirectURI))
			srv.Set(tt.set...)
			env, req := withDomain(srv), byBrowser()
			if tt.change != nil {
				tt.change(&env, &req)
			}
			v := &visit{t: t, srv: srv}
			if tt.returns != nil {
				v.returns = tt.returns(srv)
			}
			_, err := cognito.New(cognito.Options{}).Login(t.Context(), env, req, v.ask)
			wantError(t, err, tt.code, tt.says)
			if strings.Contains(err.Error(), "s3cret") || strings.ContainsAny(err.Error(), "\x1b") || strings.Contains(err.Error(), "state=") {
				t.Errorf("%q", err)
			}
			if n := srv.Calls(cognitotest.TokenEndpoint); n != tt.calls {
				t.Errorf("%d calls of the token endpoint, want %d", n, tt.calls)
			}
			if n := srv.LiveSignIns(); n != 0 && tt.says != "without a refresh token" && name != "a code burnt" {
				t.Errorf("%d sign-ins are left behind", n)
			}
		})
	}
}

// A code is good once, so the call is made once, whatever becomes of it. A redirect would show
// the verifier to somebody else.
func TestBrowserTokenEndpoint(t *testing.T) {
	for name, tt := range map[string]struct {
		fault cognitotest.Fault
		code  agent.Code
		says  string
	}{
		"no answer":         {cognitotest.Drop(), agent.CodeUnavailable, "closed the connection before it answered"},
		"an answer lost":    {cognitotest.Drop().After(), agent.CodeUnavailable, "closed the connection before it answered"},
		"internal":          {cognitotest.Answer(500, "text/html", "<html>"), agent.CodeUnavailable, "answered HTTP 500"},
		"throttled":         {cognitotest.Bare429(), agent.CodeThrottled, "Too many requests"},
		"a firewall":        {cognitotest.Blocked(), agent.CodeDenied, "blocked by a firewall"},
		"a portal":          {cognitotest.Answer(200, "text/html", "<html>sign in to this network</html>"), agent.CodeUnavailable, "check domain of environment prod"},
		"not there":         {cognitotest.Answer(404, "text/html", "<html>"), agent.CodeConfiguration, "check domain of environment prod"},
		"half":              {cognitotest.Answer(200, "application/json", `{"access_token":"a","id_tok`), agent.CodeUnavailable, "an incomplete answer"},
		"nothing in it":     {cognitotest.Answer(200, "application/json", `{}`), agent.CodeUnavailable, "an incomplete answer"},
		"no ID token":       {cognitotest.Answer(200, "application/json", `{"access_token":"a","refresh_token":"r"}`), agent.CodeInternal, "Cognito sent no ID token"},
		"no grant":          {cognitotest.Answer(400, "application/json", `{"error":"unauthorized_client"}`), agent.CodeConfiguration, "does not allow the authorization code grant"},
		"an error unknown":  {cognitotest.Answer(400, "application/json", `{"error":"odd_thing"}`), agent.CodeInternal, "odd_thing"},
		"an error to avoid": {cognitotest.Answer(400, "application/json", `{"error":"eyJ.\u001b[2J"}`), agent.CodeConfiguration, "answered HTTP 400"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := start(t)
			env := withDomain(srv)
			srv.FailNext(cognitotest.TokenEndpoint, -1, tt.fault)
			v := &visit{t: t, srv: srv}
			_, err := cognito.New(cognito.Options{}).Login(t.Context(), env, byBrowser(), v.ask)
			wantError(t, err, tt.code, tt.says)
			if n := srv.Calls(cognitotest.TokenEndpoint); n != 1 {
				t.Errorf("%d calls", n)
			}
		})
	}
	t.Run("a redirect", func(t *testing.T) {
		srv := start(t)
		env := withDomain(srv)
		var elsewhere int
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			switch r.URL.Path {
			case "/oauth2/token":
				return &http.Response{StatusCode: 307, Header: http.Header{"Location": {"http://evil.example/"}}, Body: http.NoBody, Request: r}, nil
			case "/":
				elsewhere++
			}
			return http.DefaultTransport.RoundTrip(r)
		})}
		v := &visit{t: t, srv: srv}
		_, err := cognito.New(cognito.Options{HTTPClient: client}).Login(t.Context(), env, byBrowser(), v.ask)
		wantError(t, err, agent.CodeUnavailable, "HTTP 307", "check domain of environment prod")
		if elsewhere != 0 {
			t.Error("it was followed")
		}
	})
}

// The client secret goes in the header, and one that was replaced is read again.
func TestBrowserClientSecret(t *testing.T) {
	srv := start(t, cognitotest.ClientSecret("the-new-one"))
	env := withDomain(srv)
	secrets := []string{"the-new-one"}
	env.ClientSecret = agent.NewClientSecret(agent.NewSecret("the-old-one"), func() (agent.Secret, error) { return agent.NewSecret(secrets[0]), nil })
	v := &visit{t: t, srv: srv}
	g, err := cognito.New(cognito.Options{}).Login(t.Context(), env, byBrowser(), v.ask)
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range srv.Log() {
		if call.Op == cognitotest.TokenEndpoint && strings.Contains(string(call.Body), "-one") {
			t.Error("the client secret is in the body")
		}
	}
	if _, err := cognito.New(cognito.Options{}).Refresh(t.Context(), env, g.SignIn, func(agent.SignIn) {}); err != nil {
		t.Error(err)
	}
}

// Three minutes from the first question on, however often it is asked again.
func TestBrowserTooLate(t *testing.T) { synctest.Test(t, testBrowserTooLate) }

func testBrowserTooLate(t *testing.T) {
	srv, a := startInMemory(t)
	env := withDomain(srv)
	began := time.Now()
	asked := 0
	_, err := a.Login(t.Context(), env, byBrowser(), func(ctx context.Context, c agent.Challenge) (agent.Answers, error) {
		if asked++; asked == 1 {
			time.Sleep(2 * time.Minute)
			return agent.Answers{agent.FieldCallback: agent.NewSecret("half")}, nil
		}
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	wantError(t, err, agent.CodeLoginRequired, "the browser did not return within 3 minutes; begin again: run: kyc-agentd login --browser prod")
	if took := time.Since(began); took != 3*time.Minute || asked != 2 {
		t.Errorf("after %s, asked %d times", took, asked)
	}
}

// A person who gives up while the code is exchanged gets no sign-in, and leaves none behind.
func TestBrowserCancelled(t *testing.T) { synctest.Test(t, testBrowserCancelled) }

func testBrowserCancelled(t *testing.T) {
	srv, a := startInMemory(t)
	env := withDomain(srv)
	srv.FailNext(cognitotest.TokenEndpoint, 1, cognitotest.Hang())
	ctx, cancel := context.WithCancel(t.Context())
	v := &visit{t: t, srv: srv}
	ended := make(chan error)
	go func() {
		_, err := a.Login(ctx, env, byBrowser(), v.ask)
		ended <- err
	}()
	synctest.Wait()
	cancel()
	wantError(t, <-ended, agent.CodeUnavailable, "was cancelled")
	srv.Release()
	synctest.Wait()
	if srv.SignIns() != 1 || srv.LiveSignIns() != 0 {
		t.Errorf("%d sign-ins, %d of them left behind", srv.SignIns(), srv.LiveSignIns())
	}
	time.Sleep(time.Minute)
}

// Where a password cannot do, the error names the command that can.
func TestPasswordCannotDo(t *testing.T) {
	srv := start(t)
	env := withDomain(srv)
	a := cognito.New(cognito.Options{})
	wrong := ada()
	wrong.Password = agent.NewSecret("another one")
	_, err := a.Login(t.Context(), env, wrong, unasked(t)) // Cognito's answer for an account of another provider, too
	wantError(t, err, agent.CodeLoginRequired, "(with a passkey, or at another provider: kyc-agentd login --browser prod)")
	srv.FailNext("InitiateAuth", 1, cognitotest.Answer(200, "application/x-amz-json-1.1", `{"ChallengeName":"WEB_AUTHN","Session":"s","ChallengeParameters":{}}`))
	_, err = a.Login(t.Context(), env, ada(), unasked(t))
	wantError(t, err, agent.CodeConfiguration, "only a browser can use; run: kyc-agentd login --browser prod")
	env.AuthFlow = agent.FlowBrowser
	_, err = a.Login(t.Context(), env, ada(), unasked(t))
	wantError(t, err, agent.CodeUsage, "sign in with a browser, without a password; run: kyc-agentd login prod")
}
