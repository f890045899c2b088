package examples_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/examples/internal/testenv"
)

// The programs of this file are written after the API's guide, and only their import is
// another one.

func signIn(user, password string) []string {
	return []string{"USERNAME=" + user, "PASSWORD=" + password}
}

var ana = signIn(testenv.User, testenv.Password)

// expectLines checks what a program prints.
func expectLines(t *testing.T, r result, want ...string) {
	t.Helper()
	if got := strings.Split(strings.TrimSuffix(r.stdout, "\n"), "\n"); r.code != 0 || !slices.Equal(got, want) {
		t.Errorf("exit code %d, stderr %s; want the lines\n%s\nhave\n%s", r.code, r.stderr, strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
}

func TestGuidePrograms(t *testing.T) {
	env := newEnv(t)
	t.Run("class", func(t *testing.T) {
		expectLines(t, run(t, env, python("testdata/class.py")(t), ana...),
			"None", "Not authenticated. Call login() first.", "No refresh token available", "1", "Watchlist created successfully")
	})
	t.Run("functions", func(t *testing.T) {
		argv := python("testdata/functions.py")(t)
		expectLines(t, run(t, env, argv, ana...), "False ['access_token', 'expires_in', 'id_token', 'refresh_token'] int")
		expectLines(t, run(t, env, argv, signIn(testenv.User, "wrong")...), "Error: Invalid username or password")
	})
	t.Run("JavaScript", func(t *testing.T) {
		argv := node("testdata/functions.mjs")(t)
		expectLines(t, run(t, env, argv, ana...), "false accessToken,expiresIn,idToken,refreshToken number")
		expectLines(t, run(t, env, argv, signIn(testenv.User, "wrong")...), "Error: Invalid username or password")
	})
	for _, c := range env.API.Calls() {
		if c.User != testenv.User || c.Status != http.StatusOK {
			t.Errorf("the API saw %+v", c)
		}
	}
}

// guideMessages are the guide's messages for what Cognito answers. login is what follows
// the code in login() and authenticate_user().
var guideMessages = []struct {
	code, safe, login string
}{
	{"NotAuthorizedException", "Invalid username or password", ""},
	{"UserNotFoundException", "User not found", "User not found"},
	{"UserNotConfirmedException", "User account not confirmed. Please verify your email.", "User account not confirmed. Please verify your email."},
	{"PasswordResetRequiredException", "Password reset required", "Password reset required"},
	{"TooManyRequestsException", "Too many requests. Please try again later.", "Too many requests. Please try again later."},
	{"LimitExceededException", "Authentication error: LimitExceededException", ""},
	{"TooManyFailedAttemptsException", "Authentication error: TooManyFailedAttemptsException", ""},
	{"ResourceNotFoundException", "Authentication error: ResourceNotFoundException", ""},
	{"UserLambdaValidationException", "Authentication error: UserLambdaValidationException", ""},
	{"InvalidUserPoolConfigurationException", "Authentication error: InvalidUserPoolConfigurationException", ""},
	{"NeverHeardOfException", "Authentication error: NeverHeardOfException", ""},
}

// requestID is another in each of two calls.
var requestID = regexp.MustCompile(` \(request [^)]*\)`)

func TestGuideMessages(t *testing.T) {
	t.Parallel()
	env := newEnv(t)
	for _, m := range guideMessages {
		message := m.code + ", says Cognito"
		if m.code == "NotAuthorizedException" { // others of this code are not about the password
			message = "Incorrect username or password."
		}
		env.Pool.FailNext("InitiateAuth", -1, cognitotest.Refuse(m.code, message))
		for _, botocore := range []string{"yes", "no"} {
			t.Run(m.code+"/botocore "+botocore, func(t *testing.T) {
				r := run(t, env, python("testdata/errors.py")(t), append(signIn(botocore, testenv.Password), "BOTOCORE="+botocore)...)
				lines := strings.Split(requestID.ReplaceAllString(r.stdout, "")+"\n\n\n\n", "\n")
				login := "Authentication failed: An error occurred (" + m.code + ") when calling the InitiateAuth operation: staging: " + m.login
				if m.safe == "Invalid username or password" {
					login = m.safe
				}
				if lines[0] != "code: "+m.code+" True" || !strings.HasPrefix(lines[1], login) || lines[2] != lines[1] || lines[3] != m.safe {
					t.Errorf("%+v; want the code, twice %q, and %q", r, login, m.safe)
				}
			})
		}
		t.Run(m.code+"/JavaScript", func(t *testing.T) {
			r := run(t, env, node("testdata/functions.mjs")(t), ana...)
			want := "Error: Authentication failed: staging: " + m.login
			if m.safe == "Invalid username or password" {
				want = "Error: " + m.safe
			}
			if !strings.HasPrefix(r.stdout, want) {
				t.Errorf("%+v, want %q", r, want)
			}
		})
		env.Pool.ClearFaults()
	}
}

// TestGuideMessagesWithoutCognito checks what a program says when Cognito refused nothing.
func TestGuideMessagesWithoutCognito(t *testing.T) {
	t.Parallel()
	env := newEnv(t)
	for _, call := range []string{"0", "1", "2", "3"} {
		env.Pool.AddUser(cognitotest.User{Name: "mfa" + call, Password: "Example-horse-7", MFA: []string{"SMS_MFA"}, Phone: "+15550100"})
	}
	for name, c := range map[string]struct {
		extra []string
		says  string
	}{
		"no agent":  {append(ana, "KYC_AGENT_SOCK=/nonexistent/s"), "no agent answers at /nonexistent/s ([Errno 2] No such file or directory); run: systemctl --user start kyc-agentd.socket"},
		"challenge": {signIn("mfa", "Example-horse-7"), "Cognito asks for more (SMS_MFA); run: kyc-agentd login staging"},
	} {
		for _, botocore := range []string{"yes", "no"} {
			t.Run(name+"/botocore "+botocore, func(t *testing.T) {
				expectLines(t, run(t, env, python("testdata/errors.py")(t), append(c.extra, "BOTOCORE="+botocore)...),
					"no code: AgentError", "Authentication failed: "+c.says, "Authentication failed: "+c.says, "Unexpected error: "+c.says)
			})
		}
	}
}

// TestWithheld checks that whatever a program does with the refresh token, it is told that
// there is none, and nothing is sent.
func TestWithheld(t *testing.T) {
	env := newEnv(t)
	for name, argv := range map[string]func(*testing.T) []string{
		"Python": python("testdata/withheld.py"), "JavaScript": node("testdata/withheld.mjs"),
	} {
		t.Run(name, func(t *testing.T) {
			var other bodyRecorder
			srv := httptest.NewServer(&other)
			defer srv.Close()
			r := run(t, env, argv(t), append(ana, "OTHER_URL="+srv.URL)...)
			lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
			if r.code != 0 || len(lines) < 10 {
				t.Fatalf("%+v", r)
			}
			for _, line := range lines {
				if !strings.Contains(strings.ToLower(line), "withheld") {
					t.Errorf("it does not say so: %s", line)
				}
			}
			if strings.Contains(r.stdout, "eyJ") {
				t.Errorf("a token is printed: %s", r.stdout)
			}
			if got := other.take(); len(got) != 0 {
				t.Errorf("the other server got %q", got)
			}
		})
	}
}

// A bodyRecorder records the requests that it gets.
type bodyRecorder struct {
	mu  sync.Mutex
	got []string
}

func (b *bodyRecorder) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	b.got = append(b.got, fmt.Sprintf("%s %v %s", r.URL, r.Header, body))
}

func (b *bodyRecorder) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.got
}

