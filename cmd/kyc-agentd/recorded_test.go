package main

import (
	"os/exec"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// A movable clock is Cognito's and the authenticator app's: a code works once, and
// nobody wants to wait half a minute for the next.
type movable struct{ ahead atomic.Int64 }

func (m *movable) now() time.Time { return time.Now().Add(time.Duration(m.ahead.Load())) }

func (m *movable) move(d time.Duration) { m.ahead.Add(int64(d)) }

// atTerminal is a person at a terminal of a usual size, who runs a verb there.
func (h *house) atTerminal(args ...string) (*person, *running) {
	h.t.Helper()
	p := newPerson(h.t)
	if err := pty.Setsize(p.f, &pty.Winsize{Cols: 100, Rows: 40}); err != nil {
		h.t.Fatal(err)
	}
	return p, h.sessionOn(p, kycAgentd(args...))
}

// ends waits for the verb, which must succeed with line, and keeps the recording.
func (h *house) ends(p *person, r *running, line string) {
	h.t.Helper()
	p.sees("kyc-agentd: " + line + "\r\n")
	if exit := h.ended(r); exit != exitOK {
		h.t.Errorf("exit %d", exit)
	}
	if !p.echoes() {
		h.t.Error("the terminal is left without echo")
	}
	h.t.Logf("$ %s\n%s", strings.Join(r.Args, " "), strings.ReplaceAll(p.seen.String(), "\r\n", "\n"))
}

func (h *house) token(env string) string {
	h.t.Helper()
	got := h.run("", exec.Command(testpeer.Build(h.t, "kyc-token"), env))
	if got.exit != exitOK || !strings.HasPrefix(got.out, "eyJ") {
		h.t.Fatalf("kyc-token: %+v", got)
	}
	return got.out
}

// shownSecret reads the secret off the screen, as a person types it into an app.
func (p *person) shownSecret() string {
	p.t.Helper()
	m := regexp.MustCompile(`Secret: ([A-Z2-7 ]+)\r\n`).FindStringSubmatch(p.seen.String())
	if m == nil {
		p.t.Fatalf("no secret on the screen: %q", p.seen.String())
	}
	return strings.ReplaceAll(m[1], " ", "")
}

// TestRecordedSignIns is the life of an account at the terminal. With -v it prints
// what the person saw.
func TestRecordedSignIns(t *testing.T) {
	clock := &movable{}
	h := newHouse(t, cognitotest.Now(clock.now))
	h.env = append(h.env, "LANG=C.UTF-8")
	h.cognito.AddUser(cognitotest.User{
		Name: "grace", Password: "Temporary-1", Email: "grace@example.com", Status: cognitotest.ForceChangePassword,
		MFA: []string{"MFA_SETUP"}, RequiredAttributes: []string{"name"},
	})
	h.daemon("--store", "memory")

	p, r := h.atTerminal("login")
	p.plays(
		line{"User: ", "grace"}, line{"Password for grace (staging): ", "Temporary-1"},
		line{"New password: ", "Short-1"}, line{"New password, again: ", "Short-1"}, line{"name: ", "Grace"},
	)
	p.sees("shorter than the user pool's rules ask for\r\n")
	p.plays(line{"New password: ", "Amazing-grace-2"}, line{"New password, again: ", "Amazing-grace-2"}, line{"name: ", "Grace"})
	p.sees("Secret: ")
	p.sees("\r\n")
	p.sees("▀▀▀▀▀▀▀")
	p.sees("Code: ")
	secret := p.shownSecret()
	if !strings.Contains(p.seen.String(), "otpauth://totp/") {
		t.Error("no URL on the screen")
	}
	p.types(cognitotest.TOTP(secret, clock.now()) + "\n")
	h.ends(p, r, "staging: signed in as grace, kept in memory, only until the daemon stops")
	p.sawNone("Temporary-1", "Short-1", "Amazing-grace-2")
	first := h.token("staging")

	clock.move(time.Minute)
	p, r = h.atTerminal("login", "-u", "grace")
	p.plays(line{"Password for grace (staging): ", "Amazing-grace-2"}, line{"Code: ", cognitotest.TOTP(secret, clock.now())})
	h.ends(p, r, "staging: signed in as grace, kept in memory, only until the daemon stops")
	if h.token("staging") == first {
		t.Error("the second sign-in changed nothing")
	}

	clock.move(time.Minute)
	p, r = h.atTerminal("login", "-u", "grace")
	p.plays(
		line{"Password for grace (staging): ", "Amazing-grace-2"}, line{"Code: ", "000000x"},
		line{"wrong code\r\nCode from your authenticator app\r\nCode: ", "000000y"},
		line{"wrong code\r\nCode from your authenticator app\r\nCode: ", cognitotest.TOTP(secret, clock.now())},
	)
	h.ends(p, r, "staging: signed in as grace, kept in memory, only until the daemon stops")
	h.token("staging")
}
