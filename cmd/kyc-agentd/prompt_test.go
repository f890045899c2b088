package main

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal/terminaltest"
	"github.com/legaltalent/kyc-agent/store"
)

// A scriptedAgent is an agent.Service that a test writes the lines of. What is left out
// succeeds and asks nothing.
type scriptedAgent struct {
	status  agent.Status
	login   func(ctx context.Context, req agent.LoginRequest, ask agent.Prompter) error
	recover func(ctx context.Context, req agent.RecoverRequest, ask agent.Prompter) error
	logout  func(req agent.LogoutRequest) error
}

func (d *scriptedAgent) Token(context.Context, agent.TokenRequest) (agent.Token, error) {
	return agent.Token{}, &agent.Error{Code: agent.CodeInternal, Message: "no verb asks for a token"}
}

func (d *scriptedAgent) AWSCredentials(context.Context, agent.TokenRequest) (agent.AWSCredentials, error) {
	return agent.AWSCredentials{}, &agent.Error{Code: agent.CodeInternal, Message: "no verb asks for AWS credentials"}
}

func (d *scriptedAgent) Login(ctx context.Context, req agent.LoginRequest, ask agent.Prompter) error {
	if d.login == nil {
		return nil
	}
	return d.login(ctx, req, ask)
}

func (d *scriptedAgent) Recover(ctx context.Context, req agent.RecoverRequest, ask agent.Prompter) error {
	if d.recover == nil {
		return nil
	}
	return d.recover(ctx, req, ask)
}

func (d *scriptedAgent) Logout(_ context.Context, req agent.LogoutRequest) error {
	if d.logout == nil {
		return nil
	}
	return d.logout(req)
}

func (d *scriptedAgent) Status(context.Context) (agent.Status, error) { return d.status, nil }

// anaAtProd is the status of an agent at which ana is signed in to prod.
func anaAtProd() agent.Status {
	return agent.Status{
		DefaultEnvironment: "prod", Store: store.Info{Kind: "keyring", Lasting: true},
		Environments: []agent.EnvironmentStatus{
			{Name: "prod", State: agent.StateFresh, User: "ana"},
			{Name: "staging", State: agent.StateAbsent},
		},
	}
}

// at serves d and returns the environment of its client, in a locale with UTF-8.
func at(t *testing.T, d *scriptedAgent) config.Environ {
	t.Helper()
	if d.status.Environments == nil {
		d.status = anaAtProd()
	}
	return config.Environ{"KYC_AGENT_SOCK=" + serveOn(t, d, nil), "LANG=C.UTF-8", "TERM=xterm"}
}

// asking is a Recover or Login that puts one challenge and keeps the answers.
func asking(c agent.Challenge, got *agent.Answers) func(ctx context.Context, ask agent.Prompter) error {
	return func(ctx context.Context, ask agent.Prompter) (err error) {
		*got, err = ask(ctx, c)
		return err
	}
}

func wantAnswers(t *testing.T, got agent.Answers, want map[string]string) {
	t.Helper()
	plain := map[string]string{}
	for name, s := range got {
		plain[name] = s.Reveal()
	}
	names := func(m map[string]string) (list []string) {
		for name, v := range m {
			list = append(list, name+"="+v)
		}
		slices.Sort(list)
		return list
	}
	if !slices.Equal(names(plain), names(want)) {
		t.Errorf("the agent got %q, want %q", names(plain), names(want))
	}
}

var resetChallenge = agent.Challenge{
	Environment: "prod", Name: "RESET", Prompt: "Code sent by e-mail (a***@e***)",
	Fields: []agent.Field{{Name: "code", Label: "Code"}, {Name: "new_password", Label: "New password", Secret: true}},
}

func TestPasswordReset(t *testing.T) {
	var req agent.RecoverRequest
	var got agent.Answers
	vars := at(t, &scriptedAgent{recover: func(ctx context.Context, r agent.RecoverRequest, ask agent.Prompter) error {
		req = r
		return asking(resetChallenge, &got)(ctx, ask)
	}})
	p := terminaltest.New(t)
	end := session{vars: vars, tty: p.TTY}.begin(t.Context(), "password", "reset")
	p.Answers(
		terminaltest.Answer{"Which user? [ana] ", ""},
		terminaltest.Answer{"Code sent by e-mail (a***@e***)\r\nWhat is the code? ", "123456"},
		terminaltest.Answer{"New password? ", "Brand-new-8"},
		terminaltest.Answer{"New password, again? ", "Brand-new-9"},
		terminaltest.Answer{"the two are not the same; once more\r\nNew password? ", ""},
		terminaltest.Answer{"nothing was typed; Ctrl-C gives up\r\nNew password? ", "Brand-new-8"},
		terminaltest.Answer{"New password, again? ", "Brand-new-8"},
	)
	end().want(t, exitOK, "prod: password set; next, run: kyc-agentd login prod")
	wantAnswers(t, got, map[string]string{"code": "123456", "new_password": "Brand-new-8"})
	if req != (agent.RecoverRequest{Environment: "prod", Action: agent.RecoverReset, Username: "ana"}) {
		t.Errorf("%+v", req)
	}
	p.SawNone("Brand-new-8", "Brand-new-9")
}

