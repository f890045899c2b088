package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal/terminaltest"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/memory"
)

const signedIn = "staging: signed in as " + agenttest.User + ", kept in memory, only until the daemon stops"

// newSocket is an agent over a scripted provider, on a socket.
func newSocket(t *testing.T, change ...func(*agent.Options)) (vars config.Environ, a *agent.Agent) {
	t.Helper()
	a = agenttest.NewAgent(t, agenttest.NewAuthenticator(), change...)
	return config.Environ{"KYC_AGENT_SOCK=" + serveOn(t, a, nil)}, a
}

// firstLine is the line that begins an outcome's stderr, without the program's name.
func (o outcome) firstLine() string {
	line, _, _ := strings.Cut(o.errOut, "\n")
	return strings.TrimPrefix(line, "kyc-agentd: ")
}

// begin runs the program in the background.
func (s session) begin(ctx context.Context, args ...string) (end func() outcome) {
	done := make(chan outcome, 1)
	go func() { done <- s.runContext(ctx, args...) }()
	return func() outcome { return <-done }
}

func TestLoginAsks(t *testing.T) {
	vars, a := newSocket(t)
	p := terminaltest.New(t)
	end := session{vars: vars, tty: p.TTY}.begin(t.Context(), "login")
	p.Sees("Which user? ")
	p.Types(agenttest.User + "\n")
	p.Sees("Password for " + agenttest.User + " at staging? ")
	p.Types(agenttest.Password + "\n")
	got := end()
	if got.exit != exitOK || got.out != "" || got.firstLine() != signedIn {
		t.Errorf("%+v", got)
	}
	if strings.Contains(p.Seen()+got.errOut, agenttest.Password) {
		t.Errorf("the password is shown: %q %q", p.Seen(), got.errOut)
	}
	if _, err := a.Token(t.Context(), agent.TokenRequest{}); err != nil {
		t.Error(err)
	}
}

func TestLoginAnswersAChallenge(t *testing.T) {
	vars, _ := newSocket(t)
	p := terminaltest.New(t)
	end := session{vars: vars, tty: p.TTY}.begin(t.Context(), "login", "prod", "-u", agenttest.MFAUser)
	p.Sees("at prod? ")
	p.Types(agenttest.Password + "\n")
	p.Sees("? ")
	p.Types(agenttest.MFACode + "\n")
	if got := end(); got.exit != exitOK || !strings.HasPrefix(got.firstLine(), "prod: signed in as "+agenttest.MFAUser) {
		t.Errorf("%+v", got)
	}
}

func TestLoginOffersTheLastUser(t *testing.T) {
	vars, a := newSocket(t)
	agenttest.Login(t, a, "staging")
	p := terminaltest.New(t)
	end := session{vars: append(vars, "KYC_ENV=staging"), tty: p.TTY}.begin(t.Context(), "login")
	p.Sees("Which user? [" + agenttest.User + "] ")
	p.Types("\n")
	p.Sees("Password for " + agenttest.User + " at staging? ")
	p.Types(agenttest.Password + "\n")
	if got := end(); got.exit != exitOK {
		t.Errorf("%+v", got)
	}
}

// Ctrl-C at any prompt ends the sign-in, and the person's shell echoes again.
func TestLoginCancelled(t *testing.T) {
	at := map[string][]string{
		"Which user? ":       nil,
		"at staging? ":       {"Which user? "},
		"What is the code? ": {"Which user? ", "at staging? "},
	}
	answers := map[string]string{"Which user? ": agenttest.MFAUser + "\n", "at staging? ": agenttest.Password + "\n"}
	for prompt, before := range at {
		t.Run(prompt, func(t *testing.T) {
			vars, _ := newSocket(t)
			p := terminaltest.New(t)
			ctx, cancel := context.WithCancel(t.Context())
			end := session{vars: vars, tty: p.TTY}.begin(ctx, "login")
			for _, earlier := range before {
				p.Sees(earlier)
				p.Types(answers[earlier])
			}
			p.Sees(prompt)
			cancel()
			end().want(t, exitTemporary, cancelledLine(prompt))
		})
	}
}

func cancelledLine(prompt string) string {
	if prompt == "What is the code? " { // the client adds the environment to what a Prompter says
		return "staging: cancelled"
	}
	return "cancelled"
}

