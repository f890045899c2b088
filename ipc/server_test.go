package ipc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/internal/testlog"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
	"github.com/legaltalent/kyc-agent/ipc/ipctest"
)

func TestTokenFormats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := serveMem(t, &scripted{})
		expires := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		early := time.Now().Add(59 * time.Minute).UTC().Format(time.RFC3339)
		jsonBody := `{"token":"` + fixture.JWT + `","token_type":"Bearer","expires_at":"` + expires +
			`","expires_in":"3600","environment":"staging","api_url":"https://staging.example.com","user":"ana@example.com","sub":"7d1f"}` + "\n"
		for _, test := range []struct{ query, accept, media, body string }{
			{"", "", wire.MediaJSON, jsonBody},
			{"", "*/*", wire.MediaJSON, jsonBody},
			{"", "text/*", wire.MediaJSON, jsonBody},
			{"", "application/json, text/plain", wire.MediaJSON, jsonBody},
			{"", "application/json;q=0.5, text/plain", wire.MediaText, fixture.JWT + "\n"},
			{"", "text/plain", wire.MediaText, fixture.JWT + "\n"},
			{"", "TEXT/Plain; charset=utf-8", wire.MediaText, fixture.JWT + "\n"},
			{"", "text/plain;q=0", wire.MediaJSON, jsonBody},
			{"", "text/plain;q=x", wire.MediaJSON, jsonBody},
			{"", "text/plain, ;;", wire.MediaText, fixture.JWT + "\n"},
			{"?format=", "text/plain", wire.MediaText, fixture.JWT + "\n"},
			{"?format=token", "", wire.MediaText, fixture.JWT + "\n"},
			{"?format=header", "", wire.MediaText, "Authorization: Bearer " + fixture.JWT + "\n"},
			{"?format=curl", "", wire.MediaText, `oauth2-bearer = "` + fixture.JWT + `"` + "\n"},
			{"?format=curl", "text/plain", wire.MediaText, `oauth2-bearer = "` + fixture.JWT + `"` + "\n"},
			{"?format=json", "text/plain", wire.MediaJSON, jsonBody},
			{"?format=env", "", wire.MediaText, "KYC_TOKEN=" + fixture.JWT + "\nKYC_API_URL=https://staging.example.com\nKYC_TOKEN_EXPIRES_AT=" + early + "\n"},
			{"?format=k8s", "text/plain", wire.MediaJSON, `{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"` + fixture.JWT + `","expirationTimestamp":"` + early + `"}}` + "\n"},
			{"?format=google", "", wire.MediaJSON, `{"version":1,"success":true,"token_type":"urn:ietf:params:oauth:token-type:id_token","id_token":"` + fixture.JWT + `","expiration_time":` + strconv.FormatInt(time.Now().Add(59*time.Minute).Unix(), 10) + "}\n"},
		} {
			a := ask(t, ln, rawRequest("GET", "/v1/token"+test.query, "", "Accept: "+test.accept))
			if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != test.media || a.body != test.body {
				t.Errorf("%q, Accept %q: %d %q %q\nwant %q %q", test.query, test.accept,
					a.StatusCode, a.Header.Get("Content-Type"), a.body, test.media, test.body)
			}
			if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("headers %v", a.Header)
			}
		}
	})
}

// A token that does not expire has no end in any format, and its warning is in a header.
func TestAPIKeyAndWarning(t *testing.T) {
	warning := "prod: the sign-in ends in 2d; run: kyc-agentd login prod"
	ln := serveMem(t, &scripted{token: func(context.Context, agent.TokenRequest) (agent.Token, error) {
		return agent.Token{Environment: "prod", IDToken: agent.NewSecret("sk_1"), APIURL: "https://prod.example.com", Warning: warning}, nil
	}})
	for format, body := range map[string]string{
		"token": "sk_1\n", "header": "Authorization: Bearer sk_1\n", "curl": "oauth2-bearer = \"sk_1\"\n",
		"json":   `{"token":"sk_1","token_type":"Bearer","expires_at":"","expires_in":"","environment":"prod","api_url":"https://prod.example.com","user":"","sub":""}` + "\n",
		"env":    "KYC_TOKEN=sk_1\nKYC_API_URL=https://prod.example.com\nKYC_TOKEN_EXPIRES_AT=\n",
		"k8s":    `{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"sk_1"}}` + "\n",
		"google": `{"version":1,"success":true,"token_type":"urn:ietf:params:oauth:token-type:id_token","id_token":"sk_1"}` + "\n",
	} {
		a := ask(t, ln, rawRequest("GET", "/v1/token?format="+format, ""))
		if got := a.Header.Get("Kyc-Warning"); a.body != body || got != warning {
			t.Errorf("%s: %q, warning %q", format, a.body, got)
		}
	}
	for in, out := range map[string]string{"": "", "two\r\nX-Header: lines\x1b[2J": "two  X-Header: lines?[2J"} {
		warning = in
		a := ask(t, ln, rawRequest("GET", "/v1/token", ""))
		if got := a.Header.Values("Kyc-Warning"); strings.Join(got, "|") != out || a.Header.Get("X-Header") != "" || (in == "") != (got == nil) {
			t.Errorf("%q arrives as %q", in, got)
		}
	}
}

