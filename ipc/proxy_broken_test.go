package ipc

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/apiproxy"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// smuggled follows a body that breaks off: requests to the agent and to the API.
var smuggled = rawRequest("GET", "/v1/token?env=staging", "") + post("/v1/logout", `{"environment":"staging"}`) + toAPI("GET", "/smuggled", "")

// The rest of a body that breaks off is never a request, however it breaks off and whether
// the agent or the API answers.
func TestBrokenBodyEndsTheConnection(t *testing.T) {
	const chunked, long, small = "Transfer-Encoding: chunked", "Content-Length: 1000000", "Content-Length: 1000"
	json := func(header string) string {
		return "POST /v1/login HTTP/1.1\r\nHost: kyc-agent\r\nContent-Type: application/json\r\n" + header + "\r\n\r\n"
	}
	for name, test := range map[string]struct {
		head, begin string
		pause       time.Duration // of the client, at | or the end of begin
		want        int
	}{
		"corrupt chunk":                   {toAPI("POST", "/read", "", chunked), "5\r\nhello\r\nZZ\r\n", 0, 400},
		"corrupt chunk, HEAD":             {toAPI("HEAD", "/read", "", chunked), "5\r\nhello\r\nZZ\r\n", 0, 400},
		"chunk without its end":           {toAPI("POST", "/read", "", chunked), "5\r\nhelloX", 0, 400},
		"corrupt trailer":                 {toAPI("POST", "/read", "", chunked), "5\r\nhello\r\n0\r\nX\r\n\r\n", 0, 400},
		"long trailer":                    {toAPI("POST", "/read", "", chunked), "5\r\nhello\r\n0\r\nX: " + strings.Repeat("x", 8<<10) + "\r\n\r\n", 0, 400},
		"pause, chunked":                  {toAPI("POST", "/read", "", chunked), "5\r\nhello\r\n", apiproxy.StallTimeout + time.Second, 400},
		"pause":                           {toAPI("POST", "/read", "", long), "hello", apiproxy.StallTimeout + time.Second, 400},
		"pause, with an early answer":     {toAPI("POST", "/early", "", long), "hello", apiproxy.StallTimeout + time.Second, 413},
		"pause in a small body":           {toAPI("POST", "/read", "", small), "hello", readTimeout + time.Second, 400},
		"early answer":                    {toAPI("POST", "/early", "", long), "hello", 0, 413},
		"early answer, chunked":           {toAPI("POST", "/early", "", chunked), "5\r\nhello\r\n|2000\r\n", time.Second, 413},
		"early answer without a body":     {toAPI("POST", "/empty", "", long), "hello", 0, 204},
		"early answer after a 103":        {toAPI("POST", "/hints", "", long), "hello", 0, 413},
		"answer, then corrupt chunk":      {toAPI("POST", "/echo", "", chunked), "5\r\nhello\r\n|ZZ\r\n", time.Second, 200},
		"dropped":                         {toAPI("POST", "/drop", "", long), "hello", 0, 503},
		"dropped, chunked":                {toAPI("POST", "/drop", "", chunked), "5\r\nhello\r\n|2000\r\n", time.Second, 503},
		"refused":                         {toAPI("POST", "/a//b", "", long), "hello", 0, 400},
		"refused, corrupt chunk":          {toAPI("POST", "/a//b", "", chunked), "5\r\nhello\r\nZZ\r\n", 0, 400},
		"to the agent, corrupt chunk":     {json(chunked), "5\r\nhello\r\nZZ\r\n", 0, 400},
		"to the agent, too large":         {json(long), strings.Repeat("x", wire.MaxBody+1), 0, 413},
		"to the agent, too large, chunks": {json(chunked), "20000\r\n" + strings.Repeat("x", wire.MaxBody+1), 0, 413},
		"to the agent, pause":             {json(small), "hello", readTimeout + time.Second, 400},
		"to the agent, no JSON":           {strings.Replace(json(chunked), "json", "xml", 1), "5\r\nhello\r\nZZ\r\n", 0, 415},
		"to the agent, GET":               {rawRequest("GET", "/v1/status", "", chunked), "5\r\nhello\r\nZZ\r\n", 0, 400},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				service := &scripted{
					token: func(_ context.Context, req agent.TokenRequest) (agent.Token, error) {
						asked++
						token := fixture.Token(req.Environment)
						token.APIURL = "http://localhost"
						return token, nil
					},
					logout: func(context.Context, agent.LogoutRequest) error {
						t.Error("signed out")
						return nil
					},
				}
				c := dial(t, newFlowOf(t, service, breakingAPI(t)).Listener)
				var sending sync.WaitGroup
				defer sending.Wait()
				sending.Go(func() {
					begin, rest, _ := strings.Cut(test.begin, "|")
					_, _ = io.WriteString(c, test.head+begin)
					time.Sleep(test.pause)
					_, _ = io.WriteString(c, rest+strings.Repeat(smuggled, 10))
				})
				r := bufio.NewReader(c)
				res := finalAnswer(t, r, test.head)
				if res.StatusCode != test.want || !res.Close {
					t.Errorf("%d, want %d; %v", res.StatusCode, test.want, res.Header)
				}
				body, _ := io.ReadAll(res.Body) // the API may not have sent its end
				if rest, _ := io.ReadAll(r); len(rest) > 0 || strings.Contains(string(body), fixture.JWT) {
					t.Errorf("after %q another answer: %q", body, rest)
				}
				if asked > 1 {
					t.Errorf("%d tokens were asked for", asked)
				}
			})
		})
	}
}

