package kycapi_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
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
	pool.AddUser(cognitotest.User{Name: "ana", Password: "Example-horse-7"})
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
		"AuthParameters": map[string]string{"USERNAME": "ana", "PASSWORD": "Example-horse-7"},
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

// body is that of a list check.
const body = `{"subject": {"full_name": "Jane Roe"}, "list_name": "ofac"}`

// call sends one request.
func (e env) call(t *testing.T, method, path, authorization, body string, out any) (int, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, e.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	return do(t, req, out)
}

// A refusal is the envelope of an error.
type refusal = kycapi.Answer[any]

func TestListCheck(t *testing.T) {
	e := newEnv(t)
	token, _ := e.tokens(t, e.pool.ClientID)
	check := func(body string, out any) {
		t.Helper()
		if status, _ := e.call(t, "POST", "/kyc", "Bearer "+token, body, out); status != 200 {
			t.Errorf("%s answered %d %+v", body, status, out)
		}
	}
	var one kycapi.Answer[kycapi.ListResult]
	check(`{"subject": {"full_name": "ivan exampletov"}, "list_name": "ofac"}`, &one)
	if m := one.Data.Matches; one.Status != "success" || one.Meta.RequestID == "" || !one.Data.IsMatch || len(m) != 1 ||
		m[0].ConfidenceScore != 1 || m[0].MatchData.Name != "Ivan Exampletov" {
		t.Errorf("one list answered %+v", one)
	}
	check(`{"subject": {"identifiers": [{"type": "Passport", "value": "X0000001"}]}, "list_name": "ofac"}`, &one)
	if !one.Data.IsMatch {
		t.Errorf("an identifier answered %+v", one)
	}
	var clear kycapi.Answer[kycapi.ListResult]
	check(body, &clear)
	if clear.Data.IsMatch || clear.Data.MatchCount != 0 || clear.Data.Matches == nil {
		t.Errorf("nobody's name answered %+v", clear)
	}
	var many kycapi.Answer[kycapi.Screening]
	check(`{"subject": {"full_name": "Ivan Exampletov", "nationality": "GB", "birth_date": "1980-01-31", "entity_type": "individual"}, "lists": ["ofac", "un"]}`, &many)
	if many.Data.Summary.OverallRiskLevel != "high" || !many.Data.Results["ofac"].IsMatch || many.Data.Results["un"].IsMatch {
		t.Errorf("several lists answered %+v", many)
	}
	if calls := e.api.Calls(); len(calls) != 4 || calls[0] != (kycapi.Call{Path: "/kyc", User: "ana", Status: 200}) {
		t.Errorf("calls %+v", calls)
	}
}