func TestTokenRequestReachesTheService(t *testing.T) {
	got := make(chan agent.TokenRequest, 1)
	ln := serveMem(t, &scripted{token: func(_ context.Context, req agent.TokenRequest) (agent.Token, error) {
		got <- req
		return fixture.Token(req.Environment), nil
	}})
	for query, want := range map[string]agent.TokenRequest{
		"":                                  {},
		"?env=&min_valid=":                  {},
		"?env=prod":                         {Environment: "prod"},
		"?min_valid=5m":                     {MinValid: 5 * time.Minute},
		"?min_valid=300":                    {MinValid: 5 * time.Minute},
		"?min_valid=1h30m&env=prod":         {Environment: "prod", MinValid: 90 * time.Minute},
		"?min_valid=0":                      {},
		"?user=ana%40example.com&env=prod":  {Environment: "prod", User: "ana@example.com"},
		"?min_valid=%2B5m&env=a%20b%26c%3D": {Environment: "a b&c=", MinValid: 5 * time.Minute},
	} {
		if a := ask(t, ln, rawRequest("GET", "/v1/token"+query, "")); a.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", query, a.StatusCode, a.body)
		}
		if req := <-got; req != want {
			t.Errorf("%s: %+v, want %+v", query, req, want)
		}
	}
}

