package tokensource_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/ipc/tokensource"
)

// A script is an agent that gives one token, and the next one when more life is asked
// for than that has left.
type script struct {
	agent.Service
	apiURL string
	life   time.Duration // 0: an API key
	err    error         // of every request
	newest int           // so many tokens there are; the first is "token-0"
	slow   bool          // a new one has less life than was asked for

	mu    sync.Mutex
	at    int
	asked []agent.TokenRequest
}

func (s *script) Token(_ context.Context, req agent.TokenRequest) (agent.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, req)
	if s.err != nil {
		return agent.Token{}, s.err
	}
	if req.MinValid > s.life {
		if s.at == s.newest {
			return agent.Token{}, &agent.Error{Code: agent.CodeUsage, Message: "ask for less"}
		}
		s.at++
		if s.slow {
			return agent.Token{}, &agent.Error{Code: agent.CodeUnavailable, Message: "the refresh took so long; try again"}
		}
	}
	t := agent.Token{Environment: "prod", APIURL: s.apiURL, IDToken: agent.NewSecret("token-" + string(rune('0'+s.at)))}
	if s.life > 0 {
		t.ExpiresAt = time.Now().Add(s.life)
	}
	return t, nil
}

// An api refuses the tokens before good, and notes what it is sent.
type api struct {
	*httptest.Server
	good string

	mu  sync.Mutex
	got []string // "METHOD authorization body"
}

func newAPI(t *testing.T, good string) *api {
	a := &api{good: good}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.got = append(a.got, r.Method+" "+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")+" "+string(body))
	if after, ok := strings.CutPrefix(r.URL.Path, "/to/"); ok {
		http.Redirect(w, r, "http://"+after, http.StatusTemporaryRedirect)
		return
	}
	if !strings.HasSuffix(r.Header.Get("Authorization"), a.good) {
		w.WriteHeader(http.StatusUnauthorized)
	}
	_, _ = io.WriteString(w, "said the API")
}

func (a *api) take() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer func() { a.got = nil }()
	return a.got
}

// A body notes that it was closed.
type body struct {
	io.Reader
	closed int
}

func (b *body) Close() error { b.closed++; return nil }

// An answers keeps the bodies of all the API's answers.
type answers struct{ bodies []*body }

func (a *answers) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err == nil {
		b := &body{Reader: resp.Body}
		a.bodies = append(a.bodies, b)
		resp.Body = b
	}
	return resp, err
}

func TestTransport(t *testing.T) {
	const newer = "token-1"
	for _, tt := range []struct {
		name   string
		good   string
		tokens *script
		method string
		body   io.Reader
		status int
		want   []string
	}{
		{"the first is good", "token-0", &script{life: time.Hour, newest: 1}, "POST", strings.NewReader("x"), 200, []string{"POST token-0 x"}},
		{"refused once", newer, &script{life: time.Hour, newest: 1}, "POST", strings.NewReader("x"), 200, []string{"POST token-0 x", "POST token-1 x"}},
		{"refused once, without a body", newer, &script{life: time.Hour, newest: 1}, "GET", nil, 200, []string{"GET token-0 ", "GET token-1 "}},
		{"refused always", "token-9", &script{life: time.Hour, newest: 5}, "POST", strings.NewReader("x"), 401, []string{"POST token-0 x", "POST token-1 x"}},
		{"refused once, slow refresh", newer, &script{life: time.Hour, newest: 1, slow: true}, "GET", nil, 200, []string{"GET token-0 ", "GET token-1 "}},
		{"nothing newer", newer, &script{life: time.Hour}, "POST", strings.NewReader("x"), 401, []string{"POST token-0 x"}},
		{"an API key", newer, &script{newest: 1}, "GET", nil, 401, []string{"GET token-0 "}},
		{"a stream", newer, &script{life: time.Hour, newest: 1}, "POST", io.MultiReader(strings.NewReader("x")), 401, []string{"POST token-0 x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := newAPI(t, tt.good)
			tt.tokens.apiURL = server.URL + "/base"
			var answers answers
			client := &http.Client{Transport: &tokensource.Transport{
				Source: tokensource.Source{Environment: "prod", Service: tt.tokens}, Base: &answers,
			}}
			req, err := http.NewRequestWithContext(t.Context(), tt.method, server.URL+"/kyc", tt.body)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil || resp.StatusCode != tt.status || string(text) != "said the API" {
				t.Errorf("%s %q %v, want %d", resp.Status, text, err, tt.status)
			}
			if got := server.take(); !slices.Equal(got, tt.want) {
				t.Errorf("the API got %q, want %q", got, tt.want)
			}
			for i, b := range answers.bodies {
				if b.closed == 0 {
					t.Errorf("the body of answer %d was not closed", i+1)
				}
			}
			if req.Header.Get("Authorization") != "" {
				t.Error("the request was changed")
			}
			if tt.tokens.asked[0].Environment != "prod" {
				t.Errorf("asked for %+v", tt.tokens.asked)
			}
		})
	}
}

