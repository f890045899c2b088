package main

import (
	"context"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal/terminaltest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
)

// A movable clock is Cognito's and the authenticator app's: a code works once, and
// nobody wants to wait half a minute for the next.
type movable struct{ ahead atomic.Int64 }

func (m *movable) now() time.Time { return time.Now().Add(time.Duration(m.ahead.Load())) }

func (m *movable) move(d time.Duration) { m.ahead.Add(int64(d)) }

// atTerminal is a person at a terminal of a usual size, who runs a verb there.
func (h *fixture) atTerminal(args ...string) (*terminaltest.Person, *running) {
	h.t.Helper()
	p := terminaltest.New(h.t)
	p.Resize(100, 40)
	return p, h.sessionOn(p, kycAgentd(args...))
}

// ends waits for the verb, which must succeed with line, and keeps the recording.
func (h *fixture) ends(p *terminaltest.Person, r *running, line string) {
	h.t.Helper()
	p.Sees("kyc-agentd: " + line + "\r\n")
	if exit := h.ended(r); exit != exitOK {
		h.t.Errorf("exit %d", exit)
	}
	if !p.Echoes() {
		h.t.Error("the terminal is left without echo")
	}
	h.t.Logf("$ %s\n%s", strings.Join(r.Args, " "), strings.ReplaceAll(p.Seen(), "\r\n", "\n"))
}

func (h *fixture) token(env string) string {
	h.t.Helper()
	got := h.run("", exec.Command(testpeer.Build(h.t, "kyc-token"), env))
	if got.exit != exitOK || !strings.HasPrefix(got.out, "eyJ") {
		h.t.Fatalf("kyc-token: %+v", got)
	}
	return got.out
}

// shownSecret reads the secret off the screen, as a person types it into an app.
func shownSecret(t *testing.T, p *terminaltest.Person) string {
	t.Helper()
	m := regexp.MustCompile(`Secret: ([A-Z2-7 ]+)\r\n`).FindStringSubmatch(p.Seen())
	if m == nil {
		t.Fatalf("no secret on the screen: %q", p.Seen())
	}
	return strings.ReplaceAll(m[1], " ", "")
}

// TestRecordedSignIns is the life of an account at the terminal. With -v it prints
// what the person saw.
func TestRecordedSignIns(t *testing.T) {
	clock := &movable{}
	h := newFixture(t, cognitotest.Now(clock.now))
	h.env = append(h.env, "LANG=C.UTF-8")
	h.cognito.AddUser(cognitotest.User{
		Name: "grace", Password: "Temporary-1", Email: "grace@example.com", Status: cognitotest.ForceChangePassword,
		MFA: []string{"MFA_SETUP"}, RequiredAttributes: []string{"name"},
	})
	h.daemon("--store", "memory")

	p, r := h.atTerminal("login")
	p.Answers(
		terminaltest.Answer{"Which user? ", "grace"}, terminaltest.Answer{"Password for grace at staging? ", "Temporary-1"},
		terminaltest.Answer{"New password? ", "Short-1"}, terminaltest.Answer{"New password, again? ", "Short-1"}, terminaltest.Answer{"What is your name? ", "Grace"},
	)
	p.Sees("shorter than the user pool's rules ask for\r\n")
	p.Sees("longer than the one that was refused)\r\n")
	p.Answers(terminaltest.Answer{"New password? ", "Amazing-grace-2"}, terminaltest.Answer{"New password, again? ", "Amazing-grace-2"})
	p.Sees("Secret: ")
	p.Sees("\r\n")
	p.Sees("▀▀▀▀▀▀▀")
	p.Sees("What is the code? ")
	secret := shownSecret(t, p)
	if !strings.Contains(p.Seen(), "otpauth://totp/") {
		t.Error("no URL on the screen")
	}
	p.Types(cognitotest.TOTP(secret, clock.now()) + "\n")
	h.ends(p, r, "staging: signed in as grace, kept in memory, only until the daemon stops")
	p.SawNone("Temporary-1", "Short-1", "Amazing-grace-2")
	first := h.token("staging")

	clock.move(time.Minute)
	p, r = h.atTerminal("login", "-u", "grace")
	p.Answers(terminaltest.Answer{"Password for grace at staging? ", "Amazing-grace-2"}, terminaltest.Answer{"What is the code? ", cognitotest.TOTP(secret, clock.now())})
	h.ends(p, r, "staging: signed in as grace, kept in memory, only until the daemon stops")
	if h.token("staging") == first {
		t.Error("the second sign-in changed nothing")
	}

	clock.move(time.Minute)
	p, r = h.atTerminal("login", "-u", "grace")
	p.Answers(
		terminaltest.Answer{"Password for grace at staging? ", "Amazing-grace-2"}, terminaltest.Answer{"What is the code? ", "000000x"},
		terminaltest.Answer{"wrong code\r\nCode from your authenticator app\r\nWhat is the code? ", "000000y"},
		terminaltest.Answer{"wrong code\r\nCode from your authenticator app\r\nWhat is the code? ", cognitotest.TOTP(secret, clock.now())},
	)
	h.ends(p, r, "staging: signed in as grace, kept in memory, only until the daemon stops")
	h.token("staging")
}

