package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/awscreds/awstest"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// The secrets of TestSecrecy: passwords that are typed, the password of a credential
// file, the app client's secret, an API key. Every token of Cognito's is a JWT or a
// JWE, so it begins with the base64 of `{"`.
const (
	credentialSecret = "Wombat-secret-4"
	clientSecret     = "0okapi5client6secret"
	apiKey           = "sk_live_quagga3quagga3"
)

var (
	words   = []string{"Correct-horse-7", "Wrong-zebra-9", credentialSecret, clientSecret, apiKey}
	secrets = append(slices.Clone(words), "eyJ")
)

// TestSecrecy runs every command and every fault with debug logging, in each
// lasting store, and looks for secrets: in the daemon's log, in what the commands
// print, in the command line and the environment of every process on the machine,
// in the files, and in what a crash could leave.
func TestSecrecy(t *testing.T) {
	testpeer.Slow(t)
	for kind, use := range map[string]func(*binaries){
		"file":    (*binaries).fileStore,
		"keyring": (*binaries).realKeyring,
	} {
		t.Run(kind, func(t *testing.T) {
			if kind == "keyring" { // all but the store is the same
				testpeer.Long(t)
			}
			srv := cognitotest.New(cognitotest.Rotation(time.Minute), cognitotest.ClientSecret(clientSecret))
			defer srv.Close()
			srv.AddUser(cognitotest.User{Name: "ada", Password: "Correct-horse-7", Email: "ada@example.com"})
			srv.AddUser(cognitotest.User{Name: "svc", Password: credentialSecret})
			srv.AddUser(cognitotest.User{Name: "grace", Password: "Correct-horse-7", MFA: []string{"MFA_SETUP"}})
			s := newBinaries(t, srv.URL, srv.PoolID, srv.ClientID)
			use(s)
			s.secretFiles()
			aws := awstest.New(awstest.UserPool{Issuer: srv.Issuer(), JWKS: srv.Issuer() + "/.well-known/jwks.json", ClientID: srv.ClientID})
			defer aws.Close()
			api, ended := surplusAPI(t)
			s.env = append(s.env, "KYC_PROD_IDENTITY_POOL_ID="+aws.IdentityPoolID, "KYC_PROD_AWS_ENDPOINT="+aws.URL, "KYC_PROD_API_URL="+api)
			defer watchProcesses(t)()
			w := &witness{binaries: s, t: t, aws: aws, ended: ended}
			withBrowser := w.withBrowserAt(srv)
			w.walk(srv, kind)
			withBrowser.browsers(kind)
			w.files()
		})
	}
}

// secretFiles has the daemon take secrets from files, which are outside of what is
// searched for them.
func (s *binaries) secretFiles() {
	s.t.Helper()
	dir := s.t.TempDir()
	for name, text := range map[string]string{"client": clientSecret, "password": credentialSecret} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	s.env = append(s.env, "KYC_PROD_CLIENT_SECRET_FILE="+dir+"/client", "KYC_STAGING_CLIENT_SECRET_FILE="+dir+"/client",
		"KYC_STAGING_USERNAME=svc", "KYC_STAGING_PASSWORD_FILE="+dir+"/password")
}

// A witness runs commands and reads everything they say.
type witness struct {
	*binaries
	t       *testing.T
	aws     *awstest.Server
	ended   <-chan string // of surplusAPI
	learned []string      // secrets that were made: of authenticator apps, and of AWS credentials
}