func TestPasswordChange(t *testing.T) {
	var req agent.RecoverRequest
	var got agent.Answers
	c := agent.Challenge{Environment: "staging", Name: "CHANGE", Prompt: "New password", Fields: []agent.Field{{Name: "new_password", Label: "New password", Secret: true}}}
	vars := at(t, &scriptedAgent{recover: func(ctx context.Context, r agent.RecoverRequest, ask agent.Prompter) error {
		req = r
		return asking(c, &got)(ctx, ask)
	}})
	p := terminaltest.New(t)
	end := session{vars: vars, tty: p.TTY}.begin(t.Context(), "password", "change", "-u", "bob", "staging")
	p.Answers(
		terminaltest.Answer{"Current password for bob at staging? ", "Correct-horse-7"},
		terminaltest.Answer{"New password? ", "Brand-new-8"},
		terminaltest.Answer{"New password, again? ", "Brand-new-8"},
	)
	end().want(t, exitOK, "staging: password changed")
	wantAnswers(t, got, map[string]string{"new_password": "Brand-new-8"})
	if req.Action != agent.RecoverChange || req.Username != "bob" || req.Password.Reveal() != "Correct-horse-7" || req.Environment != "staging" {
		t.Errorf("%+v", req)
	}
	p.SawNone("Brand-new-8", "Correct-horse-7")
}

// A challenge may ask for the repetition itself; the person is still asked twice only.
func TestNewPasswordIsTypedTwice(t *testing.T) {
	var got agent.Answers
	c := agent.Challenge{Environment: "prod", Name: "NEW_PASSWORD_REQUIRED", Prompt: "A new password is needed", Fields: []agent.Field{
		{Name: "new_password", Label: "New password", Secret: true}, {Name: "new_password_again", Label: "New password again", Secret: true},
		{Name: "userAttributes.name", Label: "name"},
	}}
	vars := at(t, &scriptedAgent{login: func(ctx context.Context, _ agent.LoginRequest, ask agent.Prompter) error {
		return asking(c, &got)(ctx, ask)
	}})
	p := terminaltest.New(t)
	end := session{vars: vars, tty: p.TTY}.begin(t.Context(), "login", "-u", "ana")
	p.Answers(
		terminaltest.Answer{"at prod? ", "Temporary-1"}, terminaltest.Answer{"New password? ", "Brand-new-8"}, terminaltest.Answer{"New password, again? ", "Brand-new-8"}, terminaltest.Answer{"What is your name? ", "Ana"},
	)
	end().want(t, exitOK, "prod: signed in as ana, kept in the keyring")
	wantAnswers(t, got, map[string]string{"new_password": "Brand-new-8", "new_password_again": "Brand-new-8", "userAttributes.name": "Ana"})
}

func TestPasswordChangeFromNothing(t *testing.T) {
	vars := at(t, &scriptedAgent{recover: func(context.Context, agent.RecoverRequest, agent.Prompter) error { panic("called") }})
	p := terminaltest.New(t)
	p.Types("\n")
	session{vars: vars, tty: p.TTY}.run(t, "password", "change", "-u", "ana").want(t, exitUsage, "the password is empty")
}

