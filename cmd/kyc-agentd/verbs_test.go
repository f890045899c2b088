package main

import (
	"context"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal/terminaltest"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// everywhere is the status of an agent with sign-ins of each kind.
func everywhere() agent.Status {
	st := anaAtProd()
	st.Environments = append(st.Environments,
		agent.EnvironmentStatus{Name: "uat", State: agent.StateUnknown}, // the store was not read yet: there may be one
		agent.EnvironmentStatus{Name: "uat2", State: agent.StateFresh, APIKey: true})
	return st
}

func TestLogoutAllAsks(t *testing.T) {
	var ended []string
	d := &scriptedAgent{status: everywhere(), logout: func(req agent.LogoutRequest) error {
		ended = append(ended, req.Environment+string(req.Scope))
		return nil
	}}
	vars := at(t, d)
	p := terminaltest.New(t)
	end := session{vars: vars, tty: p.TTY}.begin(t.Context(), "logout", "--all")
	p.Answers(terminaltest.Answer{"End the sign-ins of prod, uat, uat2? [yes/no] ", "no"})
	end().want(t, exitTemporary, "cancelled; no sign-in was ended")
	if ended != nil {
		t.Fatalf("%q", ended)
	}
	p = terminaltest.New(t)
	end = session{vars: vars, tty: p.TTY}.begin(t.Context(), "logout", "--all", "--local")
	p.Answers(terminaltest.Answer{"End the sign-ins of prod, uat, uat2? [yes/no] ", "yes"})
	if got := end(); got.exit != exitOK || strings.Count(got.errOut, ": signed out here; Cognito was not asked\n") != 3 {
		t.Errorf("%+v", got)
	}
	if !slices.Equal(ended, []string{"prodlocal", "uatlocal", "uat2local"}) {
		t.Errorf("%q", ended)
	}
}

// One environment that cannot be signed out of does not keep the others signed in.
func TestLogoutAllGoesOn(t *testing.T) {
	var ended []string
	d := &scriptedAgent{status: everywhere(), logout: func(req agent.LogoutRequest) error {
		if req.Environment != "uat" {
			return &agent.Error{Code: agent.CodeUnavailable, Environment: req.Environment, Message: "the store is away"}
		}
		ended = append(ended, req.Environment)
		return nil
	}}
	got := session{vars: at(t, d)}.run(t, "logout", "--all", "--yes")
	for _, line := range []string{"prod: the store is away\n", "uat: signed out\n", "uat2: the store is away\n"} {
		if !strings.Contains(got.errOut, "kyc-agentd: "+line) {
			t.Errorf("no %q in %+v", line, got)
		}
	}
	if got.exit != exitTemporary || !slices.Equal(ended, []string{"uat"}) {
		t.Errorf("%+v %q", got, ended)
	}
}

// A lines has the lines that were written, as they come.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// Where stdout is no terminal, a watched status is written when it changes, and Ctrl-C ends it.
func TestStatusWatch(t *testing.T) {
	vars, a := newSocket(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, errOut := make(lines, 100), make(lines, 100)
	c := &cli{io: stdio{in: strings.NewReader(""), out: out, err: errOut}, vars: vars, watchEvery: time.Millisecond, harden: func() error { return nil }}
	done := make(chan int, 1)
	go func() { done <- c.run(ctx, []string{"status", "-w", "prod"}) }()
	if text := <-out; !strings.Contains(text, "\nprod  ") || strings.Contains(text, "staging") || !strings.Contains(text, "absent") || strings.Contains(text, "\x1b") {
		t.Errorf("%q", text)
	}
	agenttest.Login(t, a, "prod")
	for text := range out {
		if !strings.HasPrefix(text, "\n") {
			t.Errorf("%q", text)
		}
		if strings.Contains(text, "fresh") {
			break
		}
	}
	cancel()
	if exit := <-done; exit != exitOK || len(errOut) > 0 {
		t.Errorf("exit %d, %d lines on stderr", exit, len(errOut))
	}
}

func TestStatusWatchWithoutAgent(t *testing.T) {
	path := filepath.Join(testsocket.ShortDir(t), "agent.sock")
	if got := (session{}).run(t, "status", "--watch", "--socket", path); got.exit != exitNoAgent || got.out != "" {
		t.Errorf("%+v", got)
	}
}

// An agent of a release without claims still knows who is signed in.
func TestWhoamiOfAnOlderAgent(t *testing.T) {
	signedIn := true
	path := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/v1/status":
			_, _ = w.Write([]byte(`{"version":"v0.1.0","default_environment":"prod","environments":[{"name":"prod","state":"fresh","user":"ana","subject":"7d1f"}]}`))
		case r.URL.Query().Get("format") == "claims":
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"code":"usage","detail":"unknown format \"claims\"; known: token, header"}`))
		case signedIn:
			_, _ = w.Write([]byte(`{"token":"an.id.token","token_type":"Bearer","environment":"prod","expires_at":"","expires_in":"","api_url":""}`))
		default:
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"code":"login_required","detail":"not signed in","environment":"prod","hint":"run: kyc-agentd login prod"}`))
		}
	})
	const warning = "kyc-agentd: warning: the daemon is v0.1.0, which does not tell the claims; run: systemctl --user restart kyc-agentd.service\n"
	if got := (session{}).run(t, "whoami", "--socket", path); got.exit != exitOK || got.errOut != warning || !strings.Contains(got.out, "user          ana\nsub           7d1f\n") {
		t.Errorf("%+v", got)
	}
	if got := (session{}).run(t, "list", "-q", "--socket", path); got.exit != exitOK || got.out != "prod\n" {
		t.Errorf("%+v", got)
	}
	signedIn = false
	session{}.run(t, "whoami", "--socket", path).want(t, exitDenied, "prod: not signed in; run: kyc-agentd login prod")
	session{}.run(t, "wait", "--for", "0", "--socket", path).want(t, exitDenied, "prod: not signed in; run: kyc-agentd login prod")
}