// TestWatchlists goes through the life of a watchlist.
func TestWatchlists(t *testing.T) {
	e := newEnv(t)
	token, _ := e.tokens(t, e.pool.ClientID)
	call := func(method, path, body string, out any) int {
		t.Helper()
		status, _ := e.call(t, method, path, "bearer "+token, body, out)
		return status
	}
	var made kycapi.Answer[kycapi.WatchlistCreated]
	if status := call("POST", "/kyc/watchlists", `{"name": "My Watchlist", "lists_to_monitor": ["ofac", "un"]}`, &made); status != 200 ||
		made.Data.Message != "Watchlist created successfully" || len(made.Data.WatchlistID) != 36 {
		t.Fatalf("answered %d %+v", status, made)
	}
	at := "/kyc/watchlists/" + made.Data.WatchlistID
	var run kycapi.Answer[kycapi.MonitorRun]
	call("POST", at+"/subjects", `{"full_name": "Ivan Exampletov", "tags": ["vip"]}`, new(refusal))
	if call("POST", at+"/monitor", "", &run); run.Data.SubjectsChecked != 1 || run.Data.TotalMatches != 1 || !run.Data.HasChanges {
		t.Errorf("monitor answered %+v", run)
	}
	if call("POST", at+"/monitor", "", &run); run.Data.PreviousMatches != 1 || run.Data.HasChanges {
		t.Errorf("monitor, again, answered %+v", run)
	}
	var list kycapi.Answer[kycapi.WatchlistRequest]
	read := func(want string, lists int) {
		t.Helper()
		var raw kycapi.Answer[json.RawMessage]
		if call("GET", at, "", &raw); json.Unmarshal(raw.Data, &list.Data) != nil || list.Data.Status != want ||
			len(list.Data.ListsToMonitor) != lists || len(list.Data.Subjects) != 1 {
			t.Errorf("have %s, want status %s, %d lists and a subject", raw.Data, want, lists)
		}
	}
	read("active", 2)
	call("PATCH", at, `{"lists_to_monitor": ["eu"], "status": "paused"}`, new(refusal))
	read("paused", 1)
	if status := call("PATCH", at, `{"lists_to_monitor": ["uk", "xx"]}`, new(refusal)); status != 400 {
		t.Errorf("an unknown list answered %d", status)
	}
	read("paused", 1)
	var all kycapi.Answer[struct{ Watchlists []any }]
	if call("GET", "/kyc/watchlists", "", &all); len(all.Data.Watchlists) != 1 {
		t.Errorf("the list of watchlists is %+v", all)
	}
	if status := call("DELETE", at, "", new(refusal)); status != 200 {
		t.Errorf("DELETE answered %d", status)
	}
	var gone refusal
	if status := call("GET", at, "", &gone); status != 404 || gone.Error.Type != "NotFoundError" || gone.Error.Code != "WATCHLIST_NOT_FOUND" {
		t.Errorf("a deleted one answered %d %+v", status, gone)
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
			var p refusal
			status, header := e.call(t, "POST", "/kyc", c.authorization, body, &p)
			if status != 401 || p.Error == nil || p.Error.Code != "UNAUTHORIZED" || !strings.Contains(p.Error.Message, c.message) {
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
	var p refusal
	if status, _ := e.call(t, "POST", "/kyc", "Bearer "+token, `{}`, &p); status != 401 || !strings.Contains(p.Error.Message, "signature:") {
		t.Errorf("answered %d %+v", status, p)
	}
}

func TestKnobs(t *testing.T) {
	e := newEnv(t)
	token, _ := e.tokens(t, e.pool.ClientID)
	call := func() (int, string) {
		status, header := e.call(t, "POST", "/kyc", "Bearer "+token, body, new(any))
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
	e.api.Deny("watchlist:create")
	if status, _ := call(); status != 200 {
		t.Errorf("fourth call: %d, want 200", status)
	}
	var p refusal
	if status, _ := e.call(t, "POST", "/kyc/watchlists", "Bearer "+token, `{"name": "L"}`, &p); status != 403 || !strings.Contains(p.Error.Message, "watchlist:create") {
		t.Errorf("without the permission: %d %+v, want 403", status, p)
	}
}

// TestRateLimit checks the headers and the body of the firewall's limit, which counts
// requests without a token, too.
func TestRateLimit(t *testing.T) {
	e := newEnv(t)
	e.api.Limit(2, 3*time.Minute)
	for _, left := range []string{"1", "0"} {
		status, header := e.call(t, "POST", "/kyc", "", body, new(any))
		if status != 401 || header.Get("X-RateLimit-Limit") != "2" || header.Get("X-RateLimit-Remaining") != left {
			t.Errorf("%d, headers %v; want 401 and %s left", status, header, left)
		}
	}
	var got kycapi.Throttled
	status, header := e.call(t, "POST", "/kyc", "", body, &got)
	want := kycapi.Throttled{Error: "Rate limit exceeded", Message: "Too many requests. Please try again in 3 minutes.", RetryAfter: 180}
	if status != 429 || got != want || header.Get("Retry-After") != "" {
		t.Errorf("over the limit: %d %+v, want 429 %+v", status, got, want)
	}
	reset, err := strconv.ParseInt(header.Get("X-RateLimit-Reset"), 10, 64)
	if in := time.Until(time.Unix(reset, 0)); err != nil || in < 2*time.Minute || in > 3*time.Minute+time.Second {
		t.Errorf("X-RateLimit-Reset %q is in %v (%v)", header.Get("X-RateLimit-Reset"), in, err)
	}
}

// TestFirewall checks that a source that went over the limit is blocked for the rest of the
// window, without the API's headers, and for no longer.
func TestFirewall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := kycapi.New(kycapi.Pool{})
		api.Limit(2, 5*time.Minute)
		api.Firewall(true)
		call := func() *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			api.ServeHTTP(w, httptest.NewRequest("POST", "/kyc", nil))
			return w
		}
		for range 2 {
			if w := call(); w.Code != 401 || w.Header().Get("X-RateLimit-Limit") != "2" {
				t.Errorf("within the limit: %d %v", w.Code, w.Header())
			}
		}
		for range 3 {
			if w := call(); w.Code != 429 || w.Header().Get("X-RateLimit-Limit") != "" || !strings.Contains(w.Body.String(), `"retry_after":`) {
				t.Errorf("over the limit: %d %v %s", w.Code, w.Header(), w.Body)
			}
			time.Sleep(time.Minute)
		}
		time.Sleep(2 * time.Minute)
		if w := call(); w.Code != 401 {
			t.Errorf("in the next window: %d", w.Code)
		}
	})
}