// Whether there is a way without a password is for the agent to say.
func TestLoginWithoutAPassword(t *testing.T) {
	var req agent.LoginRequest
	var got agent.Answers
	c := agent.Challenge{Environment: "prod", Name: "SELECT_CHALLENGE", Prompt: "Choose: 1 = password, 2 = code by e-mail", Fields: []agent.Field{{Name: "choice", Label: "Number or name"}}}
	vars := at(t, &scriptedAgent{login: func(ctx context.Context, r agent.LoginRequest, ask agent.Prompter) error {
		req = r
		return asking(c, &got)(ctx, ask)
	}})
	p := terminaltest.New(t)
	end := session{vars: vars, tty: p.TTY}.begin(t.Context(), "login", "-u", "ana")
	p.Answers(terminaltest.Answer{"at prod? ", ""}, terminaltest.Answer{"Choose: 1 = password, 2 = code by e-mail\r\nWhich of these? ", "2"})
	end().want(t, exitOK, "prod: signed in as ana, kept in the keyring")
	wantAnswers(t, got, map[string]string{"choice": "2"})
	if req.Username != "ana" || !req.Password.IsZero() {
		t.Errorf("%+v", req)
	}
}

func TestConfirm(t *testing.T) {
	var done []string
	var got agent.Answers
	d := &scriptedAgent{recover: func(ctx context.Context, r agent.RecoverRequest, ask agent.Prompter) error {
		done = append(done, string(r.Action)+" "+r.Username+" at "+r.Environment)
		if r.Action == agent.RecoverResend {
			return nil
		}
		return asking(agent.Challenge{Environment: "staging", Name: "CONFIRM", Prompt: "Code", Fields: []agent.Field{{Name: "code", Label: "Code"}}}, &got)(ctx, ask)
	}}
	vars := at(t, d)
	p := terminaltest.New(t)
	end := session{vars: vars, tty: p.TTY}.begin(t.Context(), "confirm", "staging")
	p.Answers(terminaltest.Answer{"Which user? ", "bob"}, terminaltest.Answer{"What is the code? ", "123456"})
	end().want(t, exitOK, "staging: account confirmed; next, run: kyc-agentd login staging")
	wantAnswers(t, got, map[string]string{"code": "123456"})

	p = terminaltest.New(t)
	end = session{vars: vars, tty: p.TTY}.begin(t.Context(), "confirm", "staging", "-u", "bob", "--resend")
	p.Answers(terminaltest.Answer{"What is the code? ", "654321"})
	if o := end(); o.exit != exitOK || o.errOut != "kyc-agentd: staging: the code was sent again\nkyc-agentd: staging: account confirmed; next, run: kyc-agentd login staging\n" {
		t.Errorf("%+v", o)
	}
	wantAnswers(t, got, map[string]string{"code": "654321"})

	if o := (session{vars: vars}).run(t, "confirm", "-u", "b'b", "--resend", "staging"); o.exit != exitOK ||
		o.errOut != "kyc-agentd: staging: the code was sent again\nkyc-agentd: next, run at a terminal: kyc-agentd confirm staging -u 'b'\\''b'\n" {
		t.Errorf("%+v", o)
	}
	want := []string{"confirm bob at staging", "resend-code bob at staging", "confirm bob at staging", "resend-code b'b at staging"}
	if !slices.Equal(done, want) {
		t.Errorf("%q", done)
	}
}

func TestVerbsWithoutATerminal(t *testing.T) {
	vars := at(t, &scriptedAgent{
		recover: func(context.Context, agent.RecoverRequest, agent.Prompter) error { panic("called") },
		logout:  func(agent.LogoutRequest) error { panic("called") },
	})
	tests := []struct{ args, want string }{
		{"password reset -u ana", "no terminal to ask at; run it at one: kyc-agentd password reset prod"},
		{"password change -u ana staging", "no terminal to ask at; run it at one: kyc-agentd password change staging"},
		{"confirm -u ana", "no terminal to ask at; run it at one: kyc-agentd confirm prod"},
		{"confirm --resend", "--resend needs the user's name; add -u USER"},
		{"logout --all-devices", "no terminal to ask whether all sign-ins of ana should end; add --yes"},
	}
	for _, tt := range tests {
		session{vars: vars}.run(t, strings.Fields(tt.args)...).want(t, exitUsage, tt.want)
	}
}