// kyc-token sends HTTP/1.0; the answer ends with the connection and is not chunked.
func TestHTTP10(t *testing.T) {
	path := serveUnix(t, &scripted{})
	c := fixture.DialUnix(t, path)
	_, err := io.WriteString(c, "GET /v1/token?env=prod&min_valid=300&format=header HTTP/1.0\r\nHost: kyc-agent\r\nAccept: text/plain\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(all), "\r\n\r\n")
	if !strings.HasPrefix(head, "HTTP/1.0 200 OK\r\n") || strings.Contains(head, "chunked") || body != "Authorization: Bearer "+fixture.JWT+"\n" {
		t.Errorf("answer %q", all)
	}
}

func TestHTTP10WithoutHost(t *testing.T) {
	if a := ask(t, serveMem(t, &scripted{}), "GET /v1/token HTTP/1.0\r\n\r\n"); a.StatusCode != http.StatusOK {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestErrors(t *testing.T) {
	for _, test := range []struct {
		err        error
		status     int
		line       string
		retryAfter string
	}{
		{&agent.Error{Code: agent.CodeUsage, Environment: "prod", Message: "min_valid 2h is too much"}, 400, "prod: min_valid 2h is too much", ""},
		{&agent.Error{Code: agent.CodeLoginRequired, Environment: "prod", Message: "not signed in", Hint: "run: kyc-agentd login prod"}, 401,
			"prod: not signed in; run: kyc-agentd login prod", ""},
		{&agent.Error{Code: agent.CodeDenied, Message: "a rule says no"}, 403, "a rule says no", ""},
		{&agent.Error{Code: agent.CodeUnknownEnvironment, Message: "no environment \"x\""}, 404, "no environment \"x\"", ""},
		{&agent.Error{Code: agent.CodeConfiguration, Message: "no such pool"}, 422, "no such pool", ""},
		{&agent.Error{Code: agent.CodeLocked, Message: "the keyring is locked"}, 423, "the keyring is locked", ""},
		{&agent.Error{Code: agent.CodeThrottled, Message: "slow down"}, 429, "slow down", ""},
		{&agent.Error{Code: agent.CodeThrottled, Message: "slow down", RetryAfter: 90 * time.Second}, 429, "slow down", "90"},
		{&agent.Error{Code: agent.CodeUnavailable, Message: "cannot reach Cognito"}, 503, "cannot reach Cognito", "1"},
		{&agent.Error{Code: agent.CodeUnavailable, Message: "cannot reach Cognito", RetryAfter: 1500 * time.Millisecond}, 503, "cannot reach Cognito", "2"},
		{&agent.Error{Code: agent.CodeInternal, Message: "the record makes no sense", Err: errors.New("secret cause")}, 500, "the record makes no sense", ""},
		{&agent.Error{Code: agent.CodeInternal, Err: errors.New("secret cause")}, 500, "internal error; the agent's log says more", ""},
		{fmt.Errorf("wrapped: %w", &agent.Error{Code: agent.CodeLocked, Message: "locked"}), 423, "locked", ""},
		{errors.New("secret cause"), 500, "internal error; the agent's log says more", ""},
		{agent.CodeLocked, 423, "the store is locked", ""},
		{context.DeadlineExceeded, 503, "not available right now; try again later", "1"},
		{&agent.Error{Code: "from-the-future", Message: "new"}, 500, "new", ""},
		{&agent.Error{Code: agent.CodeUsage, Message: "two\r\nlines \x1b[31mred\x00 \xff"}, 400, "two  lines ?[31mred? ?", ""},
	} {
		ln := serveMem(t, failing(test.err))

		a := ask(t, ln, rawRequest("GET", "/v1/token", ""))
		p := a.problem(t)
		line := (&agent.Error{Environment: p.Environment, Message: p.Detail, Hint: p.Hint}).Error()
		if a.StatusCode != test.status || p.Code != agent.CodeOf(test.err) || line != test.line || p.Title == "" || !strings.HasSuffix(p.Type, ":"+string(p.Code)) {
			t.Errorf("%v: %d %s", test.err, a.StatusCode, a.body)
		}
		if got := a.Header.Get("Retry-After"); got != test.retryAfter {
			t.Errorf("%v: Retry-After %q, want %q", test.err, got, test.retryAfter)
		}

		for _, format := range []string{"", "?format=token", "?format=curl", "?format=json"} {
			a := ask(t, ln, rawRequest("GET", "/v1/token"+format, "", textPlain))
			if a.StatusCode != test.status || a.body != test.line+"\n" || a.Header.Get("Content-Type") != wire.MediaText {
				t.Errorf("%v, text, %s: %d %q", test.err, format, a.StatusCode, a.body)
			}
		}

		a = ask(t, ln, rawRequest("GET", "/v1/token?format=curl", ""))
		if a.StatusCode != test.status || a.body != "# "+test.line+"\nproto = \"-all\"\n" {
			t.Errorf("%v, curl: %d %q", test.err, a.StatusCode, a.body)
		}
	}
}

func TestEveryErrorOfTokenClosesCurl(t *testing.T) {
	ln := serveMem(t, &scripted{})
	for _, raw := range []string{
		rawRequest("GET", "/v1/token?format=curl&min_valid=x", ""),
		rawRequest("GET", "/v1/token?format=curl&envv=prod", ""),
		rawRequest("GET", "/v1/token?format=curl&env=a&env=b", ""),
		rawRequest("GET", "/v1/token?format=curl", "", "Origin: http://evil.example"),
		rawRequest("DELETE", "/v1/token?format=curl", ""),
		strings.Replace(rawRequest("GET", "/v1/token?format=curl", ""), "Host: kyc-agent", "Host: evil", 1),
	} {
		if a := ask(t, ln, raw); a.StatusCode < 400 || !strings.HasSuffix(a.body, "\nproto = \"-all\"\n") || !strings.HasPrefix(a.body, "# ") {
			t.Errorf("%q: %d %q", raw, a.StatusCode, a.body)
		}
	}
}

func TestUnsendableToken(t *testing.T) {
	for _, token := range []string{"", "a b", "a\r\nX: y", "a\x00", "é"} {
		ln := serveMem(t, &scripted{token: func(context.Context, agent.TokenRequest) (agent.Token, error) {
			return agent.Token{Environment: "prod", IDToken: agent.NewSecret(token)}, nil
		}})
		a := ask(t, ln, rawRequest("GET", "/v1/token?format=header", "", textPlain))
		if a.StatusCode != http.StatusInternalServerError || !strings.HasPrefix(a.body, "prod: the ID token") {
			t.Errorf("%q: %d %q", token, a.StatusCode, a.body)
		}
	}
}

func TestRefusedRequests(t *testing.T) {
	ln := serveMem(t, &scripted{})
	big := `{"username":"` + strings.Repeat("x", wire.MaxBody) + `"}`
	for name, test := range map[string]struct {
		raw    string
		status int
		code   agent.Code
		say    string
	}{
		"origin":                             {rawRequest("GET", "/v1/token", "", "Origin: http://localhost"), 403, agent.CodeDenied, "Origin"},
		"empty origin":                       {rawRequest("GET", "/v1/token", "", "Origin:"), 403, agent.CodeDenied, "Origin"},
		"referer":                            {rawRequest("GET", "/v1/status", "", "Referer: http://x/"), 403, agent.CodeDenied, "Referer"},
		"origin on POST":                     {rawRequest("POST", "/v1/logout", `{}`, "Origin: null"), 403, agent.CodeDenied, "Origin"},
		"other host":                         {"GET /v1/token HTTP/1.1\r\nHost: localhost\r\n\r\n", 403, agent.CodeDenied, `"localhost"`},
		"host with a port":                   {"GET /v1/token HTTP/1.1\r\nHost: kyc-agent:80\r\n\r\n", 403, agent.CodeDenied, "kyc-agent:80"},
		"loopback":                           {"GET /v1/token HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 403, agent.CodeDenied, "127.0.0.1"},
		"loopback with a port":               {"GET /v1/token HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n", 403, agent.CodeDenied, "127.0.0.1:8080"},
		"loopback of IPv6":                   {"GET /v1/token HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 403, agent.CodeDenied, "::1"},
		"localhost with a port":              {"GET /v1/token HTTP/1.1\r\nHost: localhost:8080\r\n\r\n", 403, agent.CodeDenied, "localhost:8080"},
		"a web page, no referrer":            {"GET /v1/token HTTP/1.1\r\nHost: prod.evil.example\r\nSec-Fetch-Site: cross-site\r\nUser-Agent: Mozilla/5.0\r\n\r\n", 403, agent.CodeDenied, "prod.evil.example"},
		"host in the search domain":          {"GET /v1/token HTTP/1.1\r\nHost: kyc-agent.lan\r\n\r\n", 403, agent.CodeDenied, "kyc-agent.lan"},
		"preflight":                          {"OPTIONS /v1/logout HTTP/1.1\r\nHost: kyc-agent\r\nOrigin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n\r\n", 403, agent.CodeDenied, "Origin"},
		"absolute form":                      {"GET http://evil.example/v1/token HTTP/1.1\r\nHost: kyc-agent\r\n\r\n", 403, agent.CodeDenied, "evil.example"},
		"a refused host comes before a path": {"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n", 403, agent.CodeDenied, "localhost"},

		"unknown parameter":           {rawRequest("GET", "/v1/token?environment=prod", ""), 400, agent.CodeUsage, `"environment"; known: env, format, min_valid`},
		"parameter in the wrong case": {rawRequest("GET", "/v1/token?Env=prod", ""), 400, agent.CodeUsage, `"Env"`},
		"repeated parameter":          {rawRequest("GET", "/v1/token?env=a&env=a", ""), 400, agent.CodeUsage, `"env" is there 2 times`},
		"parameter where none is":     {rawRequest("GET", "/v1/status?x", ""), 400, agent.CodeUsage, `"x"; there are none`},
		"parameter on a POST":         {rawRequest("POST", "/v1/logout?environment=prod", `{}`), 400, agent.CodeUsage, `"environment"`},
		"bad escape":                  {rawRequest("GET", "/v1/token?env=%zz", ""), 400, agent.CodeUsage, "query"},
		"semicolon":                   {rawRequest("GET", "/v1/token?env=a;format=json", ""), 400, agent.CodeUsage, "query"},
		"long parameter":              {rawRequest("GET", "/v1/token?"+strings.Repeat("q", 500)+"=1", ""), 400, agent.CodeUsage, "…"},

		"unknown format":     {rawRequest("GET", "/v1/token?format=xml", ""), 400, agent.CodeUsage, `"xml"; known: token, header, curl, json`},
		"format in capitals": {rawRequest("GET", "/v1/token?format=JSON", ""), 400, agent.CodeUsage, `"JSON"`},
		"negative min_valid": {rawRequest("GET", "/v1/token?min_valid=-5m", ""), 400, agent.CodeUsage, "below zero"},
		"negative seconds":   {rawRequest("GET", "/v1/token?min_valid=-5", ""), 400, agent.CodeUsage, "write 5m"},
		"no duration":        {rawRequest("GET", "/v1/token?min_valid=soon", ""), 400, agent.CodeUsage, `"soon"`},
		"spaces":             {rawRequest("GET", "/v1/token?min_valid=%20300", ""), 400, agent.CodeUsage, "min_valid"},
		"too many seconds":   {rawRequest("GET", "/v1/token?min_valid=9999999999999999", ""), 400, agent.CodeUsage, "min_valid"},
		"too many digits":    {rawRequest("GET", "/v1/token?min_valid=99999999999999999999999", ""), 400, agent.CodeUsage, "min_valid"},

		"unknown path":      {rawRequest("GET", "/", ""), 404, agent.CodeUsage, "/v1"},
		"path with a slash": {rawRequest("GET", "/v1/token/", ""), 404, agent.CodeUsage, "/v1"},
		"unclean path":      {rawRequest("GET", "//v1/token", ""), 404, agent.CodeUsage, "/v1"},
		"dots":              {rawRequest("GET", "/v1/x/../token", ""), 404, agent.CodeUsage, "/v1"},
		"star":              {rawRequest("OPTIONS", "*", ""), 404, agent.CodeUsage, "*"},
		"login id + slash":  {rawRequest("POST", "/v1/login/", `{"answers":{}}`), 404, agent.CodeUsage, "/v1/login/"},
		"POST token":        {rawRequest("POST", "/v1/token", `{}`), 405, agent.CodeUsage, "use GET"},
		"GET login":         {rawRequest("GET", "/v1/login", ""), 405, agent.CodeUsage, "use POST"},
		"PUT login id":      {rawRequest("PUT", "/v1/login/abc", ""), 405, agent.CodeUsage, "use GET or POST or DELETE"},
		"connect":           {"CONNECT kyc-agent HTTP/1.1\r\nHost: kyc-agent\r\n\r\n", 404, agent.CodeUsage, "/v1"},
		"body on a GET":     {"GET /v1/token HTTP/1.1\r\nHost: kyc-agent\r\nContent-Length: 2\r\n\r\n{}", 400, agent.CodeUsage, "no body"},

		"no content type": {"POST /v1/logout HTTP/1.1\r\nHost: kyc-agent\r\nContent-Length: 2\r\n\r\n{}", 415, agent.CodeUsage, "Content-Type: application/json"},
		"form":            {"POST /v1/logout HTTP/1.1\r\nHost: kyc-agent\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", 415, agent.CodeUsage, "application/json"},
		"body too large":  {post("/v1/login", big), 413, agent.CodeUsage, "64 KiB"},
		"chunked and too large": {"POST /v1/login HTTP/1.1\r\nHost: kyc-agent\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" +
			fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(big), big), 413, agent.CodeUsage, "64 KiB"},
		"empty body":              {post("/v1/logout", ""), 400, agent.CodeUsage, "not a JSON object"},
		"no JSON":                 {post("/v1/logout", "environment=prod"), 400, agent.CodeUsage, "not a JSON object"},
		"half JSON":               {post("/v1/logout", `{"environment":"prod"`), 400, agent.CodeUsage, "not a JSON object"},
		"list":                    {post("/v1/logout", `[]`), 400, agent.CodeUsage, "not a JSON object"},
		"null":                    {post("/v1/logout", `null`), 400, agent.CodeUsage, "not a JSON object"},
		"null field":              {post("/v1/logout", `{"environment":null}`), 400, agent.CodeUsage, `"environment" of the body is not a string`},
		"number":                  {post("/v1/login", `{"password":12345678}`), 400, agent.CodeUsage, `"password" of the body is not a string`},
		"unknown field":           {post("/v1/logout", `{"env":"prod"}`), 400, agent.CodeUsage, `unknown field "env" in the body; known: environment, scope`},
		"unknown field of login":  {post("/v1/login", `{"apikey":"sk_"}`), 400, agent.CodeUsage, `"apikey" in the body; known: api_key, environment, for, password, redirect_uri, username`},
		"unknown of account":      {post("/v1/account", `{"api_key":"sk_"}`), 400, agent.CodeUsage, `"api_key" in the body; known: action, environment, password, username`},
		"GET account":             {rawRequest("GET", "/v1/account", ""), 405, agent.CodeUsage, "use POST"},
		"field in the wrong case": {post("/v1/logout", `{"Environment":"prod"}`), 400, agent.CodeUsage, `"Environment"`},
		"repeated field":          {post("/v1/logout", `{"environment":"a","environment":"b"}`), 400, agent.CodeUsage, "twice"},
		"two objects":             {post("/v1/logout", `{} {}`), 400, agent.CodeUsage, "more in the body"},
		"not UTF-8":               {post("/v1/login", "{\"password\":\"\xff\"}"), 400, agent.CodeUsage, "UTF-8"},
		"answers missing":         {post("/v1/login/abc", `{}`), 400, agent.CodeUsage, `"answers"`},
		"answers not a map":       {post("/v1/login/abc", `{"answers":["1"]}`), 400, agent.CodeUsage, "JSON object"},
		"answer not a string":     {post("/v1/login/abc", `{"answers":{"code":123456}}`), 400, agent.CodeUsage, `"code" of the body is not a string`},
		"no such login":           {post("/v1/login/abc", `{"answers":{}}`), 404, agent.CodeUsage, "no such sign-in"},
		"watch no such login":     {rawRequest("GET", "/v1/login/abc", ""), 404, agent.CodeUsage, "no such sign-in"},
		"cancel no such login":    {rawRequest("DELETE", "/v1/login/abc", ""), 404, agent.CodeUsage, "no such sign-in"},
		"reload with a field":     {post("/v1/reload", `{"x":1}`), 400, agent.CodeUsage, `"x" in the body; known: passphrase`},
		"nothing to reload":       {post("/v1/reload", `{}`), 400, agent.CodeUsage, "no configuration"},
	} {
		t.Run(name, func(t *testing.T) {
			a := ask(t, ln, test.raw)
			p := a.problem(t)
			if a.StatusCode != test.status || p.Code != test.code || !strings.Contains(p.Detail, test.say) {
				t.Errorf("%d %s, want %d %s with %q", a.StatusCode, a.body, test.status, test.code, test.say)
			}
			if strings.Contains(a.body, "12345678") {
				t.Errorf("a value is in %s", a.body)
			}
			if got := a.Header.Get("Allow"); (got != "") != (test.status == 405) {
				t.Errorf("Allow %q", got)
			}
			text := ask(t, ln, strings.Replace(test.raw, "Host:", "Accept: text/plain\r\nHost:", 1))
			if text.StatusCode != test.status || strings.Count(text.body, "\n") != 1 || text.Header.Get("Content-Type") != wire.MediaText {
				t.Errorf("as text: %d %q", text.StatusCode, text.body)
			}
		})
	}
}

func TestHeaderLimit(t *testing.T) {
	path := serveUnix(t, &scripted{})
	for size, status := range map[int]int{7 << 10: 200, 9 << 10: 431, 1 << 20: 431} {
		c := fixture.DialUnix(t, path)
		raw := rawRequest("GET", "/v1/token", "", "X-Filler: "+strings.Repeat("x", size))
		if a := exchangeOn(t, c, raw); a.StatusCode != status {
			t.Errorf("%d bytes of header: %d, want %d", size, a.StatusCode, status)
		}
	}
	long := rawRequest("GET", "/v1/token?env="+strings.Repeat("x", 9<<10), "")
	if a := exchangeOn(t, fixture.DialUnix(t, path), long); a.StatusCode != 431 {
		t.Errorf("a long target: %d", a.StatusCode)
	}
}

func TestHalfARequest(t *testing.T) {
	for raw, limit := range map[string]time.Duration{
		"":                                      time.Hour, // nothing was promised yet; see below
		"GET /v1/tok":                           headerTimeout,
		rawRequest("GET", "/v1/token", "")[:30]: headerTimeout,
		strings.TrimSuffix(post("/v1/login", `{"username":"x"}`), `}`): readTimeout,
	} {
		synctest.Test(t, func(t *testing.T) {
			started := false
			ln := serveMem(t, &scripted{login: func(context.Context, agent.LoginRequest, agent.Prompter) error { started = true; return nil }})
			c := dial(t, ln)
			go func() { _, _ = io.WriteString(c, raw) }()
			begin := time.Now()
			got, _ := io.ReadAll(c)
			if took := time.Since(begin); took > limit || took == 0 {
				t.Errorf("%q held the connection for %s", raw, took)
			}
			if len(got) > 0 && !strings.HasPrefix(string(got), "HTTP/1.1 400 ") {
				t.Errorf("%q was answered %q", raw, got)
			}
			if started {
				t.Error("half a sign-in was started")
			}
		})
	}
}

// This needs no timing threshold: time in the bubble stands while any goroutine can run.
func TestStalledClientsDelayNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := serveMem(t, &scripted{})
		stalls := []string{"", "GET /v1/tok", strings.TrimSuffix(post("/v1/login", "{}"), "}"), rawRequest("GET", "/v1/token", "")}
		for i := range 52 {
			c := dial(t, ln)
			go func() { _, _ = io.WriteString(c, stalls[i%len(stalls)]) }() // and never reads
		}
		synctest.Wait()
		begin := time.Now()
		if a := ask(t, ln, rawRequest("GET", "/v1/token", "")); a.StatusCode != http.StatusOK {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("the answer waited %s", took)
		}
	})
}

// The same over a real socket: a request is answered while all of them still stall.
func TestStalledClientsOnASocket(t *testing.T) {
	path := serveUnix(t, &scripted{})
	var stalled []net.Conn
	for range 50 {
		c := fixture.DialUnix(t, path)
		if _, err := io.WriteString(c, "GET /v1/token HTTP/1.1\r\nHost:"); err != nil {
			t.Fatal(err)
		}
		stalled = append(stalled, c)
	}
	if _, err := (&Client{Socket: path}).Token(t.Context(), agent.TokenRequest{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range stalled { // each can still finish its request
		if a := exchangeOn(t, c, " kyc-agent\r\n\r\n"); a.StatusCode != http.StatusOK {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	}
}

func TestSlowReaderIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := serveMem(t, &scripted{})
		c := dial(t, ln)
		if _, err := io.WriteString(c, rawRequest("GET", "/v1/token", "")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(writeTimeout + time.Second)
		if got, err := io.ReadAll(c); err != nil || len(got) > 0 {
			t.Errorf("after the deadline: %q, %v", got, err)
		}
	})
}

// The work may take longer than every timeout of the server: these are for clients.
func TestSlowWorkIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := serveMem(t, &scripted{
			logout: func(ctx context.Context, _ agent.LogoutRequest) error {
				time.Sleep(workTimeout - time.Second)
				return ctx.Err()
			},
			login: func(ctx context.Context, _ agent.LoginRequest, _ agent.Prompter) error {
				time.Sleep(4 * time.Minute) // a person looks for the password of the keyring
				return ctx.Err()
			},
		})
		c := dial(t, ln)
		for _, raw := range []string{post("/v1/logout", "{}"), post("/v1/login", `{"username":"u","password":"p"}`), post("/v1/logout", "{}")} {
			if a := exchangeOn(t, c, raw); a.StatusCode != http.StatusOK {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
		}
	})
}

func TestWorkHasALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := serveMem(t, &scripted{
			token: func(ctx context.Context, _ agent.TokenRequest) (agent.Token, error) {
				<-ctx.Done()
				return agent.Token{}, ctx.Err()
			},
			logout: func(ctx context.Context, _ agent.LogoutRequest) error { <-ctx.Done(); return ctx.Err() },
		})
		for raw, limit := range map[string]time.Duration{
			rawRequest("GET", "/v1/token", ""): tokenTimeout, post("/v1/logout", "{}"): workTimeout,
		} {
			begin := time.Now()
			if a := ask(t, ln, raw); a.StatusCode != http.StatusServiceUnavailable || time.Since(begin) != limit {
				t.Errorf("%d after %s, want %s", a.StatusCode, time.Since(begin), limit)
			}
		}
	})
}

// While Cognito is slow a request gets an error, and the next one gets the token.
func TestTokenOfASlowRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := agenttest.NewAuthenticator()
		p.Set(func(r *agenttest.Rules) { r.Lifetime = time.Second })
		service := agenttest.NewAgent(t, p)
		agenttest.Login(t, service, "prod")
		time.Sleep(time.Minute)
		p.Set(func(r *agenttest.Rules) { r.Lifetime, r.Latency = time.Hour, 10*time.Second })
		ln := serveMem(t, service)

		begin := time.Now()
		a := ask(t, ln, rawRequest("GET", "/v1/token?env=prod", "", textPlain))
		if a.StatusCode != http.StatusServiceUnavailable || !strings.Contains(a.body, "prod: the refresh at Cognito is still going on") || a.Header.Get("Retry-After") != "1" {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		if took := time.Since(begin); took != 7*time.Second {
			t.Errorf("after %s", took)
		}
		if a := ask(t, ln, rawRequest("GET", "/v1/token?env=prod", "")); a.StatusCode != http.StatusOK || p.Refreshes() != 1 {
			t.Errorf("%d %s, %d refreshes", a.StatusCode, a.body, p.Refreshes())
		}
	})
}

