package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/store/memory"
)

// unattended configures staging to sign in by itself as ana, with password.
func (h *fixture) unattended(password string) (file string) {
	h.t.Helper()
	file = filepath.Join(h.dir, "password")
	h.env = append(h.env, "KYC_STAGING_USERNAME=ana", "KYC_STAGING_PASSWORD_FILE="+file)
	h.writeSecret(file, password)
	return file
}

// writeSecret replaces a file, as a manager of secrets does.
func (h *fixture) writeSecret(path, text string) {
	h.t.Helper()
	if err := os.WriteFile(path+".new", []byte(text+"\n"), 0o600); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		h.t.Fatal(err)
	}
}

func (h *fixture) kycToken() outcome {
	h.t.Helper()
	return h.run("", exec.Command(testpeer.Build(h.t, "kyc-token")))
}

// A daemon with an empty store and a credential gives tokens without a person.
func TestUnattendedSignIn(t *testing.T) {
	h := newFixture(t)
	h.unattended("correct horse")
	h.daemon("--store", "memory")
	if n := h.cognito.Calls(cognitotest.SignIn); n != 0 {
		t.Errorf("%d sign-ins before the first need", n)
	}
	first := h.token("staging")
	if h.token("staging") != first || h.cognito.Calls(cognitotest.SignIn) != 1 {
		t.Errorf("%d sign-ins", h.cognito.Calls(cognitotest.SignIn))
	}
	got := h.run("", kycAgentd("status"))
	if !strings.Contains(got.out, "fresh   ana (by itself)  in 59m") {
		t.Errorf("%s", got.out)
	}
	if out := h.run("", kycAgentd("status", "--json")).out; !strings.Contains(out, `"unattended": true`) || !strings.Contains(out, `"sign_in_ends_at": "20`) {
		t.Errorf("%s", out)
	}
}

// The same from a systemd credential, whose folder is all that the daemon is told.
func TestUnattendedSignInFromASystemdCredential(t *testing.T) {
	h := newFixture(t)
	dir := filepath.Join(h.dir, "credentials")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "kyc-staging.password"), []byte("correct horse"), 0o400); err != nil {
		t.Fatal(err)
	}
	h.env = append(h.env, "KYC_STAGING_USERNAME=ana", "CREDENTIALS_DIRECTORY="+dir)
	h.daemon("--store", "memory")
	h.token("staging")
}

func TestUnattendedSignInThatIsRefused(t *testing.T) {
	h := newFixture(t)
	h.unattended("hunter2-hunter2")
	h.daemon("--store", "memory")
	for range 5 {
		got := h.kycToken()
		if got.exit != exitDenied || got.out != "" || !strings.Contains(got.errOut, "unattended sign-in: Invalid username or password; fix the credential") {
			t.Fatalf("%+v", got)
		}
	}
	if n := h.cognito.Calls(cognitotest.SignIn); n != 1 {
		t.Errorf("%d calls for one wrong password", n)
	}
	if got := h.run("", kycAgentd("status")); strings.Contains(got.out, "hunter2") {
		t.Errorf("%s", got.out)
	}
}

// The error says what is wrong with the file, and costs no call. Once it is corrected and
// the configuration reloaded, the sign-in works.
// TestTouchedPassword: whatever rewrites or touches the file of a wrong password, and reloads the
// agent each time, does not get the account locked.
func TestTouchedPassword(t *testing.T) {
	h := newFixture(t)
	file := h.unattended("hunter2-hunter2")
	cmd := exec.Command(testpeer.Build(t, "kyc-agentd"), "serve", "--store", "memory")
	cmd.Env, cmd.Stderr = h.env, &logBuffer{t: t}
	h.launched(cmd)
	for i := range 20 {
		changed := time.Now().Add(time.Duration(i) * time.Minute)
		if err := os.Chtimes(file, changed, changed); err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			h.writeSecret(file, "hunter2-hunter2")
		}
		if got := h.run("", exec.Command(testpeer.Build(t, "kyc-agentd"), "reload")); got.exit != exitOK {
			t.Fatalf("%+v", got)
		}
		if got := h.kycToken(); got.exit != exitDenied && got.exit != exitTemporary {
			t.Fatalf("%+v", got)
		}
	}
	if n := h.cognito.Calls(cognitotest.SignIn); n != 1 {
		t.Errorf("%d calls", n)
	}
}

