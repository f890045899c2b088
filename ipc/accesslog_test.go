package ipc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/internal/testlog"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// The same failure is logged once an hour, and does not hide another one.
func TestAFailureIsLoggedOnceAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &logLimit{}
		key := logKey{op: "token", code: agent.CodeLoginRequired, env: "prod", from: "/usr/bin/curl"}
		if !l.shouldLog(key) || l.shouldLog(key) {
			t.Error("not the first alone")
		}
		other := key
		other.env = "staging"
		if !l.shouldLog(other) {
			t.Error("another environment is hidden")
		}
		time.Sleep(suppressFor - time.Second)
		if l.shouldLog(key) {
			t.Error("again within the hour")
		}
		time.Sleep(time.Second)
		if !l.shouldLog(key) {
			t.Error("not after the hour")
		}
	})
}

// Lines without number are dropped beyond a number, and make no old line new.
func TestLogLimitIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &logLimit{}
		key := func(i int) logKey { return logKey{from: strconv.Itoa(i)} }
		logged := 0
		for range 3 {
			for i := range 4 * maxLogged {
				if l.shouldLog(key(i)) {
					logged++
				}
			}
		}
		if logged != maxLogged || len(l.last) != maxLogged {
			t.Errorf("%d are logged and %d remembered, want %d", logged, len(l.last), maxLogged)
		}
		time.Sleep(suppressFor)
		if !l.shouldLog(key(4*maxLogged)) || len(l.last) != 1 {
			t.Errorf("%d are remembered after an hour, want the new one", len(l.last))
		}
	})
}