// A request has a time limit of its own, whatever became of that of the one before on the connection.
func TestTimeLimitOnAnOpenConnection(t *testing.T) {
	var seen []context.Context
	ln := serveMemServer(t, &Server{Service: &scripted{token: func(ctx context.Context, _ agent.TokenRequest) (agent.Token, error) {
		if len(seen) != 1 { // the second asks its context for nothing
			at, ok := ctx.Deadline()
			if left := time.Until(at); !ok || left < tokenTimeout-time.Second || left > tokenTimeout || ctx.Err() != nil {
				t.Errorf("request %d has %v, %v", len(seen)+1, left, ctx.Err())
			}
		}
		seen = append(seen, ctx)
		return fixture.Token("prod"), nil
	}}})
	c := dial(t, ln)
	for range 4 {
		if a := exchangeOn(t, c, rawRequest(http.MethodGet, "/v1/token", "", textPlain)); a.body != fixture.JWT+"\n" {
			t.Errorf("%q", a.body)
		}
	}
	if err := seen[0].Err(); err != context.Canceled {
		t.Errorf("the first one's goes on: %v", err)
	}
}

func TestIdleConnectionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, serveMem(t, &scripted{}))
		exchangeOn(t, c, rawRequest("GET", "/v1/token", ""))
		begin := time.Now()
		if _, err := io.ReadAll(c); err != nil || time.Since(begin) != idleTimeout {
			t.Errorf("closed after %s, %v", time.Since(begin), err)
		}
	})
}