// sent is the last code that the pool sent to user.
func (h *fixture) sent(user string) string {
	h.t.Helper()
	code := ""
	for _, m := range h.cognito.Messages() {
		if m.User == user {
			code = m.Code
		}
	}
	if code == "" {
		h.t.Fatalf("no code was sent to %s", user)
	}
	return code
}

// newPasswordLines are the two prompts for it.
func newPasswordLines(password string) []terminaltest.Answer {
	return []terminaltest.Answer{{"New password? ", password}, {"New password, again? ", password}}
}

// TestRecordedRecoveries recovers accounts at the terminal, by the verb and during
// a sign-in.
func TestRecordedRecoveries(t *testing.T) {
	const signedIn = ", kept in memory, only until the daemon stops"
	clock := &movable{}
	h := newFixture(t, cognitotest.Now(clock.now), cognitotest.Code(""))
	h.daemon("--store", "memory")
	add := func(name string, status cognitotest.Status) {
		h.cognito.AddUser(cognitotest.User{Name: name, Password: "Correct-horse-7", Email: name + "@example.com", Status: status})
	}
	t.Run("a reset in the midst of a sign-in", func(t *testing.T) {
		add("bob", cognitotest.ResetRequired)
		p, r := h.atTerminal("login", "-u", "bob")
		p.Answers(terminaltest.Answer{"at staging? ", "Correct-horse-7"}, terminaltest.Answer{"Code, yes or no? ", h.sent("bob")})
		p.Answers(newPasswordLines("Brand-new-8")...)
		h.ends(p, r, "staging: signed in as bob"+signedIn)
		p.SawNone("Correct-horse-7", "Brand-new-8")
		h.token("staging")
	})
	t.Run("a reset that is declined", func(t *testing.T) {
		add("bob", cognitotest.ResetRequired)
		p, r := h.atTerminal("login", "-u", "bob")
		p.Answers(terminaltest.Answer{"at staging? ", "Correct-horse-7"}, terminaltest.Answer{"Code, yes or no? ", "no"})
		p.Sees("kyc-agentd: staging: Password reset required; run: kyc-agentd password reset staging\r\n")
		if exit := h.ended(r); exit != exitDenied {
			t.Errorf("exit %d", exit)
		}
	})
	t.Run("a confirmation in the midst of a sign-in", func(t *testing.T) {
		add("cleo", cognitotest.Unconfirmed)
		p, r := h.atTerminal("login", "-u", "cleo")
		p.Answers(terminaltest.Answer{"at staging? ", "Correct-horse-7"})
		p.Sees("Code, resend or no? ")
		p.Types(h.sent("cleo") + "\n")
		h.ends(p, r, "staging: signed in as cleo"+signedIn)
	})
	t.Run("a reset by the verb", func(t *testing.T) {
		add("dora", cognitotest.Confirmed)
		p, r := h.atTerminal("password", "reset")
		p.Answers(terminaltest.Answer{"Which user? [cleo] ", "dora"})
		p.Sees("by e-mail to d***@e***")
		p.Answers(append([]terminaltest.Answer{{"What is the code? ", "000000x"}}, newPasswordLines("Brand-new-8")...)...)
		p.Sees("wrong code")
		p.Answers(append([]terminaltest.Answer{{"What is the code? ", h.sent("dora")}}, newPasswordLines("Brand-new-8")...)...)
		h.ends(p, r, "staging: password set; next, run: kyc-agentd login staging")
		p.SawNone("Brand-new-8")
	})
	t.Run("a change by the verb", func(t *testing.T) {
		p, r := h.atTerminal("password", "change", "-u", "dora")
		p.Answers(append([]terminaltest.Answer{{"Current password for dora at staging? ", "Brand-new-8"}}, newPasswordLines("Still-newer-9")...)...)
		h.ends(p, r, "staging: password changed")
		p.SawNone("Brand-new-8", "Still-newer-9")
		if got := h.run("Still-newer-9\n", kycAgentd("login", "-u", "dora", "--password-stdin")); got.exit != exitOK {
			t.Errorf("%+v", got)
		}
	})
	t.Run("a change with the wrong password", func(t *testing.T) {
		p, r := h.atTerminal("password", "change", "-u", "dora")
		for range 3 {
			p.Answers(terminaltest.Answer{"Current password for dora at staging? ", "Brand-new-8"})
		}
		p.Sees("kyc-agentd: staging: Invalid username or password; ")
		p.Sees("\n")
		if exit := h.ended(r); exit != exitDenied {
			t.Errorf("exit %d: %q", exit, p.Seen())
		}
	})
	t.Run("a confirmation by the verb", func(t *testing.T) {
		add("ella", cognitotest.Unconfirmed)
		first := h.sent("ella")
		p, r := h.atTerminal("confirm", "-u", "ella", "--resend")
		p.Sees("the code was sent again")
		p.Answers(terminaltest.Answer{"What is the code? ", first})
		p.Sees("wrong code")
		p.Answers(terminaltest.Answer{"What is the code? ", h.sent("ella")})
		h.ends(p, r, "staging: account confirmed; next, run: kyc-agentd login staging")
	})
	t.Run("all devices", func(t *testing.T) {
		h.login()
		p, r := h.atTerminal("logout", "--all-devices")
		p.Answers(terminaltest.Answer{"End all sign-ins of ana at staging, on every machine? [yes/no] ", "yes"})
		h.ends(p, r, "staging: signed out on all devices")
	})
}