func TestVerbsUsage(t *testing.T) {
	tests := []struct{ args, want string }{
		{"password hunter2", "password is followed by reset or change; run: kyc-agentd password --help"},
		{"password reset prod hunter2", "reset takes at most one argument; run: kyc-agentd password reset --help"},
		{"password change --password=hunter2", "unknown flag --password; run: kyc-agentd password change --help"},
		{"confirm --resend=hunter2", "--resend takes no such value; run: kyc-agentd confirm --help"},
		{"confirm prod 123456", "confirm takes at most one argument; run: kyc-agentd confirm --help"},
		{"logout --local --all-devices", "--local and --all-devices are opposites; leave one out"},
		{"logout --yes", "--yes goes with --all and --all-devices: nothing else asks first; leave it out"},
		{"login --api-key sk_hunter2", "there is no --api-key: every process can read a command line; use --api-key-stdin"},
		{"login --api-key=sk_hunter2 prod", "there is no --api-key: every process can read a command line; use --api-key-stdin"},
		{"login --api-key-stdin -u ana", "an API key replaces user and password; leave out --user and --password-stdin"},
		{"login --api-key-stdin --password-stdin", "an API key replaces user and password; leave out --user and --password-stdin"},
	}
	for _, tt := range tests {
		session{}.run(t, strings.Fields(tt.args)...).want(t, exitUsage, tt.want)
	}
	if got := (session{}).run(t, "password"); got.exit != exitUsage || got.errOut != usagePassword {
		t.Errorf("%+v", got)
	}
}

// Ctrl-C at any prompt of any verb: exit 75, the echo is back, and the agent forgets.
func TestVerbsCancelled(t *testing.T) {
	twoSteps := func(ctx context.Context, ask agent.Prompter) error {
		if _, err := ask(ctx, resetChallenge); err != nil {
			return err
		}
		_, err := ask(ctx, agent.Challenge{Environment: "prod", Name: "YES", Prompt: "Go on?", Fields: []agent.Field{{Name: "yes", Label: "yes or no"}}})
		return err
	}
	user, code := terminaltest.Answer{"Which user? [ana] ", ""}, terminaltest.Answer{"What is the code? ", "123456"}
	first, second := terminaltest.Answer{"New password? ", "Brand-new-8"}, terminaltest.Answer{"New password, again? ", "Brand-new-8"}
	tests := []struct {
		args string
		all  []terminaltest.Answer
	}{
		{"password reset", []terminaltest.Answer{user, code, first, second, {"yes or no? ", ""}}},
		{"password change", []terminaltest.Answer{user, {"Current password for ana at prod? ", "Correct-horse-7"}, code, first, second, {"yes or no? ", ""}}},
		{"confirm", []terminaltest.Answer{user, code, first, second, {"yes or no? ", ""}}},
		{"login", []terminaltest.Answer{user, {"Password for ana at prod? ", "Correct-horse-7"}, code, first, second, {"yes or no? ", ""}}},
		{"logout --all-devices", []terminaltest.Answer{{"[yes/no] ", ""}}},
	}
	for _, tt := range tests {
		for n, last := range tt.all {
			t.Run(tt.args+" at "+last[0], func(t *testing.T) {
				forgotten := make(chan error, 1)
				conversation := func(ctx context.Context, ask agent.Prompter) error {
					err := twoSteps(ctx, ask)
					forgotten <- err
					return err
				}
				p, asked := terminaltest.New(t), false
				vars := at(t, &scriptedAgent{
					login: func(ctx context.Context, _ agent.LoginRequest, ask agent.Prompter) error {
						return conversation(ctx, ask)
					},
					recover: func(ctx context.Context, _ agent.RecoverRequest, ask agent.Prompter) error {
						return conversation(ctx, ask)
					},
					logout: func(agent.LogoutRequest) error { asked = true; return nil },
				})
				ctx, cancel := context.WithCancel(t.Context())
				end := session{vars: vars, tty: p.TTY}.begin(ctx, strings.Fields(tt.args)...)
				p.Answers(tt.all[:n]...)
				p.Sees(last[0])
				cancel()
				if got := end(); got.exit != exitTemporary || !strings.HasSuffix(got.errOut, "cancelled\n") || strings.Count(got.errOut, "\n") != 1 {
					t.Errorf("%+v", got)
				}
				p.SawNone("Brand-new-8", "Correct-horse-7")
				if asked {
					t.Error("signed out all the same")
				}
				if slices.ContainsFunc(tt.all[:n+1], func(a terminaltest.Answer) bool { return a == code }) {
					if <-forgotten == nil {
						t.Error("the agent goes on without the person")
					}
				}
			})
		}
	}
}