// `nc -N` and socat close their sending half after the request.
func TestHalfClosedClientGetsItsToken(t *testing.T) {
	closed := make(chan struct{})
	path := serveUnix(t, &scripted{token: func(ctx context.Context, _ agent.TokenRequest) (agent.Token, error) {
		<-closed
		return fixture.Token("prod"), ctx.Err()
	}})
	c := fixture.DialUnix(t, path)
	if _, err := io.WriteString(c, rawRequest("GET", "/v1/token", "", textPlain)); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	close(closed)
	if a := readAnswer(t, c); a.body != fixture.JWT+"\n" {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		ln := ipctest.Listen()
		stop := serve(t, &Server{Service: &scripted{token: func(ctx context.Context, _ agent.TokenRequest) (agent.Token, error) {
			<-release
			return fixture.Token("prod"), ctx.Err()
		}}}, ln)
		idle := dial(t, ln)
		exchangeOn(t, idle, rawRequest("GET", "/nothing", ""))
		inHand := dial(t, ln)
		_, _ = io.WriteString(inHand, rawRequest("GET", "/v1/token", "", textPlain))
		arriving := dial(t, ln)
		_, _ = io.WriteString(arriving, "GET /v1/nothing HTTP/1.1\r\n")
		synctest.Wait()

		begin := time.Now()
		stopped := make(chan struct{})
		go func() { stop(); close(stopped) }()
		synctest.Wait()
		if _, err := ln.Dial(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a new connection: %v", err)
		}
		if _, err := io.ReadAll(idle); err != nil {
			t.Errorf("the idle connection: %v", err)
		}
		if a := exchangeOn(t, arriving, "Host: kyc-agent\r\n\r\n"); a.StatusCode != http.StatusNotFound || !a.Close {
			t.Errorf("the request that was arriving: %d, close %t", a.StatusCode, a.Close)
		}
		close(release)
		if a := readAnswer(t, inHand); a.body != fixture.JWT+"\n" || !a.Close {
			t.Errorf("the request in progress: %q, close %t", a.body, a.Close)
		}
		<-stopped
		if took := time.Since(begin); took != 0 {
			t.Errorf("it waited %s for nobody", took)
		}
	})
}