// A pool that offers a choice needs no password, nor does one with questions of its own.
func TestRecordedSignInsWithoutAPassword(t *testing.T) {
	h := newFixture(t, cognitotest.Code(""))
	h.cognito.AddUser(cognitotest.User{
		Name: "bob", Password: "Correct-horse-7", Email: "bob@example.com",
		Custom: []cognitotest.Question{{Parameters: map[string]string{"question": "The magic word?"}, Answer: "please"}},
	})
	for flow, first := range map[string]terminaltest.Answer{
		"choice": {"3 = code by e-mail (EMAIL_OTP)\r\nWhich of these? ", "3"},
		"custom": {"\r\nThe magic word? ", "please"},
	} {
		t.Run(flow, func(t *testing.T) {
			h := &fixture{t: t, dir: testsocket.ShortDir(t), cognito: h.cognito, env: append(slices.Clone(h.env), "KYC_STAGING_AUTH_FLOW="+flow)}
			h.env = append(h.env, "HOME="+h.dir, "XDG_RUNTIME_DIR="+h.dir)
			h.daemon("--store", "memory")
			p, r := h.atTerminal("login", "-u", "bob")
			p.Answers(terminaltest.Answer{"Password for bob at staging? ", ""}, first)
			if flow == "choice" {
				p.Sees("What is the code? ")
				p.Types(h.sent("bob") + "\n")
			}
			h.ends(p, r, "staging: signed in as bob, kept in memory, only until the daemon stops")
			h.token("staging")
		})
	}
}

// However a person leaves a sign-in that is waiting for their answer, the agent
// forgets it and the terminal is as it was.
func TestLeavingInTheMidstOfASignIn(t *testing.T) {
	leave := map[string]struct {
		leaves func(*terminaltest.Person)
		exit   []int
	}{
		"Ctrl-C": {func(p *terminaltest.Person) { p.Types("\x03") }, []int{130}},
		`Ctrl-\`: {func(p *terminaltest.Person) { p.Types("\x1c") }, []int{131}},
		"Ctrl-D": {func(p *terminaltest.Person) { p.Types("\x04") }, []int{exitTemporary}},
		// The end of the terminal may be read before SIGHUP arrives.
		"the terminal is closed": {func(p *terminaltest.Person) { p.HangUp() }, []int{exitTemporary, 129}},
	}
	for name, tt := range leave {
		t.Run(name, func(t *testing.T) {
			forgotten := make(chan error, 1)
			d := &scriptedAgent{login: func(ctx context.Context, _ agent.LoginRequest, ask agent.Prompter) error {
				_, err := ask(ctx, resetChallenge)
				forgotten <- err
				return err
			}}
			h := newFixture(t)
			h.env = append(h.env, at(t, d)...)
			p, r := h.atTerminal("login", "-u", "ana")
			p.Answers(terminaltest.Answer{"at prod? ", "Correct-horse-7"}, terminaltest.Answer{"What is the code? ", "123456"})
			p.Sees("New password? ")
			if p.Echoes() {
				t.Error("the prompt echoes")
			}
			tt.leaves(p)
			if exit := h.ended(r); !slices.Contains(tt.exit, exit) {
				t.Errorf("exit %d, want %d", exit, tt.exit)
			}
			if err := <-forgotten; err == nil {
				t.Error("the agent goes on without the person")
			}
			if name != "the terminal is closed" && !p.Echoes() {
				t.Error("the terminal is left without echo")
			}
		})
	}
}
