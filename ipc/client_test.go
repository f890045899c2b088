package ipc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
	"github.com/legaltalent/kyc-agent/ipc/ipctest"
)

func TestService(t *testing.T) {
	agenttest.TestService(t, func(t *testing.T, p *agenttest.Authenticator) agent.Service {
		return &Client{Socket: serveUnix(t, agenttest.NewAgent(t, p))}
	})
}

func TestServiceInMemory(t *testing.T) {
	agenttest.TestService(t, func(t *testing.T, p *agenttest.Authenticator) agent.Service {
		return &Client{Dial: serveMem(t, agenttest.NewAgent(t, p)).Dial}
	})
}

func TestZeroClientFindsTheSocket(t *testing.T) {
	path := serveUnix(t, &scripted{})
	t.Setenv("KYC_AGENT_SOCK", "")
	t.Setenv("XDG_RUNTIME_DIR", filepath.Dir(filepath.Dir(path)))
	if _, err := new(Client).Token(t.Context(), agent.TokenRequest{}); err != nil {
		t.Error(err)
	}
}

// Every error arrives complete, in every call.
func TestErrorsCrossTheWire(t *testing.T) {
	for _, want := range []agent.Error{
		{Code: agent.CodeUsage, Environment: "prod", Message: "no user name"},
		{Code: agent.CodeLoginRequired, Environment: "prod", Message: "not signed in", Hint: "run: kyc-agentd login prod"},
		{Code: agent.CodeDenied, Message: "refused"},
		{Code: agent.CodeUnknownEnvironment, Message: `no environment "é"`, Hint: "known: prod, staging"},
		{Code: agent.CodeConfiguration, Environment: "prod", Message: "no such client"},
		{Code: agent.CodeLocked, Message: "locked", Hint: "unlock it"},
		{Code: agent.CodeThrottled, Message: "Too many requests. Please try again later.", RetryAfter: 1234567891 * time.Nanosecond},
		{Code: agent.CodeInternal, Message: "a bug"},
		{Code: agent.CodeUnavailable, Message: "no network", RetryAfter: 5 * time.Minute},
		{Code: agent.CodeUnavailable, Message: "no network"},
		{Code: "from-the-future", Message: "new"},
	} {
		ln := ipctest.Listen()
		sent := want
		sent.Op, sent.Err = "inner", errors.New("a cause that stays here")
		serve(t, &Server{Service: failing(&sent), Reload: func(context.Context, Passphrase, string) error { return &sent }}, ln)
		c := &Client{Dial: ln.Dial}
		ctx := t.Context()
		_, tokenErr := c.Token(ctx, agent.TokenRequest{Environment: "prod"})
		_, statusErr := c.Status(ctx)
		for op, err := range map[string]error{
			"token": tokenErr, "status": statusErr, "logout": c.Logout(ctx, agent.LogoutRequest{Environment: "prod"}), "reload": c.Reload(ctx),
			"login":   c.Login(ctx, agent.LoginRequest{Environment: "prod"}, nil),
			"recover": c.Recover(ctx, agent.RecoverRequest{Environment: "prod"}, nil),
		} {
			got, ok := errors.AsType[*agent.Error](err)
			if !ok {
				t.Fatalf("%s: %v", op, err)
			}
			want.Op = op
			if *got != want {
				t.Errorf("%s: got %+v\nwant %+v", op, *got, want)
			}
		}
	}
}

func TestNoAgent(t *testing.T) {
	dir := testsocket.ShortDir(t)
	none := filepath.Join(dir, "none.sock")
	stale := fixture.StaleSocket(t, dir)
	closed := ipctest.Listen()
	_ = closed.Close()
	for name, c := range map[string]*Client{"no socket": {Socket: none}, "stale": {Socket: stale}, "no folder": {Socket: dir + "/x/y"}, "dialer": {Socket: stale, Dial: closed.Dial}} {
		_, err := c.Token(t.Context(), agent.TokenRequest{Environment: "prod"})
		fixture.WantError(t, err, agent.CodeUnavailable, "no agent answers on "+c.Socket,
			"run: kyc-agentd serve, or check --socket and KYC_AGENT_SOCK")
		if t.Failed() {
			t.Log(name)
		}
	}
	_, err := (&Client{Socket: "/" + strings.Repeat("x", 120)}).Status(t.Context())
	fixture.WantError(t, err, agent.CodeUsage, "has 121 bytes")
}