func TestStopDoesNotWaitForever(t *testing.T) {
	for grace, want := range map[time.Duration]time.Duration{0: defaultGrace, time.Second: time.Second} {
		synctest.Test(t, func(t *testing.T) {
			ln := ipctest.Listen()
			stop := serve(t, &Server{Grace: grace, Service: &scripted{token: func(ctx context.Context, _ agent.TokenRequest) (agent.Token, error) {
				<-ctx.Done()
				return agent.Token{}, ctx.Err()
			}}}, ln)
			stalled := dial(t, ln)
			_, _ = io.WriteString(stalled, "GET ")
			busy := dial(t, ln)
			_, _ = io.WriteString(busy, rawRequest("GET", "/v1/token", ""))
			synctest.Wait()
			begin := time.Now()
			stop()
			if took := time.Since(begin); took != want {
				t.Errorf("grace %s: took %s", grace, took)
			}
			if _, err := stalled.Read(make([]byte, 1)); err == nil {
				t.Error("the stalled connection is still there")
			}
		})
	}
}

func TestBrokenListener(t *testing.T) {
	ln := ipctest.Listen()
	_ = ln.Close()
	if err := (&Server{Service: &scripted{}}).Serve(t.Context(), ln); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve on a closed listener: %v", err)
	}
}

// A troubled listener fails a few times before it accepts.
type troubled struct {
	net.Listener
	failures atomic.Int32
	err      error
}

func (l *troubled) Accept() (net.Conn, error) {
	if l.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "unix", Err: l.err}
	}
	return l.Listener.Accept()
}