func (w *witness) walk(srv *cognitotest.Server, kind string) {
	p := w.start("--store", kind, "--log-level", "debug")
	defer func() {
		p.stop()
		w.clean("the daemon's log", p.log.String())
	}()
	w.noCore(p)
	w.signIn("Correct-horse-7")
	w.signIn("Wrong-zebra-9")
	w.alone()
	w.setUpApp()
	w.credentials()
	w.commands()
	w.surplus()
	for name, fault := range map[string]cognitotest.Fault{
		"502": cognitotest.BadGateway(), "429": cognitotest.Throttle429(), "throttle": cognitotest.Throttle(),
		"WAF": cognitotest.Blocked(), "500": cognitotest.Internal(), "drop": cognitotest.Drop(),
		"lost answer":  cognitotest.Drop().After(),
		"echoed token": cognitotest.Refuse("NotAuthorizedException", "Invalid token eyJhbGciOi.eyJzdWIi.c2ln and "+strings.Join(words, " ")),
		"echoed body":  cognitotest.Answer(500, "application/json", `{"__type":"X","message":"eyJhbGciOi `+strings.Join(words, " ")+`"}`),
	} {
		srv.FailNext(cognitotest.SignIn, 1, fault)
		w.signIn("Correct-horse-7")
		srv.ClearFaults()
		srv.ForgetLockouts()
		w.signIn("Correct-horse-7")
		p = w.again(p, kind)
		srv.FailNext(cognitotest.Refresh, 4, fault)
		w.say(name, "", "kyc-token", "prod")
		srv.ClearFaults()
		w.underFault(srv, name, fault)
	}
	w.signIn("Correct-horse-7")
	for _, forgery := range []cognitotest.Forgery{
		{Algorithm: "none"}, {Algorithm: "HS256"}, {KeyID: "nobody's"}, {WrongKey: true}, {Age: 2 * time.Hour},
		{Claims: map[string]any{"aud": "someone else"}}, {Claims: map[string]any{"sub": "someone else"}},
	} {
		p = w.again(p, kind)
		srv.Forge(1, forgery)
		w.say("forged", "", "kyc-token", "prod")
		srv.Forge(0, cognitotest.Forgery{})
	}
	w.say("logout", "", "kyc-agentd", "logout", "prod")
}

// again restarts the daemon, so that the next token costs a refresh.
func (w *witness) again(p *daemonProcess, kind string) *daemonProcess {
	p.stop()
	w.clean("the daemon's log", p.log.String())
	return w.start("--store", kind, "--log-level", "debug")
}

func (w *witness) signIn(password string) {
	w.say("login", password+"\n", "kyc-agentd", "login", "prod", "-u", "ada", "--password-stdin")
}

// groupsOfFour are how a person is shown the secret.
var groupsOfFour = regexp.MustCompile(`.{4}\B`)

// setUpApp has a user set up an authenticator app, as far as the secret for it.
func (w *witness) setUpApp() {
	err := w.client().Login(within(w.t, time.Minute), agent.LoginRequest{Environment: "prod", Username: "grace", Password: agent.NewSecret("Correct-horse-7")},
		func(_ context.Context, c agent.Challenge) (agent.Answers, error) {
			if c.TOTPSecret != "" && c.Problem == "" {
				w.learned = append(w.learned, c.TOTPSecret, groupsOfFour.ReplaceAllString(c.TOTPSecret, "$0 "))
				return agent.Answers{"code": agent.NewSecret("000000")}, nil
			}
			return nil, errors.New("enough")
		})
	if len(w.learned) == 0 {
		w.t.Errorf("no authenticator app was set up: %v", err)
	}
	w.clean("the end of a set-up", fmt.Sprintf("%v %+v", err, err))
}

// credentials has the daemon make AWS credentials, and fail to.
func (w *witness) credentials() {
	exit, out, errOut := w.run("", "kyc-token", "-f", "aws", "prod")
	var c struct{ SecretAccessKey, SessionToken string }
	if err := json.Unmarshal([]byte(out), &c); exit != 0 || err != nil || c.SessionToken == "" {
		w.t.Errorf("AWS credentials: exit %d, %s", exit, errOut)
		return
	}
	w.learned = append(w.learned, c.SecretAccessKey, c.SessionToken)
	w.say("status", "", "kyc-agentd", "status", "--json")
	for _, f := range []awstest.Fault{
		{Code: "NotAuthorizedException", Message: "Invalid login token " + c.SecretAccessKey},
		{Status: 500, Body: c.SecretAccessKey + c.SessionToken},
	} {
		w.signIn("Correct-horse-7")
		w.aws.FailNext(awstest.GetCredentials, 3, f)
		exit, out, errOut := w.run("", "kyc-token", "-f", "aws", "prod")
		if exit == 0 || out != "" {
			w.t.Errorf("AWS credentials in spite of %+v", f)
		}
		w.clean("no AWS credentials", errOut)
		w.say("status", "", "kyc-agentd", "status")
	}
}

// alone has the daemon sign in by itself, and then hold an API key in that place.
func (w *witness) alone() {
	if exit, _, errOut := w.run("", "kyc-token", "staging"); exit != 0 {
		w.t.Errorf("unattended: exit %d, %s", exit, errOut)
	}
	w.say("key", apiKey+"\n", "kyc-agentd", "login", "staging", "--api-key-stdin")
	if exit, out, errOut := w.run("", "kyc-token", "staging"); exit != 0 || out != apiKey+"\n" {
		w.t.Errorf("API key: exit %d, %s", exit, errOut)
	}
	w.say("status", "", "kyc-agentd", "status", "--json")
	w.say("all devices", "", "kyc-agentd", "logout", "staging", "--all-devices", "--yes")
	w.say("logout", "", "kyc-agentd", "logout", "staging")
	w.say("reload", "", "kyc-agentd", "reload") // which lets it sign in by itself again
}

