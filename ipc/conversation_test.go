package ipc

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
	"github.com/legaltalent/kyc-agent/ipc/ipctest"
)

func TestRecoverFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := serveMem(t, agenttest.NewAgent(t, agenttest.NewAuthenticator()))
		for code, status := range map[string]int{agenttest.RecoveryCode: http.StatusOK, "000000": http.StatusBadRequest} {
			step := ask(t, ln, post("/v1/account", resetPassword)).step(t)
			if step.State != wire.StateChallenge || step.Challenge.Environment != "prod" || len(step.ID) < 26 ||
				!step.ExpiresAt.Equal(time.Now().Add(answerTimeout)) {
				t.Fatalf("first step %+v", step)
			}
			time.Sleep(2 * time.Minute)
			if a := ask(t, ln, post("/v1/login/"+step.ID, answers(code))); a.StatusCode != status {
				t.Errorf("%s: %d %s", code, a.StatusCode, a.body)
			}
			if a := ask(t, ln, post("/v1/login/"+step.ID, answers(code))); a.StatusCode != http.StatusNotFound {
				t.Errorf("an answer too many: %d %s", a.StatusCode, a.body)
			}
		}
		if a := ask(t, ln, post("/v1/account", `{"environment":"prod","action":"resend-code","username":"u"}`)); a.body != "{\"state\":\"done\"}\n" {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		if a := ask(t, ln, post("/v1/account", `{"environment":"prod","action":"explode","username":"u"}`)); a.problem(t).Code != agent.CodeUsage {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
}

// The error says what expired, and how to start again.
func TestConversationsExpire(t *testing.T) {
	for body, line := range map[string]string{
		`{}`:                             "sign-in|kyc-agentd login prod",
		`{"action":"reset-password"}`:    "password reset|kyc-agentd password reset prod",
		`{"action":"change-password"}`:   "change of password|kyc-agentd password change prod",
		`{"action":"confirm"}`:           "confirmation|kyc-agentd confirm prod",
		`{"action":"resend-code"}`:       "confirmation|kyc-agentd confirm prod",
		`{"action":"from-the-future"}  `: "password reset|kyc-agentd password reset prod",
	} {
		synctest.Test(t, func(t *testing.T) {
			ended := make(chan error, 1)
			ln := serveMem(t, asking(func(err error) { ended <- err }))
			path := "/v1/login"
			if strings.Contains(body, "action") {
				path = "/v1/account"
			}
			step := ask(t, ln, post(path, body)).step(t)
			time.Sleep(answerTimeout + time.Second)
			what, command, _ := strings.Cut(line, "|")
			want := "prod: this " + what + " waited more than 3 minutes for an answer and has expired; run: " + command
			fixture.WantError(t, <-ended, agent.CodeLoginRequired, want)
			for range 2 {
				a := ask(t, ln, rawRequest("POST", "/v1/login/"+step.ID, answers("1"), textPlain))
				if a.StatusCode != http.StatusUnauthorized || a.body != want+"\n" {
					t.Errorf("%s: %d %q, want %q", body, a.StatusCode, a.body, want)
				}
			}
			if a := ask(t, ln, rawRequest("DELETE", "/v1/login/"+step.ID, "")); a.StatusCode != http.StatusNotFound {
				t.Errorf("%s: cancelled after it expired: %d %s", body, a.StatusCode, a.body)
			}
		})
	}
}

// A challenge may end at Cognito, and a sign-in by another sign-in: a late answer gets that
// error, and expires_at says beforehand how long the question waits.
func TestQuestionEndsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := serveMem(t, &scripted{login: func(ctx context.Context, _ agent.LoginRequest, ask agent.Prompter) error {
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			_, err := ask(ctx, agent.Challenge{Environment: "prod", Name: "X"})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("asked: %v", err)
			}
			return &agent.Error{Code: agent.CodeLoginRequired, Environment: "prod", Message: "Cognito ended the session", Hint: "run: kyc-agentd login prod"}
		}})
		step := ask(t, ln, post("/v1/login", "{}")).step(t)
		if !step.ExpiresAt.Equal(time.Now().Add(time.Minute)) {
			t.Errorf("expires at %s", step.ExpiresAt)
		}
		time.Sleep(2 * time.Minute)
		for range 2 {
			a := ask(t, ln, rawRequest("POST", "/v1/login/"+step.ID, answers("1"), textPlain))
			if a.StatusCode != http.StatusUnauthorized || a.body != "prod: Cognito ended the session; run: kyc-agentd login prod\n" {
				t.Errorf("%d %q", a.StatusCode, a.body)
			}
		}
	})
}