// serveHTTP answers on a socket as no agent of this version does, and returns its path.
func serveHTTP(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	path := filepath.Join(testsocket.ShortDir(t), "agent.sock")
	ln, err := socket.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: answer}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close() })
	return path
}

// A waitingAgent has a token when it was asked often enough.
type waitingAgent struct {
	scriptedAgent
	asked atomic.Int32
	first error
	after int32
	// called gets something when it is asked; nil if nobody waits for that.
	called chan struct{}
}

func (w *waitingAgent) Token(context.Context, agent.TokenRequest) (agent.Token, error) {
	select {
	case w.called <- struct{}{}:
	default:
	}
	if w.asked.Add(1) <= w.after {
		return agent.Token{}, w.first
	}
	return agent.Token{Environment: "prod", IDToken: agent.NewSecret("an.id.token"), ExpiresAt: time.Now().Add(time.Hour)}, nil
}

func TestWait(t *testing.T) {
	fail := func(code agent.Code) error { return &agent.Error{Code: code, Environment: "prod", Message: "not now"} }
	tests := []struct {
		first error
		args  string
		exit  int
		line  string
		asked int32
	}{
		{fail(agent.CodeLoginRequired), "", exitOK, "prod: a token is there", 2},
		{fail(agent.CodeLocked), "", exitOK, "prod: a token is there", 2},
		{fail(agent.CodeUnavailable), "", exitOK, "prod: a token is there", 2},
		{fail(agent.CodeThrottled), "", exitOK, "prod: a token is there", 2},
		{fail(agent.CodeThrottled), "--for 0", exitTemporary, "prod: not now", 1},
		{fail(agent.CodeLoginRequired), "--for=1ms", exitDenied, "prod: not now", 1},
		{fail(agent.CodeDenied), "", exitDenied, "prod: not now", 1},
		{fail(agent.CodeConfiguration), "", exitConfiguration, "prod: not now", 1},
		{fail(agent.CodeUnknownEnvironment), "", exitConfiguration, "prod: not now", 1},
		{fail(agent.CodeInternal), "", exitInternal, "prod: not now", 1},
	}
	for _, tt := range tests {
		w := &waitingAgent{first: tt.first, after: 1}
		if tt.exit != exitOK {
			w.after = 1 << 30
		}
		path := serveOn(t, w, nil)
		session{}.run(t, append([]string{"wait", "--socket", path, "prod"}, strings.Fields(tt.args)...)...).want(t, tt.exit, tt.line)
		if got := w.asked.Load(); got != tt.asked && tt.args != "--for=1ms" {
			t.Errorf("%v: asked %d times", tt.first, got)
		}
	}
}

func TestWaitIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w := &waitingAgent{called: make(chan struct{}, 1), first: &agent.Error{Code: agent.CodeLoginRequired, Message: "not now"}, after: 1 << 30}
	path := serveOn(t, w, nil)
	end := session{}.begin(ctx, "wait", "--socket", path)
	<-w.called
	cancel()
	if got := end(); got.exit != exitCode(terminal.ErrCancelled) || got.out != "" {
		t.Errorf("%+v", got)
	}
}

// The agent starts while somebody waits for it.
func TestWaitForTheAgent(t *testing.T) {
	path := filepath.Join(testsocket.ShortDir(t), "agent.sock")
	if got := (session{}).run(t, "wait", "--for", "0", "--socket", path); got.exit != exitNoAgent {
		t.Errorf("%+v", got)
	}
	end := session{}.begin(t.Context(), "wait", "--socket", path)
	serveAt(t, path, &ipc.Server{Service: &waitingAgent{}})
	end().want(t, exitOK, "prod: a token is there")
}