// answering sends raw on every connection.
func answering(t *testing.T, raw string) *Client {
	t.Helper()
	ln := ipctest.Listen()
	testsocket.Serve(t, ln, func(c net.Conn) {
		go func() { _, _ = io.Copy(io.Discard, c) }()
		_, _ = io.WriteString(c, raw)
	})
	return &Client{Socket: "/the/socket", Dial: ln.Dial}
}

func rawResponse(status, media, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", status, media, len(body), body)
}

func TestGarbledAnswers(t *testing.T) {
	const malformed = "what answers on /the/socket does not speak like kyc-agentd"
	for name, test := range map[string]struct {
		raw  string
		code agent.Code
		say  string
	}{
		"no HTTP":         {"SSH-2.0-OpenSSH_9.2\r\n", agent.CodeInternal, malformed},
		"binary":          {"\x00\x01\x02\x03\x04\x05\x06\x07", agent.CodeInternal, malformed},
		"HTML":            {rawResponse("200 OK", "text/html", "<html>"), agent.CodeInternal, malformed},
		"HTML error":      {rawResponse("502 Bad Gateway", "text/html", "<html>"), agent.CodeInternal, malformed},
		"redirect":        {"HTTP/1.1 302 Found\r\nLocation: http://evil/\r\nContent-Length: 0\r\n\r\n", agent.CodeInternal, malformed},
		"half JSON":       {rawResponse("200 OK", wire.MediaJSON, `{"token":`), agent.CodeInternal, malformed},
		"empty object":    {rawResponse("200 OK", wire.MediaJSON, `{}`), agent.CodeInternal, malformed},
		"no expiry":       {rawResponse("200 OK", wire.MediaJSON, `{"token":"x"}`), agent.CodeInternal, malformed},
		"no token":        {rawResponse("200 OK", wire.MediaJSON, `{"token":"","expires_at":""}`), agent.CodeInternal, malformed},
		"odd expiry":      {rawResponse("200 OK", wire.MediaJSON, `{"token":"x","expires_at":"soon"}`), agent.CodeInternal, malformed},
		"wrong types":     {rawResponse("200 OK", wire.MediaJSON, `{"token":1,"state":1,"pid":"x"}`), agent.CodeInternal, malformed},
		"half a problem":  {rawResponse("401 Unauthorized", wire.MediaProblem, `{"code":`), agent.CodeInternal, malformed},
		"no code":         {rawResponse("401 Unauthorized", wire.MediaProblem, `{}`), agent.CodeInternal, malformed},
		"large":           {rawResponse("200 OK", wire.MediaJSON, strings.Repeat(" ", maxAnswer+1)), agent.CodeInternal, "the answer on /the/socket is larger than 1024 KiB"},
		"large header":    {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", agent.CodeInternal, malformed},
		"nothing":         {"", agent.CodeUnavailable, "hung up"},
		"half a head":     {"HTTP/1.1 200 OK\r\nContent-Type: a", agent.CodeUnavailable, "hung up"},
		"half a body":     {"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{", agent.CodeUnavailable, "hung up"},
		"text 431":        {rawResponse("431 Request Header Fields Too Large", wire.MediaText, "431 Request Header Fields Too Large"), agent.CodeUsage, "431"},
		"text 403":        {rawResponse("403 Forbidden", wire.MediaText, "this agent belongs to uid 1, you are uid 2\n"), agent.CodeDenied, "belongs to uid 1"},
		"text 503":        {rawResponse("503 Service Unavailable", wire.MediaText, "gone"), agent.CodeUnavailable, "gone"},
		"text 599":        {rawResponse("599 What", wire.MediaText, "odd\x1b[2J"), agent.CodeInternal, "odd?[2J"},
		"long text":       {rawResponse("400 Bad Request", wire.MediaText, strings.Repeat("x", 5000)), agent.CodeUsage, "xxx"},
		"escape in words": {rawResponse("401 Unauthorized", wire.MediaProblem, `{"code":"login_required","detail":"a\u001b[31m\nb"}`), agent.CodeLoginRequired, "a?[31m b"},
	} {
		t.Run(name, func(t *testing.T) {
			c := answering(t, test.raw)
			_, tokenErr := c.Token(t.Context(), agent.TokenRequest{})
			_, statusErr := c.Status(t.Context())
			for op, err := range map[string]error{
				"token": tokenErr, "status": statusErr, "logout": c.Logout(t.Context(), agent.LogoutRequest{Environment: "prod"}),
				"reload": c.Reload(t.Context()), "login": c.Login(t.Context(), agent.LoginRequest{}, nil),
				"recover": c.Recover(t.Context(), agent.RecoverRequest{}, nil),
			} {
				if t.Run(op, func(t *testing.T) { fixture.WantError(t, err, test.code, test.say) }); len(err.Error()) > 400 {
					t.Errorf("a line of %d bytes", len(err.Error()))
				}
			}
		})
	}
}

func TestLoginStepsThatMakeNoSense(t *testing.T) {
	for _, body := range []string{`{"state":"challenge","id":"x"}`, `{"state":"perhaps"}`, `{"state":""}`, `{"state":"cancelled"}`} {
		c := answering(t, rawResponse("200 OK", wire.MediaJSON, body))
		fixture.WantError(t, c.Login(t.Context(), agent.LoginRequest{}, nil), agent.CodeInternal, "does not speak like kyc-agentd")
		fixture.WantError(t, c.Recover(t.Context(), agent.RecoverRequest{}, nil), agent.CodeInternal, "does not speak like kyc-agentd")
	}
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := ipctest.Listen() // a suspended agent: clients can connect, but it does not read
		go func() {
			for {
				if _, err := ln.Accept(); err != nil {
					return
				}
			}
		}()
		defer ln.Close()
		c := &Client{Socket: "/the/socket", Dial: ln.Dial}

		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		begin := time.Now()
		_, err := c.Token(ctx, agent.TokenRequest{Environment: "prod"})
		fixture.WantError(t, err, agent.CodeUnavailable, "prod: the agent on /the/socket did not answer in time")
		if took := time.Since(begin); took != 8*time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v after %s", err, took)
		}

		begin = time.Now()
		_, err = c.Status(t.Context())
		fixture.WantError(t, err, agent.CodeUnavailable, "did not answer in time")
		if took := time.Since(begin); took != quickCall {
			t.Errorf("without a deadline it took %s", took)
		}

		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err = c.Token(ctx, agent.TokenRequest{})
		fixture.WantError(t, err, agent.CodeUnavailable, "cancelled")
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v does not wrap the context's error", err)
		}
	})
}