// finalAnswer reads the answer to the request that begins with head, after any 1xx.
func finalAnswer(t *testing.T, r *bufio.Reader, head string) *http.Response {
	t.Helper()
	method, _, _ := strings.Cut(head, " ")
	for {
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode >= 200 {
			return res
		}
		if res.Close || res.Header.Get("Connection") != "" {
			t.Errorf("%d says that the connection ends: %v", res.StatusCode, res.Header)
		}
	}
}

// breakingAPI does what the path says in the middle of a body.
func breakingAPI(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		if r.URL.Path == "/read" {
			_, _ = io.Copy(io.Discard, r.Body)
			return
		}
		_, _ = io.ReadFull(r.Body, make([]byte, 5))
		switch r.URL.Path {
		case "/hints":
			w.WriteHeader(http.StatusEarlyHints)
			fallthrough
		case "/early":
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		case "/echo":
			fmt.Fprint(w, "hello")
			_ = control.Flush()
			_, _ = io.Copy(io.Discard, r.Body)
		case "/drop":
			c, _, err := control.Hijack() // a server would wait for the rest first
			if err != nil {
				t.Error(err)
				return
			}
			_ = c.Close()
		default:
			t.Errorf("the API was asked for %s", r.URL)
		}
	}
}

// A connection that has carried a request to an API carries none to the agent, even if the
// body of the first was whole: no client mixes them.
func TestAgentIsNotAskedAfterAnAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlow(t, func(http.ResponseWriter, *http.Request) {})
		for name, raw := range map[string]string{
			"forwarded":     toAPI("POST", "/", "hello"),
			"not forwarded": toAPI("GET", "/a//b", ""),
		} {
			c := dial(t, f.Listener)
			for range 2 {
				if a := exchangeOn(t, c, rawRequest("GET", "/v1/token?env=staging", "")); a.StatusCode != http.StatusOK || a.Close {
					t.Errorf("%s: before: %d %v", name, a.StatusCode, a.Header)
				}
			}
			_ = exchangeOn(t, c, raw)
			a := exchangeOn(t, c, rawRequest("GET", "/v1/token?env=staging", ""))
			if p := a.problem(t); p.Code != agent.CodeDenied || p.Hint != "send it on another connection" || !a.Close {
				t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
			}
			if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("%s: the connection goes on: %d, %v", name, n, err)
			}
		}
		f.tokenIsThere(t)
	})
}