// underFault has each of the other calls go wrong.
func (w *witness) underFault(srv *cognitotest.Server, name string, fault cognitotest.Fault) {
	for _, op := range []string{"ForgotPassword", "ConfirmForgotPassword", "ResendConfirmationCode", "RevokeToken", "GlobalSignOut", "ChangePassword"} {
		srv.FailNext(op, 1, fault)
	}
	for _, action := range []agent.RecoverAction{agent.RecoverReset, agent.RecoverReset, agent.RecoverResend, agent.RecoverChange} {
		err := w.client().Recover(within(w.t, time.Minute), agent.RecoverRequest{Environment: "prod", Action: action, Username: "ada", Password: presentFor(action)}, w.stranger)
		w.clean(name+": "+string(action), fmt.Sprintf("%v %+v", err, err))
	}
	w.say(name+": all devices", "", "kyc-agentd", "logout", "prod", "--all-devices", "--yes")
	srv.ClearFaults()
	srv.ForgetLockouts()
	w.signIn("Correct-horse-7")
}

func presentFor(action agent.RecoverAction) agent.Secret {
	if action == agent.RecoverChange {
		return agent.NewSecret("Correct-horse-7")
	}
	return agent.Secret{}
}

// stranger gives one wrong answer to everything, and then up.
func (w *witness) stranger(_ context.Context, c agent.Challenge) (agent.Answers, error) {
	w.clean("a challenge", fmt.Sprintf("%+v", c))
	if c.Problem != "" {
		return nil, errors.New("enough")
	}
	return agent.Answers{"code": agent.NewSecret("000000"), "new_password": agent.NewSecret("Wrong-zebra-9")}, nil
}

// commands runs what is left of the command lines, the failing ones too.
func (w *witness) commands() {
	for _, args := range [][]string{
		{"kyc-agentd", "status"}, {"kyc-agentd", "status", "--json"}, {"kyc-agentd", "status", "prod"},
		{"kyc-agentd", "whoami", "prod"}, {"kyc-agentd", "whoami", "--json", "prod"}, {"kyc-agentd", "whoami", "staging"}, {"kyc-agentd", "list", "--json"},
		{"kyc-agentd", "wait", "--for", "0", "prod"}, {"kyc-agentd", "wait", "--for", "0", "staging"},
		{"kyc-agentd", "reload"}, {"kyc-agentd", "version"},
		{"kyc-agentd", "login", "moon", "-u", "ada", "--password-stdin"}, {"kyc-agentd", "login", "prod"},
		{"kyc-agentd", "serve"}, {"kyc-agentd", "logout", "moon"}, {"kyc-agentd", "keygen", filepath.Join(w.dir, "store.key")},
		{"kyc-agentd", "login", "staging", "--api-key-stdin"}, {"kyc-agentd", "logout", "--local", "staging"},
		{"kyc-agentd", "password", "reset", "-u", "ada"}, {"kyc-agentd", "password", "change", "-u", "ada", "prod"},
		{"kyc-agentd", "confirm", "-u", "ada", "prod"}, {"kyc-agentd", "confirm", "-u", "ada", "--resend", "prod"},
		{"kyc-agentd", "doctor"}, {"kyc-agentd", "doctor", "--json", "prod"}, {"kyc-agentd", "log"}, {"kyc-agentd", "env"},
		{"kyc-agentd", "approvals"}, {"kyc-agentd", "approve", "7F3K"}, {"kyc-agentd", "revoke", "--all"},
		{"kyc-agentd", "config", "show"}, {"kyc-agentd", "config", "get", "environments.prod.client_secret_file"}, {"kyc-agentd", "config", "check"},
		{"kyc-agentd", "config", "set", "log_level", "nonsense"}, {"kyc-agentd", "use", "moon"}, {"kyc-agentd", "environment", "list"},
		{"kyc-agentd", "doctor", "--fix", "--yes", "--offline"}, {"kyc-agentd", "start"},
		{"kyc-agentd", "support", "--offline", filepath.Join(w.dir, "support.txt")},
		{"kyc-agentd", "audit", "show"}, {"kyc-agentd", "audit", "export", "--format", "csv"}, {"kyc-agentd", "audit", "verify"},
		{"kyc-agentd", "api", "-i", "prod", "POST", "/kyc", "-d", "{}"}, {"kyc-agentd", "completion", "bash"},
		{"kyc-agentd", "run", "-u", "ada", "--password-stdin", "--log-level", "debug", "prod", "--", "kyc-agentd", "status"},
		{"kyc-token", "moon"}, {"kyc-token", "-f", "yaml"}, {"kyc-token", "-min-valid", "48h", "prod"}, {"kyc-token", "staging"},
	} {
		w.say(strings.Join(args, " "), "Correct-horse-7\n", args[0], args[1:]...)
	}
	// The claims are no token.
	if exit, out, errOut := w.run("", "kyc-token", "-f", "claims", "prod"); exit != 0 || strings.Contains(out, "eyJ") || !strings.Contains(out, `"sub":`) {
		w.t.Errorf("kyc-token -f claims: exit %d, %q, %q", exit, out, errOut)
	}
	// Where a token is asked for, it is on stdout and nowhere else.
	for _, format := range []string{"token", "header", "curl", "json"} {
		exit, out, errOut := w.run("", "kyc-token", "-f", format, "prod")
		if exit != 0 || !strings.Contains(out, "eyJ") || errOut != "" {
			w.t.Errorf("kyc-token -f %s: exit %d, stderr %q", format, exit, errOut)
		}
	}
}

