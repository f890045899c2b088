package ipc

import (
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

const mfaLogin = `{"environment":"prod","username":"` + agenttest.MFAUser + `","password":"` + agenttest.Password + `"}`

const resetPassword = `{"environment":"prod","action":"reset-password","username":"` + agenttest.User + `"}`

func answers(code string) string { return `{"answers":{"code":"` + code + `"}}` }

func TestChallengeFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := agenttest.NewAuthenticator()
		ln := serveMem(t, agenttest.NewAgent(t, p))

		first := ask(t, ln, post("/v1/login", mfaLogin)).step(t)
		if first.State != wire.StateChallenge || first.Challenge.Name != "SOFTWARE_TOKEN_MFA" || len(first.ID) < 26 ||
			!first.ExpiresAt.Equal(time.Now().Add(answerTimeout)) {
			t.Fatalf("first step %+v", first)
		}
		time.Sleep(2 * time.Minute)
		again := ask(t, ln, post("/v1/login/"+first.ID, answers("000000"))).step(t)
		if again.State != wire.StateChallenge || again.ID != first.ID || again.Challenge.Problem != "that code is wrong" ||
			!again.ExpiresAt.Equal(time.Now().Add(answerTimeout)) {
			t.Fatalf("second step %+v", again)
		}
		time.Sleep(2 * time.Minute) // four in all: each question has three minutes
		if a := ask(t, ln, post("/v1/login/"+first.ID, answers(agenttest.MFACode))); a.body != "{\"state\":\"done\"}\n" {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		if a := ask(t, ln, rawRequest("GET", "/v1/token?env=prod", "")); a.StatusCode != http.StatusOK {
			t.Errorf("no token: %s", a.body)
		}
		if a := ask(t, ln, post("/v1/login/"+first.ID, answers(agenttest.MFACode))); a.StatusCode != http.StatusNotFound {
			t.Errorf("an answer too many: %d %s", a.StatusCode, a.body)
		}
	})
}

func TestChallengeExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := agenttest.NewAuthenticator()
		ln := serveMem(t, agenttest.NewAgent(t, p))
		step := ask(t, ln, post("/v1/login", mfaLogin)).step(t)
		time.Sleep(answerTimeout + time.Second)
		for range 2 {
			a := ask(t, ln, post("/v1/login/"+step.ID, answers(agenttest.MFACode)))
			if e := a.problem(t); a.StatusCode != http.StatusUnauthorized || e.Environment != "prod" ||
				!strings.Contains(e.Detail, "3 minutes") || e.Hint != "run: kyc-agentd login prod" {
				t.Fatalf("%d %s", a.StatusCode, a.body)
			}
		}
		if p.Live() != 0 {
			t.Error("signed in all the same")
		}
	})
}

// An answer at the last instant is either accepted or too late, never lost.
func TestAnswerAtTheLastInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := serveMem(t, agenttest.NewAgent(t, agenttest.NewAuthenticator()))
		for range 50 {
			step := ask(t, ln, post("/v1/login", mfaLogin)).step(t)
			time.Sleep(answerTimeout)
			a := ask(t, ln, post("/v1/login/"+step.ID, answers(agenttest.MFACode)))
			if a.StatusCode != http.StatusOK && a.StatusCode != http.StatusUnauthorized {
				t.Fatalf("%d %s", a.StatusCode, a.body)
			}
		}
	})
}

// These two races cannot be timed in a test over the wire.
func TestAnswerMeetsExpiry(t *testing.T) {
	all := newConversations(t.Context(), nil)
	l := &conversation{all: all, id: "x", ctx: t.Context(), asked: make(chan question, 1)}
	all.active["x"] = l
	pending := l.sendQuestion(question{})
	want := agent.Answers{"code": agent.NewSecret("1")}
	if _, err := all.answer("x", want); err != nil {
		t.Fatal(err)
	}
	got, err := l.expire(pending) // the timer fired, but the answer was first
	if err != nil || !got["code"].Equal(want["code"]) || all.active["x"] == nil {
		t.Errorf("%v, %v", got, err)
	}
}

func TestChallengeMeetsDisconnect(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	l := &conversation{ctx: ctx, cancel: cancel, asked: make(chan question, 1)}
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	for range 20 { // select picks one of the two at random
		l.asked <- question{}
		_, err := l.next(gone)
		fixture.WantError(t, err, agent.CodeUnavailable, "the client went away")
		select {
		case <-l.asked:
		default:
		}
	}
	if ctx.Err() == nil {
		t.Error("the sign-in goes on")
	}
}

func TestNoLoginAfterStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := ipctest.Listen()
		stop := serve(t, &Server{Service: &scripted{login: func(context.Context, agent.LoginRequest, agent.Prompter) error {
			t.Error("a sign-in was begun")
			return nil
		}}}, ln)
		c := dial(t, ln)
		raw := post("/v1/login", "{}")
		_, _ = io.WriteString(c, raw[:20])
		synctest.Wait()
		go stop()
		synctest.Wait()
		if p := exchangeOn(t, c, raw[20:]).problem(t); p.Code != agent.CodeUnavailable || p.Detail != "the agent is stopping" {
			t.Errorf("%+v", p)
		}
	})
}

func TestOldExpiriesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := serveMem(t, agenttest.NewAgent(t, agenttest.NewAuthenticator()))
		var ids []string
		for range maxConversations + 1 {
			ids = append(ids, ask(t, ln, post("/v1/login", mfaLogin)).step(t).ID)
			time.Sleep(answerTimeout + time.Second)
		}
		for i, id := range ids {
			want := http.StatusUnauthorized
			if i == 0 {
				want = http.StatusNotFound
			}
			if a := ask(t, ln, post("/v1/login/"+id, answers("1"))); a.StatusCode != want {
				t.Errorf("%d: %d %s", i, a.StatusCode, a.body)
			}
		}
	})
}

func TestCancelLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := agenttest.NewAuthenticator()
		ln := serveMem(t, agenttest.NewAgent(t, p))
		step := ask(t, ln, post("/v1/login", mfaLogin)).step(t)
		if a := ask(t, ln, rawRequest("DELETE", "/v1/login/"+step.ID, "")); a.body != "{\"state\":\"cancelled\"}\n" {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		for _, raw := range []string{post("/v1/login/"+step.ID, answers(agenttest.MFACode)), rawRequest("DELETE", "/v1/login/"+step.ID, "")} {
			if a := ask(t, ln, raw); a.StatusCode != http.StatusNotFound {
				t.Errorf("after the end: %d %s", a.StatusCode, a.body)
			}
		}
		if p.Live() != 0 {
			t.Error("signed in all the same")
		}
	})
}

// A client that disconnects while it waits cancels the sign-in, at the first step and after
// an answer. A client that has its challenge may disconnect and connect again.
func TestDisconnectCancelsLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		ln := serveMem(t, &scripted{login: func(ctx context.Context, req agent.LoginRequest, ask agent.Prompter) error {
			if req.Username == "asked" {
				if _, err := ask(ctx, agent.Challenge{Name: "X"}); err != nil {
					return err
				}
			}
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return ctx.Err()
		}})

		c := dial(t, ln)
		_, _ = io.WriteString(c, post("/v1/login", `{"username":"u"}`))
		synctest.Wait()
		_ = c.Close()
		fixture.WantError(t, <-ended, agent.CodeUnavailable, "the client went away")

		step := ask(t, ln, post("/v1/login", `{"username":"asked"}`)).step(t)
		c = dial(t, ln)
		_, _ = io.WriteString(c, post("/v1/login/"+step.ID, `{"answers":{}}`))
		synctest.Wait()
		if a := ask(t, ln, post("/v1/login/"+step.ID, `{"answers":{}}`)); a.StatusCode != http.StatusBadRequest {
			t.Errorf("a second answer while the first is on its way: %d %s", a.StatusCode, a.body)
		}
		_ = c.Close()
		fixture.WantError(t, <-ended, agent.CodeUnavailable, "the client went away")
	})
}

// asking returns a service that asks one question in every call.
func asking(ended func(error)) *scripted {
	talk := func(ctx context.Context, ask agent.Prompter) error {
		_, err := ask(ctx, agent.Challenge{Environment: "prod", Name: "X"})
		ended(err)
		return err
	}
	return &scripted{
		login:   func(ctx context.Context, _ agent.LoginRequest, ask agent.Prompter) error { return talk(ctx, ask) },
		recover: func(ctx context.Context, _ agent.RecoverRequest, ask agent.Prompter) error { return talk(ctx, ask) },
	}
}

func TestTooManyConversations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := serveMem(t, asking(func(error) {}))
		ids := map[string]bool{}
		for i := range maxConversations {
			ids[ask(t, ln, post([]string{"/v1/login", "/v1/account"}[i%2], "{}")).step(t).ID] = true
		}
		if len(ids) != maxConversations {
			t.Errorf("%d ids for %d conversations", len(ids), maxConversations)
		}
		for _, path := range []string{"/v1/login", "/v1/account"} {
			a := ask(t, ln, post(path, "{}"))
			if p := a.problem(t); a.StatusCode != http.StatusServiceUnavailable || !strings.Contains(p.Detail, "16 sign-ins or recoveries") {
				t.Fatalf("%d %s", a.StatusCode, a.body)
			}
		}
		for id := range ids {
			ask(t, ln, rawRequest("DELETE", "/v1/login/"+id, ""))
			break
		}
		ask(t, ln, post("/v1/login", "{}")).step(t)
	})
}

func TestStopCancelsWaitingLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		ln := ipctest.Listen()
		stop := serve(t, &Server{Service: &scripted{login: func(ctx context.Context, _ agent.LoginRequest, ask agent.Prompter) error {
			_, err := ask(ctx, agent.Challenge{})
			ended <- err
			return err
		}}}, ln)
		ask(t, ln, post("/v1/login", "{}")).step(t)
		begin := time.Now()
		stop()
		fixture.WantError(t, <-ended, agent.CodeUnavailable, "stopping")
		if took := time.Since(begin); took != 0 {
			t.Errorf("stopping waited %s for an answer that cannot come", took)
		}
	})
}

func TestStopLetsLoginInHandFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := ipctest.Listen()
		stop := serve(t, &Server{Service: &scripted{login: func(ctx context.Context, _ agent.LoginRequest, _ agent.Prompter) error {
			time.Sleep(2 * time.Second)
			return ctx.Err()
		}}}, ln)
		c := dial(t, ln)
		_, _ = io.WriteString(c, post("/v1/login", "{}"))
		synctest.Wait()
		go stop()
		if a := readAnswer(t, c); a.body != "{\"state\":\"done\"}\n" {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
}

// A service that ignores its context cannot keep Serve from returning.
func TestStopWithADeafService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		ln := ipctest.Listen()
		stop := serve(t, &Server{Service: &scripted{login: func(context.Context, agent.LoginRequest, agent.Prompter) error {
			<-release
			return nil
		}}}, ln)
		_, _ = io.WriteString(dial(t, ln), post("/v1/login", "{}"))
		synctest.Wait()
		begin := time.Now()
		stop()
		if took := time.Since(begin); took != 2*defaultGrace {
			t.Errorf("took %s", took)
		}
		close(release)
	})
}

func TestFailedLogin(t *testing.T) {
	ln := serveMem(t, failing(&agent.Error{Code: agent.CodeLoginRequired, Environment: "prod", Message: "Invalid username or password", Hint: "run again: kyc-agentd login prod"}))
	if a := ask(t, ln, rawRequest("POST", "/v1/login", `{}`, textPlain)); a.StatusCode != 401 ||
		a.body != "prod: Invalid username or password; run again: kyc-agentd login prod\n" {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
}

// Nothing secret of a sign-in is logged, with debug logging and failures.
func TestNoSecretInTheLog(t *testing.T) {
	ln, logged := serveLogged(t, &Server{Service: agenttest.NewAgent(t, agenttest.NewAuthenticator())})
	c := &Client{Dial: ln.Dial}
	code := "987654"
	tries := 0
	err := c.Login(t.Context(), agent.LoginRequest{Environment: "prod", Username: agenttest.MFAUser, Password: agent.NewSecret(agenttest.Password)},
		func(context.Context, agent.Challenge) (agent.Answers, error) {
			if tries++; tries > 1 {
				return nil, errors.New("given up")
			}
			return agent.Answers{"code": agent.NewSecret(code)}, nil
		})
	fixture.WantError(t, err, agent.CodeInternal, "given up")
	agenttest.Login(t, c, "prod")
	tok, err := c.Token(t.Context(), agent.TokenRequest{Environment: "prod"})
	if err != nil {
		t.Fatal(err)
	}
	step := ask(t, ln, post("/v1/login", mfaLogin)).step(t)
	ask(t, ln, post("/v1/login/"+step.ID, `{"answers":{"code":5}}`))
	ask(t, ln, post("/v1/login/"+step.ID, `{"answers":{"code":"`+code+`"},"x":1}`))
	ask(t, ln, post("/v1/login", `{"password":"`+agenttest.Password+`"`))
	ask(t, ln, rawRequest("PUT", "/v1/login/"+step.ID, ""))
	ask(t, ln, rawRequest("GET", "/v1/token/"+agenttest.Password[:5], ""))
	log := logged()
	if strings.Count(log, "msg=request") < 8 {
		t.Errorf("the requests are not in the log:\n%s", log)
	}
	for name, secret := range map[string]string{
		"password": agenttest.Password, "code": code, "ID token": tok.IDToken.Reveal(), "login id": step.ID,
	} {
		if strings.Contains(log, secret) {
			t.Errorf("the %s is in the log:\n%s", name, log)
		}
	}
}