func TestBadRequests(t *testing.T) {
	e := newEnv(t)
	token, _ := e.tokens(t, e.pool.ClientID)
	for _, c := range []struct {
		method, path, contentType, body string
		status                          int
		code                            string
	}{
		{"POST", "/kyc", "application/json", `{`, 400, "VALIDATION_ERROR"},
		{"POST", "/kyc", "application/json", `{}`, 400, "VALIDATION_ERROR"},
		{"POST", "/kyc", "application/json", `{"name": "x"}`, 400, "VALIDATION_ERROR"},
		{"POST", "/kyc", "application/json", `{"subject": {}, "list_name": "ofac"}`, 400, "VALIDATION_ERROR"},
		{"POST", "/kyc", "application/json", `{"subject": {"full_name": "x"}}`, 400, "VALIDATION_ERROR"},
		{"POST", "/kyc", "application/json", `{"subject": {"full_name": "x"}, "list_name": "ofac", "lists": ["un"]}`, 400, "VALIDATION_ERROR"},
		{"POST", "/kyc", "application/json", `{"subject": {"full_name": "x"}, "list_name": "ofca"}`, 400, "VALIDATION_ERROR"},
		{"POST", "/kyc", "application/json", `{"subject": {"full_name": "x", "nationality": "GBR"}, "list_name": "ofac"}`, 400, "VALIDATION_ERROR"},
		{"POST", "/kyc", "application/json", `{"subject": {"full_name": "x", "birth_date": "31.1.80"}, "list_name": "ofac"}`, 400, "VALIDATION_ERROR"},
		{"POST", "/kyc", "application/json", `{"subject": {"full_name": "x", "entity_type": "ship"}, "list_name": "ofac"}`, 400, "VALIDATION_ERROR"},
		{"POST", "/kyc", "text/plain", body, 415, "UNSUPPORTED_MEDIA_TYPE"},
		{"POST", "/kyc/watchlists", "application/json", `{"lists_to_monitor": ["ofac"]}`, 400, "VALIDATION_ERROR"},
		{"POST", "/kyc/watchlists", "application/json", `{"name": "x", "lists_to_monitor": ["xx"]}`, 400, "VALIDATION_ERROR"},
		{"POST", "/kyc/watchlists", "application/json", `{"name": "x", "subjects": [{"name": "y"}]}`, 400, "VALIDATION_ERROR"},
		{"POST", "/kyc/watchlists", "application/json", `{"name": "x", "status": "on"}`, 400, "VALIDATION_ERROR"},
		{"GET", "/kyc/watchlists/1", "", "", 404, "WATCHLIST_NOT_FOUND"},
		{"GET", "/kyc", "", "", 405, "METHOD_NOT_ALLOWED"},
		{"PUT", "/kyc/watchlists", "", "", 405, "METHOD_NOT_ALLOWED"},
		{"POST", "/nothing", "application/json", `{}`, 404, "NOT_FOUND"},
	} {
		t.Run(c.method+c.path+c.body, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), c.method, e.url+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", c.contentType)
			req.Header.Set("Authorization", "Bearer "+token)
			var p refusal
			if status, _ := do(t, req, &p); status != c.status || p.Status != "error" || p.Error.Code != c.code || p.Error.Message == "" {
				t.Errorf("answered %d %+v, want %d %s", status, p, c.status, c.code)
			}
		})
	}
}