func TestUnattendedSignInWithoutItsFile(t *testing.T) {
	for want, spoil := range map[string]func(file string) error{
		" has mode 0644, but only its owner may read it; run: chmod 600 ":              func(file string) error { return os.Chmod(file, 0o644) },
		": no such file or directory; make it, readable only by its owner (mode 0600)": os.Remove,
	} {
		h := newFixture(t)
		file := h.unattended("correct horse")
		h.daemon("--store", "memory")
		if err := spoil(file); err != nil {
			t.Fatal(err)
		}
		got := h.kycToken()
		if got.exit != exitConfiguration || got.out != "" || !strings.HasPrefix(got.errOut, "kyc-token: staging: password_file: ") || !strings.Contains(got.errOut, file+want) {
			t.Errorf("%+v, want %q", got, want)
		}
		if n := h.cognito.Calls(cognitotest.SignIn); n != 0 {
			t.Errorf("%d calls without a password", n)
		}
		h.writeSecret(file, "correct horse")
		if got := h.run("", kycAgentd("reload")); got.exit != exitOK {
			t.Fatalf("%+v", got)
		}
		h.token("staging")
	}
}

// TestUnattendedCalls counts at Cognito what a password that is wrong costs: one call
// for each change of the file, and never two within five minutes.
func TestUnattendedCalls(t *testing.T) {
	clock := &movable{}
	h := newFixture(t, cognitotest.Now(clock.now))
	file := h.unattended("Wrong-1")
	config, _, err := config.Load("", h.env)
	if err != nil {
		t.Fatal(err)
	}
	told, err := config.AgentConfig(h.env)
	if err != nil {
		t.Fatal(err)
	}
	a, err := agent.New(agent.Options{
		Authenticator: cognito.New(cognito.Options{Now: clock.now}), Store: memory.New(), Config: told, Now: clock.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer a.Close(t.Context())
	steps := []struct {
		what  string
		do    func()
		calls int  // so far
		token bool // there is one
	}{
		{"the first need", func() {}, 1, false},
		{"an hour later", func() { clock.move(time.Hour) }, 1, false},
		{"another wrong password", func() { h.writeSecret(file, "Wrong-2") }, 2, false},
		{"a third, at once", func() { h.writeSecret(file, "Wrong-3") }, 2, false},
		{"five minutes later", func() { clock.move(5*time.Minute + time.Second) }, 3, false},
		{"a day later", func() { clock.move(24 * time.Hour) }, 3, false},
		{"the right one", func() { h.writeSecret(file, "correct horse") }, 4, true},
		{"an hour later", func() { clock.move(30 * time.Minute) }, 4, true},
	}
	for _, step := range steps {
		step.do()
		for range 10 {
			tok, err := a.Token(t.Context(), agent.TokenRequest{})
			if (err == nil) != step.token || step.token == tok.IDToken.IsZero() {
				t.Fatalf("%s: %v", step.what, err)
			}
		}
		if n := h.cognito.Calls(cognitotest.SignIn); n != step.calls {
			t.Errorf("%s: %d calls, want %d", step.what, n, step.calls)
		}
		t.Logf("%s: 10 requests, %d calls so far", step.what, h.cognito.Calls(cognitotest.SignIn))
	}
}

// Who signs out means it: the agent does not sign in again behind their back. A
// restart, a reload or a sign-in turns it on again.
func TestUnattendedSignInAfterLogout(t *testing.T) {
	h := newFixture(t)
	h.unattended("correct horse")
	h.daemon("--store", "memory")
	h.token("staging")
	if got := h.run("", kycAgentd("logout")); got.exit != exitOK || got.errOut != "kyc-agentd: staging: signed out\n"+
		"kyc-agentd: staging: the agent signs in by itself again after: kyc-agentd reload (or a login, or a restart)\n" {
		t.Fatalf("%+v", got)
	}
	if got := h.kycToken(); got.exit != exitDenied || h.cognito.Calls(cognitotest.SignIn) != 1 {
		t.Errorf("%+v, %d sign-ins", got, h.cognito.Calls(cognitotest.SignIn))
	}
	if got := h.run("", kycAgentd("reload")); got.exit != exitOK {
		t.Fatalf("%+v", got)
	}
	h.token("staging")
}