// TestNobodyElse checks that a program that has signed in as one user gets no token, and
// so sends no request, once another has signed in.
func TestNobodyElse(t *testing.T) {
	for name, argv := range map[string]func(*testing.T) []string{
		"Python": python("testdata/pinned.py"), "JavaScript": node("testdata/pinned.mjs"),
	} {
		check := func(t *testing.T, env *testenv.Env, says string, extra []string, then func()) {
			t.Helper()
			out := runInSteps(t, env, argv(t), then, extra...)
			if len(out) != 5 {
				t.Fatalf("it printed %q", out)
			}
			for _, line := range out {
				if strings.HasPrefix(line, "went on") || !strings.Contains(line, says) {
					t.Errorf("want an error that says so, have %q", line)
				}
			}
			if calls := env.API.Calls(); len(calls) != 0 {
				t.Errorf("the API saw %+v", calls)
			}
		}
		t.Run(name+"/kyc-agentd", func(t *testing.T) {
			env := newEnv(t)
			env.Pool.AddUser(cognitotest.User{Name: "bob", Password: "Correct-horse-8"})
			check(t, env, `signed in as "bob", and "`+testenv.User+`" was asked for`, ana, func() {
				expectLines(t, run(t, env, python("-c", "import kyc_auth; kyc_auth.CognitoAuth().login('bob', 'Correct-horse-8')")(t)), "")
			})
		})
		for version, older := range map[string]bool{"an older agent": true, "a newer agent": false} {
			t.Run(name+"/"+version, func(t *testing.T) {
				a := &wireAgent{older: older, token: "eyJ.eyJ.x"}
				check(t, newEnv(t), "another user's", append(ana, a.serve(t)), func() {
					a.mu.Lock()
					defer a.mu.Unlock()
					a.user = "bob"
				})
			})
		}
	}
}