func TestAcceptTroublePasses(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		synctest.Test(t, func(t *testing.T) {
			mem, book := ipctest.Listen(), &testlog.Buffer{}
			ln := &troubled{Listener: mem, err: errno}
			ln.failures.Store(10)
			begin := time.Now()
			serve(t, &Server{Service: &scripted{}, Logger: book.Logger()}, ln)
			if a := ask(t, mem, rawRequest("GET", "/v1/token", "")); a.StatusCode != http.StatusOK {
				t.Errorf("%d", a.StatusCode)
			}
			if took := time.Since(begin); took < time.Second || took > time.Minute {
				t.Errorf("%s of pauses after 10 failures", took)
			}
			if n := strings.Count(book.String(), "cannot accept"); n != 10 {
				t.Errorf("%d lines for 10 failures:\n%s", n, book)
			}
		})
	}
}

func TestStopDuringAcceptTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := &troubled{Listener: ipctest.Listen(), err: syscall.EMFILE}
		ln.failures.Store(1 << 30)
		stop := serve(t, &Server{Service: &scripted{}}, ln)
		time.Sleep(10 * time.Second)
		begin := time.Now()
		stop()
		if took := time.Since(begin); took != 0 {
			t.Errorf("stopping took %s", took)
		}
	})
}

func TestPanicIsOneAnswer(t *testing.T) {
	book := &testlog.Buffer{}
	ln := ipctest.Listen()
	var log string
	service := &scripted{
		token: func(context.Context, agent.TokenRequest) (agent.Token, error) { panic("pass" + "word123") },
		login: func(context.Context, agent.LoginRequest, agent.Prompter) error { return nilMap()["x"]() },
	}
	serve(t, &Server{Service: service, Logger: book.Logger()}, ln)
	for _, raw := range []string{rawRequest("GET", "/v1/token", ""), post("/v1/login", "{}")} {
		p := ask(t, ln, raw).problem(t)
		if p.Code != agent.CodeInternal || strings.Contains(p.Detail, "panic") {
			t.Errorf("problem %+v", p)
		}
	}
	log = book.String()
	if strings.Contains(log, "password123") || !strings.Contains(log, "panic=string") ||
		!strings.Contains(log, "nil pointer dereference") || !strings.Contains(log, "nilMap") && !strings.Contains(log, "TestPanicIsOneAnswer") {
		t.Errorf("log:\n%s", log)
	}
}

func nilMap() map[string]func() error { return nil }

func TestInternalErrorsAreInTheLog(t *testing.T) {
	book := &testlog.Buffer{}
	ln := ipctest.Listen()
	serve(t, &Server{Logger: book.Logger(), Service: failing(&agent.Error{
		Code: agent.CodeInternal, Environment: "prod", Message: "it broke", Err: errors.New("the cause\nin two lines"),
	})}, ln)
	if a := ask(t, ln, rawRequest("GET", "/v1/token", "")); strings.Contains(a.body, "the cause") {
		t.Errorf("the client was told %s", a.body)
	}
	if log := book.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, `cause="the cause in two lines"`) || !strings.Contains(log, `op=token`) {
		t.Errorf("log:\n%s", log)
	}
}

func TestStatusAndLogoutAndReload(t *testing.T) {
	var loggedOut agent.LogoutRequest
	reloads := 0
	ln := ipctest.Listen()
	serve(t, &Server{
		Service: &scripted{
			status: func(context.Context) (agent.Status, error) { return agent.Status{Version: "v1"}, nil },
			logout: func(_ context.Context, req agent.LogoutRequest) error { loggedOut = req; return nil },
		},
		Reload: func(context.Context, Passphrase, string) error {
			reloads++
			if reloads > 2 {
				return &agent.Error{Code: agent.CodeConfiguration, Message: "config.toml, line 3: unknown key"}
			}
			return nil
		},
	}, ln)
	if a := ask(t, ln, rawRequest("GET", "/v1/status", "")); !strings.Contains(a.body, `"environments":[]`) || !strings.HasSuffix(a.body, "}\n") {
		t.Errorf("status %s", a.body)
	}
	if a := ask(t, ln, post("/v1/logout", `{"environment":"prod"}`)); a.body != "{\"state\":\"done\"}\n" || loggedOut != (agent.LogoutRequest{Environment: "prod"}) {
		t.Errorf("logout %s of %+v", a.body, loggedOut)
	}
	for _, body := range []string{"", "{}"} {
		if a := ask(t, ln, post("/v1/reload", body)); a.body != "{\"state\":\"done\"}\n" {
			t.Errorf("reload %s", a.body)
		}
	}
	if p := ask(t, ln, post("/v1/reload", "")).problem(t); p.Status != 422 || p.Detail != "config.toml, line 3: unknown key" {
		t.Errorf("reload %+v", p)
	}
}

// The log lines of net/http quote requests and the values of panics.
func TestWordsOfNetHTTPAreNotLogged(t *testing.T) {
	book := &testlog.Buffer{}
	ln := serveMemServer(t, &Server{
		Service: &scripted{}, Logger: book.Logger(),
		OnRequest: func(RequestInfo) { panic("a panic outside of the agent's own recover: " + fixture.JWT) },
	})
	c := dial(t, ln)
	go func() { _, _ = io.WriteString(c, rawRequest("GET", "/v1/token", "")) }()
	if answer, err := io.ReadAll(c); len(answer) > 0 || err != nil {
		t.Errorf("%q, %v", answer, err)
	}
	if text := book.String(); strings.Contains(text, fixture.JWT) || strings.Count(text, "net/http reported a fault") != 1 {
		t.Errorf("the log says %s", text)
	}
}