func TestLoginFromStandardInput(t *testing.T) {
	tests := []struct {
		name, stdin string
		exit        int
		line        string
	}{
		{"a line", agenttest.Password + "\n", exitOK, signedIn},
		{"no end of line", agenttest.Password, exitOK, signedIn},
		{"CRLF", agenttest.Password + "\r\n", exitOK, signedIn},
		{"only the first line", agenttest.Password + "\nhunter2\n", exitOK, signedIn},
		{"nothing", "", exitUsage, "the password on standard input is empty"},
		{"an empty line", "\n" + agenttest.Password, exitUsage, "the password on standard input is empty"},
		{"too long", strings.Repeat("x", config.MaxLine+1), exitUsage, "standard input: the answer is longer than 4096 bytes"},
		{"not UTF-8", "\xff\n", exitUsage, "standard input is not UTF-8 (perhaps Latin-1); pass it through: iconv -f ISO-8859-1 -t UTF-8"},
		{"a byte order mark", "\ufeff" + agenttest.Password, exitUsage, "standard input begins with a byte order mark (U+FEFF); pass it through: tail -c +4"},
		{"UTF-16 of Windows", "\xff\xfex\x00\r\x00\n\x00", exitUsage, "standard input is UTF-16; pass it through: iconv -f UTF-16 -t UTF-8"},
		{"UTF-16 without a mark", "x\x00\n\x00", exitUsage, "standard input has NUL bytes in it, as UTF-16 has; pass it through: iconv -f UTF-16LE -t UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			vars, _ := newSocket(t)
			got := session{vars: vars, stdin: tt.stdin}.run(t, "login", "-u", agenttest.User, "--password-stdin")
			if got.exit != tt.exit || got.firstLine() != tt.line {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestLoginUsage(t *testing.T) {
	vars, _ := newSocket(t)
	tests := []struct {
		args string
		exit int
		line string
	}{
		{"login", exitUsage, "no terminal to ask for the password; run: kyc-agentd login -u USER --password-stdin staging < FILE"},
		{"login -u ana prod", exitUsage, "no terminal to ask for the password; run: kyc-agentd login -u USER --password-stdin prod < FILE"},
		{"login --password-stdin", exitUsage, "--password-stdin needs the user's name; add -u USER"},
		{"login dev -u ana --password-stdin", exitConfiguration, `unknown environment "dev"; configured are: prod, staging`},
		{"logout dev", exitConfiguration, `unknown environment "dev"; configured are: prod, staging`},
	}
	for _, tt := range tests {
		session{vars: vars, stdin: "hunter2"}.run(t, strings.Fields(tt.args)...).want(t, tt.exit, tt.line)
	}
}

// A challenge cannot be answered where there is nobody to ask.
func TestLoginFromStandardInputMeetsAChallenge(t *testing.T) {
	vars, _ := newSocket(t)
	got := session{vars: vars, stdin: agenttest.Password}.run(t, "login", "-u", agenttest.MFAUser, "--password-stdin")
	if got.exit != exitUsage || !strings.HasPrefix(got.firstLine(), "staging: Cognito asks ") || !strings.HasSuffix(got.firstLine(), "run it at a terminal") {
		t.Errorf("%+v", got)
	}
}

// A person is told that it is Cognito that takes long, at the start and after an answer.
func TestLoginThatTakesLong(t *testing.T) {
	said := make(chan struct{})
	var code agent.Answers
	vars := at(t, &scriptedAgent{login: func(ctx context.Context, _ agent.LoginRequest, ask agent.Prompter) error {
		<-said
		challenge := agent.Challenge{Environment: "prod", Name: "SMS_MFA", Prompt: "Code", Fields: []agent.Field{{Name: "code", Label: "Code"}}}
		err := asking(challenge, &code)(ctx, ask)
		<-said
		return err
	}})
	p := terminaltest.New(t)
	end := session{vars: vars, tty: p.TTY, stdin: "hunter2", slow: time.Millisecond}.begin(t.Context(), "login", "-u", "ana", "--password-stdin")
	const line = "Cognito has not answered yet; Ctrl-C cancels (0s)\x1b[K"
	p.Sees(line)
	said <- struct{}{}
	p.Sees("\r\x1b[K\rWhat is the code? ") // and the line is gone
	p.Types("123456\n")
	p.Sees(line)
	said <- struct{}{}
	if got := end(); got.exit != exitOK || strings.Contains(got.errOut, "not answered") {
		t.Errorf("%+v", got)
	}
}

func TestLoginAtAnEmptyPrompt(t *testing.T) {
	vars, _ := newSocket(t)
	p := terminaltest.New(t)
	p.Types("\n")
	session{vars: vars, tty: p.TTY}.run(t, "login").want(t, exitUsage, "the user's name is empty")
	p = terminaltest.New(t)
	p.Types("ana\n\n")
	session{vars: vars, tty: p.TTY}.run(t, "login").want(t, exitUsage, "staging: a sign-in needs a user name and a password")
}

// challenger asks what it is told to, and wants to be told "yes" twice.
type challenger struct{ agent.Service }

func (c challenger) Login(ctx context.Context, req agent.LoginRequest, ask agent.Prompter) error {
	ch := agent.Challenge{Environment: req.Environment, Name: "NEW_PASSWORD_REQUIRED", Prompt: "A new password is needed", Fields: []agent.Field{
		{Name: "NEW_PASSWORD", Label: "New password", Secret: true}, {Name: "name", Label: "Your name"},
	}}
	answers, err := ask(ctx, ch)
	if err != nil {
		return err
	}
	if answers["NEW_PASSWORD"].Reveal() != "short" || answers["name"].Reveal() != "Ana" {
		return errors.New("not what was typed")
	}
	ch.Problem = "the password is too short"
	if answers, err = ask(ctx, ch); err != nil {
		return err
	}
	if answers["NEW_PASSWORD"].Reveal() != "long enough" {
		return errors.New("not what was typed")
	}
	return &agent.Error{Code: agent.CodeDenied, Message: "all is well"}
}

func TestLoginShowsPromptInputsAndProblem(t *testing.T) {
	_, a := newSocket(t)
	p := terminaltest.New(t)
	vars := config.Environ{"KYC_AGENT_SOCK=" + serveOn(t, challenger{a}, nil)}
	end := session{vars: vars, tty: p.TTY}.begin(t.Context(), "login", "-u", "ana")
	p.Sees("? ")
	p.Types("x\n")
	p.Sees("A new password is needed\r\nNew password? ")
	p.Types("short\n")
	p.Sees("Your name? ")
	p.Types("Ana\n")
	p.Sees("the password is too short\r\nA new password is needed\r\nNew password? ")
	p.Types("long enough\n")
	p.Sees("Your name? ")
	p.Types("Ana\n")
	end().want(t, exitDenied, "all is well")
	if shown := p.Seen(); strings.Contains(shown, "New password? short") || strings.Contains(shown, "long enough") || !strings.Contains(shown, "Ana") {
		t.Errorf("%q", shown)
	}
}

// fullStore takes nothing.
type fullStore struct{ *memory.Store }

func (fullStore) Put(context.Context, string, []byte) error {
	return errors.New("no space left on device")
}

func (fullStore) Describe() store.Info {
	return store.Info{Kind: "file", Detail: "/state", Lasting: true, Advice: "make room"}
}

func TestLoginWarnsWhenTheSignInIsNotSaved(t *testing.T) {
	vars, _ := newSocket(t, func(o *agent.Options) { o.Store = fullStore{memory.New()} })
	got := session{vars: vars, stdin: agenttest.Password}.run(t, "login", "-u", agenttest.User, "--password-stdin")
	lines := strings.Split(got.errOut, "\n")
	if got.exit != exitOK || len(lines) != 4 {
		t.Fatalf("%+v", got)
	}
	if lines[0] != "kyc-agentd: staging: signed in as "+agenttest.User+", kept in files (/state)" ||
		!strings.HasPrefix(lines[1], "kyc-agentd: staging: warning: the sign-in could not be saved and ends with the daemon: ") ||
		lines[2] != "kyc-agentd: make room" {
		t.Errorf("%q", lines)
	}
}

func TestLoginRefused(t *testing.T) {
	vars, _ := newSocket(t)
	got := session{vars: vars, stdin: "hunter2"}.run(t, "login", "-u", agenttest.User, "--password-stdin")
	if got.exit != exitDenied || strings.Contains(got.errOut, "hunter2") || strings.Count(got.errOut, "\n") != 1 {
		t.Errorf("%+v", got)
	}
}

func TestLogout(t *testing.T) {
	vars, a := newSocket(t)
	agenttest.Login(t, a, "prod")
	agenttest.Login(t, a, "staging")
	session{vars: vars}.run(t, "logout", "prod").want(t, exitOK, "prod: signed out")
	if _, err := a.Token(t.Context(), agent.TokenRequest{Environment: "prod"}); agent.CodeOf(err) != agent.CodeLoginRequired {
		t.Error(err)
	}
	if _, err := a.Token(t.Context(), agent.TokenRequest{Environment: "staging"}); err != nil {
		t.Error(err)
	}
	session{vars: vars}.run(t, "logout").want(t, exitOK, "staging: signed out")
}

// A secret that comes when nobody waits for it any more is nobody's. (The race detector
// looks at how.)
func TestFirstLineCancelled(t *testing.T) {
	for range 100 {
		r, w := io.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			cancel()
			_, _ = io.WriteString(w, "secret\n")
		}()
		if line, err := firstLine(ctx, r); err != terminal.ErrCancelled && (line != "secret\n" || err != nil) || err == terminal.ErrCancelled && line != "" {
			t.Errorf("%q, %v", line, err)
		}
		_ = r.Close()
	}
}