// runInSteps starts a program, calls then when it has printed a line, gives it a line, and
// returns the lines that follow.
func runInSteps(t *testing.T, env *testenv.Env, argv []string, then func(), extra ...string) (lines []string) {
	t.Helper()
	cmd := env.Command(t.Context(), argv[0], argv[1:]...)
	cmd.Env = slices.Concat(cmd.Env, extra)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(stdout)
	if scanner.Scan() {
		then()
	}
	_, _ = io.WriteString(stdin, "go on\n") // it may have ended
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	return lines
}

// TestAccessToken checks that the access token is there where the agent hands it out, and
// else a value that says how.
func TestAccessToken(t *testing.T) {
	env := newEnv(t)
	programs := map[string]func(*testing.T) []string{
		"Python":     python("-c", "import kyc_auth; print(kyc_auth.authenticate_user('ana', 'pa55')['access_token'])"),
		"JavaScript": nodeCode("import { authenticateUser } from 'kyc-auth'\nconsole.log(String((await authenticateUser('ana', 'pa55')).accessToken))"),
	}
	const withheld = "<access token withheld:\nkyc-agentd hands it out where config.toml has hand_out_access_tokens = true in [environments.staging]>\n"
	for name, argv := range programs {
		for version, c := range map[string]struct {
			agent *wireAgent
			want  string
		}{
			"handed out": {&wireAgent{token: "eyJ.eyJ.x", handOut: true}, "access.eyJ.eyJ.x\n"},
			"denied":     {&wireAgent{token: "eyJ.eyJ.x"}, withheld},
			"older":      {&wireAgent{token: "eyJ.eyJ.x", older: true}, withheld},
		} {
			t.Run(name+"/"+version, func(t *testing.T) {
				if r := run(t, env, argv(t), c.agent.serve(t)); r.code != 0 || r.stdout != c.want {
					t.Errorf("%+v, want %q", r, c.want)
				}
			})
		}
	}
}

// TestTracebacks checks that no exception, no frame of the libraries and no repr shows the
// password or a token.
func TestTracebacks(t *testing.T) {
	env := newEnv(t)
	const token, password = "eyJoZWFkZXI.eyJwYXlsb2Fk.c2lnbmF0dXJl", "Tr0ub4dor-and-three"
	env.Pool.AddUser(cognitotest.User{Name: "mfa", Password: password, MFA: []string{"SMS_MFA"}, Phone: "+15550100"})
	hangUp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	}))
	defer hangUp.Close()
	for name, c := range map[string]struct {
		extra []string
		calls []string
	}{
		"wrong password":  {signIn(testenv.User, password), []string{"login", "authenticate_user", "safe_authenticate", "headers"}},
		"wrong code":      {signIn("mfa", password), []string{"login", "challenge", "authenticate_user", "safe_authenticate"}},
		"no agent":        {append(signIn("ana", password), "KYC_AGENT_SOCK=/nonexistent/s"), []string{"login", "authenticate_user", "safe_authenticate", "get_id_token", "refresh", "requests", "httpx"}},
		"no JSON":         {append(signIn("ana", password), (&wireAgent{raw: token}).serve(t)), []string{"login", "authenticate_user", "safe_authenticate", "get_id_token", "refresh", "headers", "requests", "httpx"}},
		"cut off":         {append(signIn("ana", password), (&wireAgent{raw: token, cutOff: true}).serve(t)), []string{"login", "get_id_token", "requests", "httpx"}},
		"bad token":       {append(signIn("ana", password), (&wireAgent{token: token + "\n"}).serve(t)), []string{"login", "get_id_token", "refresh", "headers", "requests", "httpx"}},
		"other origin":    {append(signIn("ana", password), (&wireAgent{token: token}).serve(t), "OTHER_URL=http://127.0.0.1:2"), []string{"requests", "httpx", "dict"}},
		"API hangs up":    {append(signIn("ana", password), (&wireAgent{token: token, apiURL: hangUp.URL}).serve(t), "OTHER_URL="+hangUp.URL), []string{"requests", "dict"}},
		"httpx, hangs up": {append(signIn("ana", password), (&wireAgent{token: token, apiURL: hangUp.URL}).serve(t), "OTHER_URL="+hangUp.URL), []string{"httpx"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, env, python(append([]string{"testdata/tracebacks.py"}, c.calls...)...)(t), c.extra...)
			if n := strings.Count(r.stdout, "== "); r.code != 0 || n != len(c.calls) || strings.Contains(r.stdout, "did not fail") {
				t.Fatalf("%d calls failed, want %d: %+v", n, len(c.calls), r)
			}
			for line := range strings.SplitSeq(r.stdout+r.stderr, "\n") {
				if strings.Contains(line, password) || strings.Contains(line, token) {
					t.Errorf("a secret is in: %s", line)
				}
			}
		})
	}
}
