package kycapi_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/examples/kycapi"
)

type env struct {
	pool *cognitotest.Server
	api  *kycapi.API
	url  string
}

func newEnv(t *testing.T) env {
	t.Helper()
	pool := cognitotest.New()
	t.Cleanup(pool.Close)
	pool.AddUser(cognitotest.User{Name: "ana", Password: "Correct-horse-7"})
	api := kycapi.New(kycapi.Pool{Issuer: pool.Issuer(), JWKSURL: pool.JWKSURL(), ClientID: pool.ClientID})
	srv := httptest.NewServer(api)
	t.Cleanup(srv.Close)
	return env{pool, api, srv.URL}
}

// tokens signs in ana with the app client id.
func (e env) tokens(t *testing.T, id string) (idToken, accessToken string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": id,
		"AuthParameters": map[string]string{"USERNAME": "ana", "PASSWORD": "Correct-horse-7"},
	})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.pool.URL, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AWSCognitoIdentityProviderService.InitiateAuth")
	var out struct {
		AuthenticationResult struct{ IdToken, AccessToken string }
	}
	if status, _ := do(t, req, &out); status != http.StatusOK {
		t.Fatalf("sign-in answered %d", status)
	}
	return out.AuthenticationResult.IdToken, out.AuthenticationResult.AccessToken
}

func do(t *testing.T, req *http.Request, out any) (int, http.Header) {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, out); err != nil {
		t.Fatalf("%s %s answered %d %q: %v", req.Method, req.URL, res.StatusCode, body, err)
	}
	return res.StatusCode, res.Header
}

// problem is the body of a refusal.
type problem struct{ Error, Message string }

func (e env) post(t *testing.T, path, authorization, body string, out any) (int, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	return do(t, req, out)
}

func TestCallsWithAToken(t *testing.T) {
	e := newEnv(t)
	token, _ := e.tokens(t, e.pool.ClientID)

	var check kycapi.CheckResult
	status, _ := e.post(t, "/kyc", "Bearer "+token, `{"name":"Ivan Exampletov"}`, &check)
	if status != 200 || check.Status != "match" || len(check.Matches) != 1 || check.Matches[0].List != "OFAC SDN" {
		t.Errorf("POST /kyc answered %d %+v", status, check)
	}
	var list kycapi.WatchlistResult
	status, _ = e.post(t, "/kyc/watchlists", "bearer "+token, `{"name":"L","subjects":[{"name":"Jane Roe"}]}`, &list)
	if status != 200 || list.Subjects != 1 || list.Results[0].Status != "clear" {
		t.Errorf("POST /kyc/watchlists answered %d %+v", status, list)
	}
	calls := e.api.Calls()
	if len(calls) != 2 || calls[0] != (kycapi.Call{Path: "/kyc", User: "ana", Status: 200}) {
		t.Errorf("calls %+v", calls)
	}
}

func TestTokensRefused(t *testing.T) {
	e := newEnv(t)
	good, access := e.tokens(t, e.pool.ClientID)
	e.pool.AddClient("otherclient")
	other, _ := e.tokens(t, "otherclient")
	e.pool.Set(cognitotest.ClockSkew(-2 * time.Hour))
	expired, _ := e.tokens(t, e.pool.ClientID)
	e.pool.Set(cognitotest.ClockSkew(0))

	for name, c := range map[string]struct{ authorization, message string }{
		"none":         {"", "Authorization: Bearer"},
		"empty":        {"Bearer ", "Authorization: Bearer"},
		"basic":        {"Basic YTpi", "Authorization: Bearer"},
		"garbage":      {"Bearer x.y.z", "format:"},
		"access token": {"Bearer " + access, "token_use:"},
		"other client": {"Bearer " + other, "aud:"},
		"expired":      {"Bearer " + expired, "exp:"},
		"tampered":     {"Bearer " + good[:len(good)-8] + "AAAAAAAA", "signature:"},
	} {
		t.Run(name, func(t *testing.T) {
			var p problem
			status, header := e.post(t, "/kyc", c.authorization, `{"name":"Jane Roe"}`, &p)
			if status != 401 || p.Error != "unauthorized" || !strings.Contains(p.Message, c.message) {
				t.Errorf("answered %d %+v, want 401 with %q", status, p, c.message)
			}
			if header.Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate")
			}
		})
	}
}

func TestForeignKeysRefused(t *testing.T) {
	e := newEnv(t)
	token, _ := e.tokens(t, e.pool.ClientID)
	e.pool.Set(cognitotest.ForeignJWKS(true))
	var p problem
	if status, _ := e.post(t, "/kyc", "Bearer "+token, `{}`, &p); status != 401 || !strings.Contains(p.Message, "signature:") {
		t.Errorf("answered %d %+v", status, p)
	}
}

func TestKnobs(t *testing.T) {
	e := newEnv(t)
	token, _ := e.tokens(t, e.pool.ClientID)
	call := func() (int, string) {
		var body struct{ Error string }
		status, header := e.post(t, "/kyc", "Bearer "+token, `{"name":"Jane Roe"}`, &body)
		return status, header.Get("Retry-After")
	}
	e.api.ThrottleNext(1, 3*time.Second)
	e.api.RefuseNext(1)
	if status, wait := call(); status != 429 || wait != "3" {
		t.Errorf("first call: %d, Retry-After %q; want 429, 3", status, wait)
	}
	if status, _ := call(); status != 401 {
		t.Errorf("second call: %d, want 401", status)
	}
	if status, _ := call(); status != 200 {
		t.Errorf("third call: %d, want 200", status)
	}
}

func TestBadRequests(t *testing.T) {
	e := newEnv(t)
	token, _ := e.tokens(t, e.pool.ClientID)
	for _, c := range []struct {
		method, path, contentType, body string
		status                          int
		code                            string
	}{
		{"POST", "/kyc", "application/json", `{`, 400, "bad_request"},
		{"POST", "/kyc", "application/json", `{}`, 400, "bad_request"},
		{"POST", "/kyc", "application/json", `{"nmae":"x"}`, 400, "bad_request"},
		{"POST", "/kyc", "text/plain", `{"name":"x"}`, 415, "unsupported_media_type"},
		{"POST", "/kyc/watchlists", "application/json", `{"name":"x"}`, 400, "bad_request"},
		{"GET", "/kyc", "", "", 405, "method_not_allowed"},
		{"GET", "/kyc/watchlists", "", "", 405, "method_not_allowed"},
		{"POST", "/nothing", "application/json", `{}`, 404, "not_found"},
	} {
		t.Run(c.method+c.path+c.body, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), c.method, e.url+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", c.contentType)
			req.Header.Set("Authorization", "Bearer "+token)
			var p problem
			if status, _ := do(t, req, &p); status != c.status || p.Error != c.code || p.Message == "" {
				t.Errorf("answered %d %+v, want %d %s", status, p, c.status, c.code)
			}
		})
	}
}