// A challenge that fixes the account needs a person. Where there is none it is declined, and the
// sign-in ends with its own error and the command in that.
func TestLoginFromStandardInputMeetsAStuckAccount(t *testing.T) {
	for _, name := range []string{"PASSWORD_RESET_REQUIRED", "CONFIRM_SIGN_UP"} {
		c := agent.Challenge{Environment: "prod", Name: name, Prompt: "The code, or yes", Fields: []agent.Field{{Name: "code", Label: "Code, yes or no"}}}
		vars := at(t, &scriptedAgent{login: func(ctx context.Context, _ agent.LoginRequest, ask agent.Prompter) error {
			if given, err := ask(ctx, c); err != nil || given["code"].Reveal() != "no" {
				t.Errorf("%q, %v", given["code"].Reveal(), err)
			}
			return &agent.Error{Code: agent.CodeLoginRequired, Environment: "prod", Message: "Password reset required", Hint: "run: kyc-agentd password reset prod"}
		}})
		session{vars: vars, stdin: "x"}.run(t, "login", "-u", "ana", "--password-stdin").
			want(t, exitDenied, "prod: Password reset required; run: kyc-agentd password reset prod")
	}
}

func TestLogoutScopes(t *testing.T) {
	tests := []struct {
		args, typed, line string
		scope             agent.LogoutScope
	}{
		{"logout", "", "prod: signed out", agent.LogoutHere},
		{"logout --local prod", "", "prod: signed out here; Cognito was not asked", agent.LogoutLocal},
		{"logout --all-devices --yes", "", "prod: signed out on all devices", agent.LogoutAllDevices},
		{"logout --all-devices", "maybe\n\n Yes\n", "prod: signed out on all devices", agent.LogoutAllDevices},
		{"logout --all-devices prod", "y\n", "prod: signed out on all devices", agent.LogoutAllDevices},
	}
	for _, tt := range tests {
		var got agent.LogoutRequest
		p := terminaltest.New(t)
		p.Types(tt.typed)
		vars := at(t, &scriptedAgent{logout: func(r agent.LogoutRequest) error { got = r; return nil }})
		session{vars: vars, tty: p.TTY}.run(t, strings.Fields(tt.args)...).want(t, exitOK, tt.line)
		if got != (agent.LogoutRequest{Environment: "prod", Scope: tt.scope}) {
			t.Errorf("%s: %+v", tt.args, got)
		}
		if tt.typed != "" {
			p.Sees("End all sign-ins of ana at prod, on every machine? [yes/no] ")
		}
	}
}

func TestLogoutOfAllDevicesThatIsNotDone(t *testing.T) {
	d := &scriptedAgent{status: anaAtProd(), logout: func(agent.LogoutRequest) error { panic("called") }}
	d.status.Environments = append(d.status.Environments, agent.EnvironmentStatus{Name: "uat", State: agent.StateFresh, APIKey: true})
	vars := at(t, d)
	p := terminaltest.New(t)
	p.Types("no\n")
	session{vars: vars, tty: p.TTY}.run(t, "logout", "--all-devices").want(t, exitTemporary, "cancelled; no sign-in was ended")
	session{vars: vars}.run(t, "logout", "--all-devices", "--yes", "staging").want(t, exitDenied,
		"staging: not signed in, and only the signed-in user can make Cognito end all sign-ins; run: kyc-agentd login staging")
	session{vars: vars}.run(t, "logout", "--all-devices", "--yes", "uat").want(t, exitUsage,
		"uat: an API key is not signed in on any device; run: kyc-agentd logout uat")
}

func TestLoginWithAnAPIKey(t *testing.T) {
	tests := []struct {
		stdin string
		exit  int
		line  string
	}{
		{"sk_live_abc\n", exitOK, "prod: API key kept in the keyring"},
		{"sk_live_abc", exitOK, "prod: API key kept in the keyring"},
		{"hunter2\n", exitUsage, "standard input has no API key: they begin with sk_"},
		{"", exitUsage, "the API key on standard input is empty"},
		{strings.Repeat("x", config.MaxLine+1), exitUsage, "standard input: the answer is longer than 4096 bytes"},
	}
	for _, tt := range tests {
		var got agent.LoginRequest
		d := &scriptedAgent{status: anaAtProd()}
		d.login = func(_ context.Context, r agent.LoginRequest, _ agent.Prompter) error {
			got = r
			d.status.Environments[0] = agent.EnvironmentStatus{Name: "prod", State: agent.StateFresh, APIKey: true}
			return nil
		}
		session{vars: at(t, d), stdin: tt.stdin}.run(t, "login", "--api-key-stdin").want(t, tt.exit, tt.line)
		if tt.exit == exitOK && (got.APIKey.Reveal() != "sk_live_abc" || got.Username != "" || !got.Password.IsZero()) {
			t.Errorf("%+v", got)
		}
		if tt.exit != exitOK && !got.APIKey.IsZero() {
			t.Errorf("%q was sent", tt.stdin)
		}
	}
}