// After every failure on the person's side, the agent keeps no question.
func TestGivenUp(t *testing.T) {
	gone := errors.New("the terminal is gone")
	for name, test := range map[string]struct {
		ask  func(cancel func()) agent.Prompter
		code agent.Code
		say  string
		is   error
	}{
		"error": {func(func()) agent.Prompter {
			return func(context.Context, agent.Challenge) (agent.Answers, error) { return nil, gone }
		}, agent.CodeInternal, "the terminal is gone", gone},
		"agent error": {func(func()) agent.Prompter {
			return func(context.Context, agent.Challenge) (agent.Answers, error) {
				return nil, &agent.Error{Code: agent.CodeUsage, Message: "no terminal", Err: gone}
			}
		}, agent.CodeUsage, "prod: no terminal", gone},
		"nobody": {func(func()) agent.Prompter { return nil }, agent.CodeUsage, "the challenge X needs a person", nil},
		"not UTF-8": {func(func()) agent.Prompter {
			return func(context.Context, agent.Challenge) (agent.Answers, error) {
				return agent.Answers{"code": agent.NewSecret("\xff")}, nil
			}
		}, agent.CodeUsage, "the answer to code is not UTF-8", nil},
		"cancelled while asked": {func(cancel func()) agent.Prompter {
			return func(ctx context.Context, _ agent.Challenge) (agent.Answers, error) {
				cancel()
				return nil, ctx.Err()
			}
		}, agent.CodeUnavailable, "canceled", context.Canceled},
		"cancelled before the answer is sent": {func(cancel func()) agent.Prompter {
			return func(context.Context, agent.Challenge) (agent.Answers, error) {
				cancel()
				return agent.Answers{"code": agent.NewSecret(agenttest.MFACode)}, nil
			}
		}, agent.CodeUnavailable, "cancelled", context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 1)
			c := &Client{Dial: serveMem(t, asking(func(err error) { ended <- err })).Dial}
			for op, begin := range map[string]func(context.Context, agent.Prompter) error{
				"login": func(ctx context.Context, ask agent.Prompter) error {
					return c.Login(ctx, agent.LoginRequest{Environment: "prod"}, ask)
				},
				"recover": func(ctx context.Context, ask agent.Prompter) error {
					return c.Recover(ctx, agent.RecoverRequest{Environment: "prod"}, ask)
				},
			} {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				err := begin(ctx, test.ask(cancel))
				fixture.WantError(t, err, test.code, test.say)
				if test.is != nil && !errors.Is(err, test.is) {
					t.Errorf("%s: %v does not wrap %v", op, err, test.is)
				}
				if e, _ := errors.AsType[*agent.Error](<-ended); e == nil || e.Op != op || e.Code != agent.CodeUnavailable {
					t.Errorf("%s at the agent: %+v", op, e)
				}
			}
		})
	}
}