// TestFlood holds that what a client makes up does not fill the log, at level info, on any
// socket.
func TestFlood(t *testing.T) {
	const requests = 4000
	long := strings.Repeat("A", 3500)
	floods := map[string]func(i int) string{
		"env and a wrong min_valid": func(i int) string {
			return rawRequest("GET", fmt.Sprintf("/v1/token?min_valid=bogus&env=%d%s", i, long), "")
		},
		"env and an empty user": func(i int) string {
			return rawRequest("GET", fmt.Sprintf("/v1/token?user=&env=%d%s", i, long), "")
		},
		"env":      func(i int) string { return rawRequest("GET", fmt.Sprintf("/v1/token?env=%d%s", i, long), "") },
		"user":     func(i int) string { return rawRequest("GET", fmt.Sprintf("/v1/token?env=prod&user=%d%s", i, long), "") },
		"type":     func(i int) string { return rawRequest("GET", fmt.Sprintf("/v1/token?env=%d&type=%s", i, long), "") },
		"format":   func(i int) string { return rawRequest("GET", fmt.Sprintf("/v1/token?env=%d&format=%s", i, long), "") },
		"field":    func(i int) string { return rawRequest("GET", fmt.Sprintf("/v1/token?%d%s=x", i, long), "") },
		"path":     func(i int) string { return rawRequest("GET", fmt.Sprintf("/v1/%d%s", i, long), "") },
		"method":   func(i int) string { return rawRequest(fmt.Sprintf("M%d%s", i, long), "/v1/token", "") },
		"protocol": func(i int) string { return post(fmt.Sprintf("/v1/helper/%d%s", i, long), "") },
		"helper": func(i int) string {
			return rawRequest("POST", fmt.Sprintf("/v1/helper/exec?env=%d%s", i, long), "", "Content-Type: application/octet-stream")
		},
		"scope": func(i int) string {
			return post("/v1/logout", fmt.Sprintf(`{"environment":"%d%s","scope":"%d%s"}`, i, long, i, long))
		},
		"login":  func(i int) string { return post("/v1/login", fmt.Sprintf(`{"environment":"%d%s"}`, i, long)) },
		"answer": func(i int) string { return post(fmt.Sprintf("/v1/login/%d%s", i, long), `{"answers":{}}`) },
		"host": func(i int) string {
			return fmt.Sprintf("GET / HTTP/1.1\r\nHost: %d%s\r\n\r\n", i, long)
		},
		"path of the API": func(i int) string {
			return fmt.Sprintf("GET /..;%d%s HTTP/1.1\r\nHost: prod\r\n\r\n", i, long)
		},
	}
	service := agenttest.NewAgent(t, agenttest.NewAuthenticator())
	for socketName, s := range map[string]*Server{
		"main":  {Service: service, Proxy: true},
		"extra": {Service: agent.Restrict(service, "prod")},
	} {
		for what, request := range floods {
			t.Run(socketName+"/"+what, func(t *testing.T) {
				var log testlog.Buffer
				served := *s
				served.Logger = slog.New(slog.NewJSONHandler(&log, nil))
				ln := serveMemServer(t, &served)
				c := dial(t, ln)
				answers := bufio.NewReader(c)
				for i := range requests / len(floods) {
					if _, err := io.WriteString(c, request(i)); err != nil {
						t.Fatal(err)
					}
					resp, err := http.ReadResponse(answers, nil)
					if err != nil {
						t.Fatal(err)
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					if resp.StatusCode < 400 {
						t.Fatalf("status %d", resp.StatusCode)
					}
					if resp.Close {
						c = dial(t, ln)
						answers = bufio.NewReader(c)
					}
				}
				if n := len(log.String()); n > 8<<10 || strings.Count(log.String(), "\n") > 2 {
					t.Errorf("%d bytes of log: %.2000s", n, log.String())
				}
			})
		}
	}
}

// The fields of a request's line, and the call of OnRequest, which may come after the answer.
func TestRequestsAreLoggedAndCounted(t *testing.T) {
	book := &testlog.Buffer{}
	var mu sync.Mutex
	var calls []RequestInfo
	refused := &agent.Error{Code: agent.CodeLoginRequired, Environment: "prod", Message: "not signed in"}
	path := serveUnixServer(t, &Server{
		Logger: book.Logger(),
		OnRequest: func(c RequestInfo) {
			mu.Lock()
			defer mu.Unlock()
			calls = append(calls, c)
		},
		Service: &scripted{token: func(_ context.Context, req agent.TokenRequest) (agent.Token, error) {
			if req.Environment == "prod" {
				return agent.Token{}, refused
			}
			return fixture.Token("staging"), nil
		}},
	})
	client := &Client{Socket: path}
	for n, env := range []string{"staging", "prod", "prod"} {
		_, _ = client.Token(t.Context(), agent.TokenRequest{Environment: env})
		for end := time.Now().Add(5 * time.Second); strings.Count(book.String(), "\n") <= n && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(calls) != 3 || calls[0].Op != "token" || calls[0].Code != "" || calls[1].Code != agent.CodeLoginRequired || calls[1].Duration <= 0 {
		t.Errorf("%+v", calls)
	}
	lines := strings.Split(strings.TrimSpace(book.String()), "\n")
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Skip("no /proc here")
	}
	for i, want := range []string{
		"level=DEBUG msg=request op=token env=staging user=ana@example.com duration=",
		"level=INFO msg=request op=token env=prod code=login_required duration=",
		"level=DEBUG msg=request op=token env=prod code=login_required duration=",
	} {
		if i >= len(lines) || !strings.Contains(lines[i], want) || !strings.Contains(lines[i], "exe="+exe) {
			t.Errorf("line %d of %q is not %q", i, lines, want)
		}
	}
}

// A client that asks once has its answer before it is counted.
func TestAnswerBeforeCounting(t *testing.T) {
	for _, raw := range []string{
		"GET /v1/token HTTP/1.0\r\nHost: kyc-agent\r\nAccept: text/plain\r\n\r\n",
		rawRequest("GET", "/v1/token", "", textPlain, "Connection: close"),
	} {
		answered, counted := make(chan struct{}), make(chan error, 1)
		ln := serveMemServer(t, &Server{
			Service: &scripted{token: func(context.Context, agent.TokenRequest) (agent.Token, error) { return fixture.Token("prod"), nil }},
			OnRequest: func(RequestInfo) {
				select {
				case <-answered:
					counted <- nil
				case <-time.After(5 * time.Second):
					counted <- errors.New("it is counted first")
				}
			},
		})
		if a := ask(t, ln, raw); a.body != fixture.JWT+"\n" {
			t.Errorf("%q", a.body)
		}
		close(answered)
		if err := <-counted; err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

// One that hangs up without reading its answer is counted as well.
func TestUnreadAnswerIsCounted(t *testing.T) {
	asked, goOn, counted := make(chan struct{}), make(chan struct{}), make(chan RequestInfo, 1)
	path := serveUnixServer(t, &Server{
		Service: &scripted{token: func(context.Context, agent.TokenRequest) (agent.Token, error) {
			close(asked)
			<-goOn
			return fixture.Token("prod"), nil
		}},
		OnRequest: func(info RequestInfo) { counted <- info },
	})
	c := fixture.DialUnix(t, path)
	if _, err := io.WriteString(c, "GET /v1/token HTTP/1.0\r\nHost: kyc-agent\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-asked
	_ = c.Close()
	close(goOn)
	if info := <-counted; info.Op != "token" || info.Code != "" {
		t.Errorf("%+v", info)
	}
}

// An error about something unknown names the agent's version, and to a program of another
// version both.
func TestVersionSkew(t *testing.T) {
	fly := func(agentVersion string, replaced bool, programVersion string) error {
		ln := serveMemServer(t, &Server{Service: &scripted{}, Version: agentVersion, BinaryReplaced: func() bool { return replaced }})
		c := &Client{Dial: ln.Dial, Version: programVersion}
		_, err := c.do(t.Context(), call{op: "fly", method: http.MethodGet, path: "/v1/fly", limit: quickCall}, new(wire.LoginBody))
		return err
	}
	const said = `no such path: "/v1/fly"; this agent speaks /v1`
	for _, tt := range []struct {
		agent    string
		replaced bool
		program  string
		want     string
	}{
		{"", false, "", said},
		{"v1.0.0", false, "", said + "; this agent is v1.0.0"},
		{"v1.0.0", true, "", said + "; this agent is v1.0.0, and another version is installed; run: systemctl --user restart kyc-agentd.service"},
		{"v1.0.0", true, "v1.0.0", said + "; this agent is v1.0.0, and another version is installed; run: systemctl --user restart kyc-agentd.service"},
		{"v1.0.0", false, "v1.1.0", said + "; the agent is v1.0.0, and this program v1.1.0; run: systemctl --user restart kyc-agentd.service"},
		{"v2.0.0", false, "v1.1.0", said + "; the agent is v2.0.0, and this program v1.1.0; run: systemctl --user restart kyc-agentd.service"},
		{"", false, "v1.1.0", said + "; the agent is of an older version, and this program v1.1.0; run: systemctl --user restart kyc-agentd.service"},
	} {
		if err := fly(tt.agent, tt.replaced, tt.program); err == nil || err.Error() != tt.want {
			t.Errorf("%+v: got %v", tt, err)
		}
	}
	for _, query := range []string{"format=xml", "colour=red"} {
		ln := serveMemServer(t, &Server{Service: &scripted{}, Version: "v1.0.0"})
		if a := ask(t, ln, rawRequest("GET", "/v1/token?"+query, "", textPlain)); !strings.HasSuffix(a.body, "; this agent is v1.0.0\n") || a.Header.Get("Kyc-Version") != "v1.0.0" {
			t.Errorf("%s: %v %q", query, a.Header, a.body)
		}
	}
}

// A newer agent may send fields that this client does not know.
func TestNewerAgent(t *testing.T) {
	const more = `,"colour":"red","sizes":[1,2],"more":{"a":null}`
	c := answering(t, rawResponse("200 OK", wire.MediaJSON, `{"token":"a.b.c","expires_at":"2030-01-02T03:04:05Z","environment":"prod"`+more+`}`))
	if tok, err := c.Token(t.Context(), agent.TokenRequest{}); err != nil || tok.IDToken.Reveal() != "a.b.c" || tok.Environment != "prod" {
		t.Errorf("%+v, %v", tok, err)
	}
	c = answering(t, rawResponse("200 OK", wire.MediaJSON, `{"version":"v9","pid":4711,"environments":[{"name":"prod","state":"dreaming"`+more+`}]`+more+`}`))
	if st, err := c.Status(t.Context()); err != nil || st.PID != 4711 || st.Environments[0].State != "dreaming" {
		t.Errorf("%+v, %v", st, err)
	}
	c = answering(t, rawResponse("503 Service Unavailable", wire.MediaProblem, `{"code":"asleep","detail":"it sleeps","hint":"wake it"`+more+`}`))
	_, err := c.Token(t.Context(), agent.TokenRequest{})
	fixture.WantError(t, err, "asleep", "it sleeps; wake it")
}