// TestOtherHosts holds that no other server is sent a token, or anything at all.
func TestOtherHosts(t *testing.T) {
	server, other := newAPI(t, "token-0"), newAPI(t, "")
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	_, otherPort, _ := strings.Cut(strings.TrimPrefix(other.URL, "http://"), ":")
	for _, tt := range []struct{ url, host, want string }{
		{other.URL + "/kyc?secret", "", other.URL + " is not " + server.URL},
		{"http://localhost:" + port, "", "http://localhost:" + port + " is not " + server.URL},
		{"http://127.0.0.1.:" + port, "", "http://127.0.0.1.:" + port + " is not " + server.URL},
		{"https://127.0.0.1:" + port, "", "https://127.0.0.1:" + port + " is not " + server.URL},
		{"http://127.0.0.1:" + port + "@localhost:" + otherPort, "", "http://localhost:" + otherPort + " is not " + server.URL},
		{server.URL, "evil.example", "http://evil.example is not " + server.URL},
		{server.URL, "[127.0.0.1]:" + port, "http://[127.0.0.1]:" + port + " is not " + server.URL},
		{server.URL, "127.0.0.1:0" + port, "http://127.0.0.1:0" + port + " is not " + server.URL},
		{server.URL + "/to/localhost:" + otherPort + "/kyc", "", "http://localhost:" + otherPort + " is not " + server.URL},
	} {
		client := &http.Client{Transport: &tokensource.Transport{Source: tokensource.Source{Service: &script{apiURL: server.URL, life: time.Hour}}}}
		req, err := http.NewRequestWithContext(t.Context(), "POST", tt.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		sent := &body{Reader: strings.NewReader("x")}
		req.Body, req.Host = sent, tt.host
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), nil }
		resp, err := client.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if !errors.Is(err, agent.CodeDenied) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "?secret is not") {
			t.Errorf("%s: %v, want %q", tt.url, err, tt.want)
		}
		if sent.closed == 0 {
			t.Errorf("%s: the body was not closed", tt.url)
		}
		if got := other.take(); len(got) != 0 {
			t.Errorf("%s: the other server got %q", tt.url, got)
		}
	}
	if got := server.take(); len(got) != 1 {
		t.Errorf("the API got %q, want the one that redirects", got)
	}
}

// TestFailsClosed holds that without a token there is no request.
func TestFailsClosed(t *testing.T) {
	server := newAPI(t, "")
	sent := &body{Reader: strings.NewReader("x")}
	req, err := http.NewRequestWithContext(t.Context(), "POST", server.URL, sent)
	if err != nil {
		t.Fatal(err)
	}
	transport := &tokensource.Transport{Source: tokensource.Source{Service: &script{
		err: &agent.Error{Code: agent.CodeLoginRequired, Environment: "prod", Message: "not signed in", Hint: "run: kyc-agentd login prod"},
	}}}
	resp, err := transport.RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	if !errors.Is(err, agent.CodeLoginRequired) || err.Error() != "prod: not signed in; run: kyc-agentd login prod" {
		t.Errorf("error %v", err)
	}
	if got := server.take(); len(got) != 0 || sent.closed != 1 {
		t.Errorf("the API got %q, and the body was closed %d times", got, sent.closed)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("KYC_ENV", "staging")
	s := &script{life: time.Hour, apiURL: "https://stg.example.com"}
	if url, err := (&tokensource.Source{Service: s}).APIURL(t.Context()); url != s.apiURL || err != nil {
		t.Errorf("%q %v", url, err)
	}
	_, _ = (&tokensource.Source{Service: s, Environment: "prod"}).Token()
	if s.asked[0].Environment != "staging" || s.asked[1].Environment != "prod" {
		t.Errorf("asked for %+v", s.asked)
	}
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for life, want := range map[time.Duration]time.Duration{
			time.Hour: 59 * time.Minute, 2 * time.Minute: time.Minute, time.Minute: 30 * time.Second, time.Second: 500 * time.Millisecond,
			0: 5 * time.Minute, // an API key
		} {
			got, err := (&tokensource.Source{Service: &script{life: life}}).Token()
			if err != nil || got.AccessToken != "token-0" || got.Type() != "Bearer" || got.Expiry.Sub(time.Now().Round(0)) != want {
				t.Errorf("a life of %s: %v %v, want %s", life, got, err, want)
			}
		}
	})
}

// TestNeverStale holds that a token which a library keeps is replaced before its end,
// with many asking at once.
func TestNeverStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := agenttest.NewAgent(t, agenttest.NewAuthenticator())
		agenttest.Login(t, a, "prod")
		kept := oauth2.ReuseTokenSource(nil, &tokensource.Source{Environment: "prod", Service: a})
		for range 200 {
			time.Sleep(time.Minute)
			var asking sync.WaitGroup
			for range 8 {
				asking.Go(func() {
					got, err := kept.Token()
					if err != nil || time.Until(got.Expiry) < 0 {
						t.Errorf("%v %v", got, err)
					}
				})
			}
			asking.Wait()
		}
	})
}

// TestTheProgramsDoNotLinkIt holds that nobody pays for this package who does not use it.
func TestTheProgramsDoNotLinkIt(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "./cmd/...")
	cmd.Dir = testpeer.ModuleRoot()
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), "kyc-agent/ipc\n") {
		t.Fatalf("%s %v", out, err)
	}
	if strings.Contains(string(out), "kyc-agent/ipc/tokensource\n") {
		t.Error("ipc/tokensource is in a program")
	}
}