// A conversation that was cancelled leaves no error for a late answer.
func TestGivenUpIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		ln := serveMem(t, asking(func(err error) { ended <- err }))
		step := ask(t, ln, post("/v1/account", resetPassword)).step(t)
		if a := ask(t, ln, rawRequest("DELETE", "/v1/login/"+step.ID, "")); a.body != "{\"state\":\"cancelled\"}\n" {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		fixture.WantError(t, <-ended, agent.CodeUnavailable, "the password reset was cancelled")
		for _, method := range []string{"GET", "POST", "DELETE"} {
			a := ask(t, ln, rawRequest(method, "/v1/login/"+step.ID, map[string]string{"POST": answers("1")}[method]))
			if p := a.problem(t); a.StatusCode != http.StatusNotFound || p.Hint != "run the command that asked once more" {
				t.Errorf("%s: %d %s", method, a.StatusCode, a.body)
			}
		}
	})
}

// DELETE at the instant at which the question expires.
func TestGiveUpMeetsExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		ln := serveMem(t, asking(func(err error) { ended <- err }))
		for range 50 {
			step := ask(t, ln, post("/v1/login", "{}")).step(t)
			time.Sleep(answerTimeout)
			a := ask(t, ln, rawRequest("DELETE", "/v1/login/"+step.ID, ""))
			if a.StatusCode != http.StatusOK && a.StatusCode != http.StatusNotFound {
				t.Fatalf("%d %s", a.StatusCode, a.body)
			}
			<-ended
		}
	})
}

func TestGiveUpBeforeExpiry(t *testing.T) {
	all := newConversations(t.Context(), nil)
	c := &conversation{all: all, id: "x", kind: kindLogin, done: make(chan struct{}), asked: make(chan question, 1)}
	c.ctx, c.cancel = context.WithCancelCause(t.Context())
	all.active["x"] = c
	pending := c.sendQuestion(question{})
	if _, err := all.cancel("x"); err != nil {
		t.Fatal(err)
	}
	_, err := c.expire(pending) // the timer fired, but DELETE was first
	fixture.WantError(t, err, agent.CodeUnavailable, "the sign-in was cancelled")
}

// A client that disconnects while it waits for the end has lost its terminal.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		ln := serveMem(t, asking(func(err error) { ended <- err }))
		for path, what := range map[string]string{"/v1/login": "sign-in", "/v1/account": "password reset"} {
			step := ask(t, ln, post(path, "{}")).step(t)
			c := dial(t, ln)
			_, _ = io.WriteString(c, rawRequest("GET", "/v1/login/"+step.ID, ""))
			time.Sleep(2 * time.Minute) // longer than any timeout for clients
			select {
			case err := <-ended:
				t.Fatalf("ended with %v", err)
			default:
			}
			_ = c.Close()
			fixture.WantError(t, <-ended, agent.CodeUnavailable, "the client went away, so the "+what+" was cancelled")
			synctest.Wait()
			a := ask(t, ln, post("/v1/login/"+step.ID, answers("1")))
			if p := a.problem(t); a.StatusCode != http.StatusServiceUnavailable || !strings.Contains(p.Detail, "went away") {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
		}

		step := ask(t, ln, post("/v1/login", "{}")).step(t)
		c := dial(t, ln)
		_, _ = io.WriteString(c, rawRequest("GET", "/v1/login/"+step.ID, ""))
		synctest.Wait()
		ask(t, ln, post("/v1/login/"+step.ID, answers("1")))
		if a := readAnswer(t, c); a.body != "{\"state\":\"done\"}\n" {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
}

// waitFor returns a prompter that a person never answers. It ends with its context, as a
// real prompt does.
func waitFor(asked chan<- struct{}) agent.Prompter {
	return func(ctx context.Context, _ agent.Challenge) (agent.Answers, error) {
		asked <- struct{}{}
		<-ctx.Done()
		return nil, errors.New("the prompt's own error")
	}
}

// The prompt ends with the conversation, not only after the person has typed something.
func TestPromptEndsWithTheConversation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := make(chan error, 1)
		ln := ipctest.Listen()
		stop := serve(t, &Server{Service: asking(func(err error) { book <- err })}, ln)
		c := &Client{Socket: "/the/socket", Dial: ln.Dial}
		asked := make(chan struct{}, 1)

		begin := time.Now()
		err := c.Login(t.Context(), agent.LoginRequest{Environment: "prod"}, waitFor(asked))
		fixture.WantError(t, err, agent.CodeLoginRequired, "prod: this sign-in waited more than 3 minutes", "run: kyc-agentd login prod")
		if took := time.Since(begin); took != answerTimeout {
			t.Errorf("after %s", took)
		}
		<-asked
		<-book

		go func() { <-asked; synctest.Wait(); stop() }() // by then the client waits for the end
		err = c.Recover(t.Context(), agent.RecoverRequest{Environment: "prod"}, waitFor(asked))
		fixture.WantError(t, err, agent.CodeUnavailable, "the agent is stopping")
	})
}

func TestPromptOfAnAgentThatDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dying(t, rawResponse("200 OK", wire.MediaJSON, `{"state":"challenge","id":"x","challenge":{"environment":"prod"}}`), "")
		err := c.Login(t.Context(), agent.LoginRequest{}, waitFor(make(chan struct{}, 1)))
		fixture.WantError(t, err, agent.CodeUnavailable, "the agent on /the/socket hung up")
	})
}

// An older agent does not have the GET.
func TestPromptOfAnAgentThatCannotTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dying(t, rawResponse("200 OK", wire.MediaJSON, `{"state":"challenge","id":"x","challenge":{"environment":"prod"}}`),
			rawResponse("405 Method Not Allowed", wire.MediaProblem, `{"code":"usage","detail":"use POST or DELETE"}`),
			rawResponse("200 OK", wire.MediaJSON, `{"state":"done"}`))
		err := c.Login(t.Context(), agent.LoginRequest{}, func(ctx context.Context, _ agent.Challenge) (agent.Answers, error) {
			synctest.Wait()
			return agent.Answers{}, ctx.Err()
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// dying answers one connection after the other with raws, then no more.
func dying(t *testing.T, raws ...string) *Client {
	t.Helper()
	ln := ipctest.Listen()
	t.Cleanup(func() { _ = ln.Close() })
	next := make(chan string, len(raws))
	for _, raw := range raws {
		next <- raw
	}
	close(next)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			raw := <-next
			go func() {
				defer c.Close()
				_, _ = http.ReadRequest(bufio.NewReader(c))
				_, _ = io.WriteString(c, raw)
			}()
		}
	}()
	return &Client{Socket: "/the/socket", Dial: ln.Dial}
}

// A terminal that is closed kills its programs: the agent notices at once.
func TestWatchOverASocket(t *testing.T) {
	ended := make(chan error, 1)
	path := serveUnix(t, asking(func(err error) { ended <- err }))
	step := exchangeOn(t, fixture.DialUnix(t, path), post("/v1/login", "{}")).step(t)
	watch := fixture.DialUnix(t, path)
	if _, err := io.WriteString(watch, rawRequest("GET", "/v1/login/"+step.ID, "")); err != nil {
		t.Fatal(err)
	}
	_ = watch.Close()
	fixture.WantError(t, <-ended, agent.CodeUnavailable, "the client went away")
}

// The set-up of a second factor is sent to the client and never logged, in any failure.
func TestNoSecondFactorInTheLog(t *testing.T) {
	const secret, key = "JBSWY3DPEHPK3PXP", "sk_live_0123456789"
	ln, logged := serveLogged(t, &Server{Service: &scripted{
		login: func(ctx context.Context, req agent.LoginRequest, ask agent.Prompter) error {
			_, err := ask(ctx, agent.Challenge{Name: "MFA_SETUP", TOTPURL: "otpauth://totp/x?secret=" + secret, TOTPSecret: secret})
			if err != nil {
				return err
			}
			panic("with " + secret + req.APIKey.Reveal())
		},
	}})
	c := &Client{Dial: ln.Dial}
	err := c.Login(t.Context(), agent.LoginRequest{APIKey: agent.NewSecret(key)}, func(_ context.Context, ch agent.Challenge) (agent.Answers, error) {
		if ch.TOTPSecret != secret || !strings.HasSuffix(ch.TOTPURL, secret) {
			t.Errorf("asked %+v", ch)
		}
		return agent.Answers{}, nil
	})
	fixture.WantError(t, err, agent.CodeInternal, "the agent's log")
	ask(t, ln, post("/v1/login", `{"api_key":"`+key+`","x":1}`))
	ask(t, ln, post("/v1/login", `{"api_key":["`+key+`"]}`))
	log := logged()
	if !strings.Contains(log, "panicked") || strings.Count(log, "msg=request") < 3 {
		t.Errorf("the requests are not in the log:\n%s", log)
	}
	if strings.Contains(log+err.Error(), secret) || strings.Contains(log+err.Error(), key) {
		t.Errorf("a secret is in the log:\n%s\nor in %v", log, err)
	}
}