// surplus has the API say more than its answer, with the token in it.
func (w *witness) surplus() {
	for path, say := range surplusAnswers {
		w.say("surplus: "+path, "", "kyc-agentd", "api", "prod", say.method, path)
		<-w.ended
	}
}

// say runs a command and looks at all it prints. A token that it was asked for is
// on the stdout of a kyc-token that succeeded.
func (w *witness) say(what, stdin, name string, args ...string) {
	exit, out, errOut := w.run(stdin, name, args...)
	if name != "kyc-token" || exit != 0 {
		w.clean(what+": stdout", out)
	}
	w.clean(what+": stderr", errOut)
}

func (w *witness) clean(where, text string, more ...string) {
	w.t.Helper()
	for _, secret := range slices.Concat(secrets, w.learned, more) {
		if i := strings.Index(text, secret); i >= 0 {
			w.t.Errorf("%s has %q: …%q…", where, secret, text[max(0, i-80):min(len(text), i+20)])
		}
	}
}

// files looks into everything below the home folder, and at its modes.
func (w *witness) files() {
	audited := false
	err := filepath.WalkDir(w.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 && path != w.dir && !strings.HasSuffix(path, "notify") {
			w.t.Errorf("%s has mode %s", path, info.Mode())
		}
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			w.clean(path, string(data))
			audited = audited || strings.HasSuffix(path, "/audit.jsonl") && bytes.Contains(data, []byte(`"event":"token"`)) && bytes.Contains(data, []byte(`"jti":"`))
		}
		return nil
	})
	if err != nil || !audited {
		w.t.Errorf("%v; an audit log was there: %t", err, audited)
	}
}

// noCore holds the daemon to a core file limit of 0, soft and hard.
func (w *witness) noCore(p *daemonProcess) {
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", p.cmd.Process.Pid))
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(string(limits)) {
		if strings.HasPrefix(line, "Max core file size") {
			if f := strings.Fields(line); f[4] != "0" || f[5] != "0" {
				w.t.Errorf("core files are possible: %s", line)
			}
			return
		}
	}
	w.t.Error("no core limit in /proc/PID/limits")
}

// watchProcesses reads the command line and the environment of every process again
// and again until the function it returns is called.
func watchProcesses(t *testing.T) (stop func()) {
	ending := make(chan struct{})
	var wg sync.WaitGroup
	rounds := 0
	wg.Go(func() {
		for ; ; rounds++ {
			select {
			case <-ending:
				return
			default:
				lookAtProcesses(t)
			}
		}
	})
	return func() {
		close(ending)
		wg.Wait()
		t.Logf("looked at all processes %d times", rounds)
		if rounds < 10 {
			t.Error("too few looks at /proc to prove anything")
		}
	}
}

func lookAtProcesses(t *testing.T) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, cmdline := range files {
		for _, file := range []string{cmdline, filepath.Join(filepath.Dir(cmdline), "environ")} {
			data, err := os.ReadFile(file)
			if err != nil {
				continue // gone, or not ours to read
			}
			for _, secret := range words {
				if bytes.Contains(data, []byte(secret)) {
					t.Errorf("%s has %q", file, secret)
				}
			}
			if bytes.Contains(data, []byte("eyJ")) && bytes.Contains(data, []byte("kyc-")) {
				t.Errorf("%s has a token", file)
			}
		}
	}
}