func TestLoginCancelledWhileItRuns(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan error, 1)
	path := serveUnix(t, &scripted{login: func(ctx context.Context, _ agent.LoginRequest, _ agent.Prompter) error {
		close(begun)
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return ctx.Err()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	fixture.WantError(t, (&Client{Socket: path}).Login(ctx, agent.LoginRequest{}, nil), agent.CodeUnavailable, "cancelled")
	fixture.WantError(t, <-ended, agent.CodeUnavailable, "the client went away")
}

// awkward are strings that an encoding may spoil.
var awkward = []string{"plain", `q"uo\te`, "<&>\u2028", "pässwörd 🔑", "\x00\x01\n\t", " ", ""}

func TestRequestsCrossTheWireWhole(t *testing.T) {
	var got any
	c := &Client{Dial: serveMem(t, &scripted{
		login: func(_ context.Context, req agent.LoginRequest, _ agent.Prompter) error {
			got = [5]string{req.Environment, req.Username, req.Password.Reveal(), req.APIKey.Reveal()}
			return nil
		},
		recover: func(_ context.Context, req agent.RecoverRequest, _ agent.Prompter) error {
			got = [5]string{req.Environment, req.Username, req.Password.Reveal(), "", string(req.Action)}
			return nil
		},
		logout: func(_ context.Context, req agent.LogoutRequest) error { got = req; return nil },
	}).Dial}
	for _, s := range awkward {
		secret := agent.NewSecret(s)
		err := c.Login(t.Context(), agent.LoginRequest{Environment: "e" + s, Username: s, Password: secret, APIKey: agent.NewSecret("sk_" + s)}, nil)
		if err != nil || got != [5]string{"e" + s, s, s, "sk_" + s} {
			t.Errorf("login with %q: %v, %q", s, err, got)
		}
		for _, action := range []agent.RecoverAction{agent.RecoverReset, agent.RecoverChange, agent.RecoverConfirm, agent.RecoverResend, "explode", ""} {
			err = c.Recover(t.Context(), agent.RecoverRequest{Environment: "e" + s, Action: action, Username: s, Password: secret}, nil)
			if err != nil || got != [5]string{"e" + s, s, s, "", string(action)} {
				t.Errorf("%s with %q: %v, %q", action, s, err, got)
			}
		}
	}
	for _, req := range []agent.LogoutRequest{
		{}, {Environment: "prod"}, {Scope: agent.LogoutLocal}, {Environment: "prod", Scope: agent.LogoutAllDevices}, {Scope: "moon"},
	} {
		if err := c.Logout(t.Context(), req); err != nil || got != req {
			t.Errorf("logout: %v, got %+v, want %+v", err, got, req)
		}
	}
}

// JSON would replace bytes that are not UTF-8 by U+FFFD.
func TestNotUTF8(t *testing.T) {
	c := &Client{Dial: serveMem(t, &scripted{}).Dial}
	bad := agent.NewSecret("secret\xff")
	for say, err := range map[string]error{
		"the password is not UTF-8": c.Login(t.Context(), agent.LoginRequest{Password: bad}, nil),
		"the api key is not UTF-8":  c.Login(t.Context(), agent.LoginRequest{APIKey: bad}, nil),
		"the username is not UTF-8": c.Recover(t.Context(), agent.RecoverRequest{Username: bad.Reveal()}, nil),
	} {
		fixture.WantError(t, err, agent.CodeUsage, say)
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%v tells it", err)
		}
	}
}

// The person sees every field of the agent's challenge.
func TestChallengesCrossTheWireWhole(t *testing.T) {
	want := agent.Challenge{
		Environment: "prod", Name: "MFA_SETUP", Prompt: "Scan <this> & type the code", Problem: "that code is wrong",
		Fields:  []agent.Field{{Name: "code", Label: "Code"}, {Name: "SOFTWARE \"ü\"", Label: "Device", Secret: true}},
		TOTPURL: "otpauth://totp/KYC:ada@example.com?secret=JBSWY3DP&issuer=KYC", TOTPSecret: "JBSWY3DP",
	}
	got := make(chan agent.Answers, 1)
	c := &Client{Dial: serveMem(t, &scripted{login: func(ctx context.Context, _ agent.LoginRequest, ask agent.Prompter) error {
		answers, err := ask(ctx, want)
		got <- answers
		return err
	}}).Dial}
	for _, s := range awkward {
		err := c.Login(t.Context(), agent.LoginRequest{}, func(_ context.Context, ch agent.Challenge) (agent.Answers, error) {
			if !reflect.DeepEqual(ch, want) {
				t.Errorf("got %+v\nwant %+v", ch, want)
			}
			return agent.Answers{ch.Fields[1].Name: agent.NewSecret(s)}, nil
		})
		if answers := <-got; err != nil || len(answers) != 1 || answers[want.Fields[1].Name].Reveal() != s {
			t.Errorf("%q: %v, %d answers", s, err, len(answers))
		}
	}
}

func TestTokensCrossTheWireWhole(t *testing.T) {
	for _, want := range []agent.Token{
		{Environment: "prod", IDToken: agent.NewSecret(fixture.JWT), ExpiresAt: time.Now().Add(time.Hour).UTC().Truncate(time.Second), APIURL: "https://kyc.example.com"},
		{Environment: "prod", IDToken: agent.NewSecret("sk_live_1"), APIURL: "https://kyc.example.com"},
		{Environment: "prod", IDToken: agent.NewSecret("sk_live_1"), Warning: "prod: the sign-in ends in 2d — run: kyc-agentd login prod"},
	} {
		c := &Client{Dial: serveMem(t, &scripted{token: func(context.Context, agent.TokenRequest) (agent.Token, error) { return want, nil }}).Dial}
		got, err := c.Token(t.Context(), agent.TokenRequest{})
		if err != nil || !got.IDToken.Equal(want.IDToken) {
			t.Fatalf("%v", err)
		}
		got.IDToken = want.IDToken
		if got != want {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
	}
}

func TestEndedContextDialsNobody(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := &Client{Dial: func(context.Context) (net.Conn, error) { panic("dialled") }}
	_, err := c.Token(ctx, agent.TokenRequest{})
	fixture.WantError(t, err, agent.CodeUnavailable, "cancelled")
}

// A dialer that gets connected to nobody in particular.
func TestDialErrorIsKept(t *testing.T) {
	cause := errors.New("no route")
	c := &Client{Socket: "/the/socket", Dial: func(context.Context) (net.Conn, error) { return nil, cause }}
	_, err := c.Status(t.Context())
	fixture.WantError(t, err, agent.CodeUnavailable, "no agent answers on /the/socket")
	if !errors.Is(err, cause) {
		t.Errorf("%v does not wrap the dialer's error", err)
	}
}
