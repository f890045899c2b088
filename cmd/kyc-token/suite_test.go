package main

// What git, the go command, Kubernetes' clients, Google's libraries and the AWS SDKs rely on in
// the programs that they run: their own test suites were the list of situations. kyc-token
// answers here with the real server behind it.

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// A hosted service is an agent with hosts, for the tools that ask by host.
type hosted struct {
	service
	credentials agent.AWSCredentials
}

// Status implements [agent.Service].
func (*hosted) Status(context.Context) (agent.Status, error) {
	return agent.Status{Environments: []agent.EnvironmentStatus{
		{Name: "prod", APIURL: "https://kyc.legaltalent.ai/v1", AllowedHosts: []string{"files.example:8443", "[::1]:8443"}},
		{Name: "local", APIURL: "http://127.0.0.1:8080"},
	}}, nil
}

// AWSCredentials implements [agent.Service].
func (h *hosted) AWSCredentials(context.Context, agent.TokenRequest) (agent.AWSCredentials, error) {
	return h.credentials, h.err
}

func serveHosted(t *testing.T) string {
	t.Helper()
	return serve(t, &hosted{service: service{token: someToken()}})
}

// ends reports whether a tool that is told this end asks again in time: it is not past, and not
// later than the token's.
func ends(t *testing.T, end, last time.Time) {
	t.Helper()
	if now := time.Now(); end.Before(now) || end.After(last) {
		t.Errorf("the end is %s, at %s, with a token until %s", end, now, last)
	}
}

// gitAnswer is the whole answer to git, but for the end.
const gitAnswer = "capability[]=authtype\nauthtype=Bearer\ncredential=eyJ.e30.c2ln\nephemeral=1\npassword_expiry_utc="

const gitAsks = "capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=kyc.legaltalent.ai\n"

// TestGitSuite: git gets a token for exactly the hosts of an environment, whatever else it says.
func TestGitSuite(t *testing.T) {
	answered := map[string]string{
		"WWW-Authenticate":           gitAsks + "wwwauth[]=Bearer realm=\"kyc\"\n",
		"several":                    gitAsks + "wwwauth[]=Negotiate\nwwwauth[]=Basic realm=\"a\", charset=\"UTF-8\"\nwwwauth[]=Bearer\n",
		"without Bearer":             gitAsks + "wwwauth[]=Basic realm=\"kyc\"\n",
		"an empty one":               gitAsks + "wwwauth[]=\nwwwauth[]=Bearer\n",
		"with blanks and tabs":       gitAsks + "wwwauth[]= \t Bearer\trealm = \"a\" \n",
		"with = and quotes":          gitAsks + "wwwauth[]=Bearer a=\"x=y\\\"z\", b==\n",
		"that reads like a key":      gitAsks + "wwwauth[]=host=evil.example\nwwwauth[]=protocol=http\n",
		"with bytes beyond ASCII":    gitAsks + "wwwauth[]=Bearer realm=\"\xff\u00e9\"\n",
		"a token that was refused":   gitAsks + "wwwauth[]=Bearer error=\"invalid_token\"\nauthtype=Bearer\ncredential=old\n",
		"before the host":            "wwwauth[]=Bearer\nstate[]=x\n" + gitAsks,
		"state of other helpers":     gitAsks + "state[]=kyc.x=1\nstate[]=other.y=2\nstate[]=\n",
		"continue":                   gitAsks + "continue=1\n",
		"ephemeral":                  gitAsks + "ephemeral=1\n",
		"an end that is past":        gitAsks + "password_expiry_utc=1\n",
		"a refresh token":            gitAsks + "oauth_refresh_token=x\n",
		"a user":                     gitAsks + "username=alice\n",
		"an empty user":              gitAsks + "username=\n",
		"a user with a password":     gitAsks + "username=alice\npassword=hunter2\n",
		"a path":                     gitAsks + "path=kyc/rules.git\n",
		"a path that leads out":      gitAsks + "path=../../x?y#z\n",
		"an empty path":              gitAsks + "path=\n",
		"a path with blanks":         gitAsks + "path= a b \n",
		"a long path":                gitAsks + "path=" + strings.Repeat("x", 60<<10) + "\n",
		"a key of a later git":       gitAsks + "later=1\nlater[]=2\n",
		"an array's key without []":  gitAsks + "wwwauth=Bearer\ncapability=x\n",
		"an empty key":               gitAsks + "=x\n",
		"a URL":                      gitAsks + "url=https://evil.example/\n",
		"a capability twice":         gitAsks + "capability[]=authtype\n",
		"an unknown capability":      gitAsks + "capability[]=later\n",
		"a list that is begun again": "capability[]=x\ncapability[]=\n" + gitAsks,
		"no blank line":              strings.TrimSuffix(gitAsks, "\n"),
		"more after the blank line":  gitAsks + "\nprotocol=https\nhost=github.com\n\n",
		"the scheme's port":          strings.Replace(gitAsks, ".ai", ".ai:443", 1),
		"a host in capitals":         strings.Replace(gitAsks, "kyc.legaltalent.ai", "KYC.LegalTalent.AI", 1),
		"a port":                     strings.Replace(gitAsks, "kyc.legaltalent.ai", "files.example:8443", 1),
		"an IPv6 address":            strings.Replace(gitAsks, "kyc.legaltalent.ai", "[::1]:8443", 1),
		"plain HTTP on loopback":     strings.NewReplacer("https", "http", "kyc.legaltalent.ai", "127.0.0.1:8080").Replace(gitAsks),
		"the last of two hosts":      "host=github.com\n" + gitAsks,
	}
	silent := map[string]string{
		"another port":         strings.Replace(gitAsks, ".ai", ".ai:8443", 1),
		"no port of two":       strings.Replace(gitAsks, "kyc.legaltalent.ai", "files.example", 1),
		"an empty port":        strings.Replace(gitAsks, ".ai", ".ai:", 1),
		"port 0443":            strings.Replace(gitAsks, ".ai", ".ai:0443", 1),
		"a dot at the end":     strings.Replace(gitAsks, ".ai", ".ai.", 1),
		"a host below":         strings.Replace(gitAsks, "kyc.", "x.kyc.", 1),
		"a host above":         strings.Replace(gitAsks, "kyc.", "", 1),
		"an escape":            strings.Replace(gitAsks, "kyc.", "%6byc.", 1),
		"a user in the host":   strings.Replace(gitAsks, "kyc.", "x@kyc.", 1),
		"a blank in the host":  strings.Replace(gitAsks, "=kyc.", "= kyc.", 1),
		"a blank at its end":   strings.Replace(gitAsks, ".ai", ".ai ", 1),
		"not ASCII":            strings.Replace(gitAsks, "kyc.", "\u212ayc.", 1),
		"plain HTTP":           strings.Replace(gitAsks, "https", "http", 1),
		"HTTPS on loopback":    strings.Replace(gitAsks, "kyc.legaltalent.ai", "127.0.0.1:8080", 1),
		"a blank in protocol":  strings.Replace(gitAsks, "https", " https", 1),
		"an empty protocol":    strings.Replace(gitAsks, "https", "", 1),
		"an empty host":        strings.Replace(gitAsks, "kyc.legaltalent.ai", "", 1),
		"no protocol":          strings.Replace(gitAsks, "protocol=https\n", "", 1),
		"no host":              strings.Replace(gitAsks, "host=kyc.legaltalent.ai\n", "", 1),
		"an emptied host":      gitAsks + "host=\n",
		"a certificate":        "protocol=cert\npath=/home/ana/key.pem\n",
		"an IMAP server":       strings.Replace(gitAsks, "https", "imaps", 1),
		"a URL alone":          "capability[]=authtype\nurl=https://kyc.legaltalent.ai\n",
		"keys in capitals":     "capability[]=authtype\nPROTOCOL=https\nHOST=kyc.legaltalent.ai\n",
		"a blank before =":     "capability[]=authtype\nprotocol =https\nhost =kyc.legaltalent.ai\n",
		"the host after blank": "capability[]=authtype\nprotocol=https\n\nhost=kyc.legaltalent.ai\n",
		"no capability either": "protocol=https\nhost=github.com\n",
	}
	refused := map[string]struct{ asks, words string }{
		"no capability":            {"protocol=https\nhost=kyc.legaltalent.ai\n", "use git 2.46"},
		"another capability":       {"capability[]=state\nprotocol=https\nhost=kyc.legaltalent.ai\n", "use git 2.46"},
		"capabilities, taken back": {gitAsks + "capability[]=\n", "use git 2.46"},
		"a capability in capitals": {strings.Replace(gitAsks, "authtype", "AuthType", 1), "use git 2.46"},
		"CR LF":                    {strings.ReplaceAll(gitAsks, "\n", "\r\n") + "\r\n", "not key=value"},
		"a line without =":         {gitAsks + "quit\n", "not key=value"},
	}
	path := serveHosted(t)
	asks := func(text string) outcome { return run(t, withName(git, text), "-socket", path, "get") }
	for name, text := range answered {
		for _, text := range []string{text, text + "\n"} {
			o := asks(text)
			end, complete := strings.CutPrefix(strings.TrimSuffix(o.stdout, "\n"), gitAnswer)
			at, err := strconv.ParseInt(end, 10, 64)
			if o.exit != exitOK || !complete || err != nil || o.stderr != "" || !strings.HasSuffix(o.stdout, "\n") {
				t.Errorf("%s: %+v", name, o)
				continue
			}
			ends(t, time.Unix(at, 0), time.Now().Add(time.Hour))
		}
	}
	for name, text := range silent {
		if o := asks(text); o != (outcome{}) {
			t.Errorf("%s: %+v", name, o)
		}
	}
	for name, test := range refused {
		t.Run(name, func(t *testing.T) { asks(test.asks).wantFailure(t, exitUsage, "quit=1\n", test.words) })
	}
	// What git tells a helper to keep or to forget has passwords in it, and is for other helpers.
	for _, operation := range []string{"store", "erase", "later"} {
		run(t, withName(git, gitAsks+"authtype=Bearer\ncredential=hunter2\nephemeral=1\nstate[]=x\n"), "-socket", path, operation).wantSuccess(t, "")
	}
	t.Logf("%d answered, %d silent, %d refused", 2*len(answered), len(silent), len(refused))
}

// TestGitSuiteWithGit: git asks the helpers one after the other, and ours leaves all that is not
// its own to the next.
func TestGitSuiteWithGit(t *testing.T) {
	binary, path, dir := testpeer.Program(t, "git", "git"), serveHosted(t), t.TempDir()
	helper := filepath.Join(dir, git)
	if err := os.Symlink(testpeer.Build(t, "kyc-token"), helper); err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(dir, "next") // records how it is asked, and has a password for every host
	ask := func(socket, operation, question string) (outcome, string) {
		t.Helper()
		_ = os.Remove(next)
		cmd := exec.Command(binary, "-c", "credential.helper=", "-c", "credential.useHttpPath=true", "-c", "credential.helper="+helper,
			"-c", `credential.helper=!f() { echo "$1" >>`+next+`; cat >>`+next+`; test "$1" != get || printf "username=u\npassword=p\n"; }; f`,
			"credential", operation)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "KYC_AGENT_SOCK=" + socket}
		cmd.Stdin, cmd.Dir = strings.NewReader(question), dir
		o := finish(t, cmd)
		asked, _ := os.ReadFile(next)
		return o, string(asked)
	}
	const elsewhere, here = "protocol=https\nhost=github.com\npath=a/b.git\n\n", "protocol=https\nhost=kyc.legaltalent.ai\npath=a/b.git\n\n"
	if o, asked := ask(path, "fill", elsewhere); o.exit != 0 || o.stderr != "" || !strings.Contains(o.stdout, "password=p\n") || !strings.HasPrefix(asked, "get\n") {
		t.Errorf("another host: %+v, the next is asked %q", o, asked)
	}
	// A git before 2.46 takes no bearer token. It then ends, and asks nobody.
	if o, asked := ask(path, "fill", here); o.exit != 128 || o.stdout != "" || !strings.Contains(o.stderr, "use git 2.46") || !strings.Contains(o.stderr, "quit") || asked != "" {
		t.Errorf("our host: %+v, the next is asked %q", o, asked)
	}
	// git itself can, from 2.46 on, and says so if it is asked with the capability.
	if o, asked := ask(path, "fill", "capability[]=authtype\n"+here); o.exit == 0 && !strings.Contains(o.stdout, "credential=eyJ.e30.c2ln\n") || asked != "" {
		t.Errorf("our host, with a capability: %+v, the next is asked %q", o, asked)
	}
	// Without an agent git says why, and goes on as without the helper.
	if o, asked := ask(path+"x", "fill", here); o.exit != 0 || !strings.Contains(o.stderr, "kyc-token: no agent answers") || !strings.HasPrefix(asked, "get\n") {
		t.Errorf("no agent: %+v, the next is asked %q", o, asked)
	}
	for operation, name := range map[string]string{"approve": "store", "reject": "erase"} {
		for _, host := range []string{elsewhere, here} {
			o, asked := ask(path+"x", operation, strings.TrimSuffix(host, "\n")+"username=u\npassword=hunter2\n\n")
			if o != (outcome{}) || !strings.HasPrefix(asked, name+"\n") || !strings.Contains(asked, "hunter2") {
				t.Errorf("%s: %+v, the next is asked %q", operation, o, asked)
			}
		}
	}
}

// A credentialSet is what the go command reads of one: URLs, a blank line, headers, a blank line.
type credentialSet struct{ urls, headers []string }

func readGoauth(t *testing.T, text string) []credentialSet {
	t.Helper()
	var sets []credentialSet
	blocks := strings.SplitAfter(text, "\n\n")
	if blocks[len(blocks)-1] != "" || len(blocks)%2 == 0 {
		t.Errorf("%q does not end with a blank line", text)
		return nil
	}
	for i := 0; i+1 < len(blocks); i += 2 {
		sets = append(sets, credentialSet{strings.Fields(blocks[i]), strings.Split(strings.TrimRight(blocks[i+1], "\n"), "\n")})
	}
	return sets
}

// TestGoauthSuite: the go command gets one header for the hosts that it may go to, and nothing
// for others, whatever the server answered.
func TestGoauthSuite(t *testing.T) {
	path := serveHosted(t)
	all := "https://kyc.legaltalent.ai https://files.example:8443 https://[::1]:8443"
	challenges := []string{
		"", "HTTP/1.1 401 Unauthorized\n\n", "HTTP/2.0 404 Not Found\nWww-Authenticate: Basic, Bearer\n\n",
		"HTTP/1.1 401 Unauthorized\nX: a\n b\n\tc\n\n", "HTTP/1.1 401 Unauthorized\r\nX: https://kyc.legaltalent.ai\r\n\r\n",
		"HTTP/1.1 403 Forbidden\nX: " + strings.Repeat("x", 200<<10) + "\n\n", "\x00\xff", "no blank line",
	}
	for asked, want := range map[string]string{
		"":                                      all,
		"https://kyc.legaltalent.ai":            "https://kyc.legaltalent.ai",
		"https://kyc.legaltalent.ai/":           "https://kyc.legaltalent.ai",
		"https://kyc.legaltalent.ai/a/@v/list":  "https://kyc.legaltalent.ai",
		"https://kyc.legaltalent.ai/a?go-get=1": "https://kyc.legaltalent.ai",
		"https://kyc.legaltalent.ai/a#b":        "https://kyc.legaltalent.ai",
		"https://kyc.legaltalent.ai:443/a":      "https://kyc.legaltalent.ai",
		"https://KYC.legaltalent.ai/A":          "https://kyc.legaltalent.ai",
		"https://files.example:8443/x/../y":     "https://files.example:8443",
		"https://[::1]:8443/":                   "https://[::1]:8443",

		"https://files.example/":                  "",
		"https://files.example:443/":              "",
		"https://kyc.legaltalent.ai.evil.example": "",
		"https://evil.example/kyc.legaltalent.ai": "",
		"https://kyc.legaltalent.ai@evil.example": "",
		"https://x:y@kyc.legaltalent.ai/":         "",
		"https://kyc.legaltalent.ai:/":            "",
		"https://kyc.legaltalent.ai:0/":           "",
		"https://kyc.legaltalent.ai./":            "",
		"https://kyc%2elegaltalent.ai/":           "",
		"https://kyc.legaltalent.ai\\@evil/":      "",
		"https:///x":                              "",
		"://":                                     "",
		"http://kyc.legaltalent.ai/":              "",
		"http://127.0.0.1:8080/":                  "",
		"ssh://kyc.legaltalent.ai/":               "",
	} {
		for _, challenge := range challenges {
			args := []string{"-socket", path}
			if asked != "" {
				args = append(args, asked)
			}
			o := run(t, withName(goauth, challenge), args...)
			if o.exit != exitOK || o.stderr != "" || want == "" && o.stdout != "" {
				t.Errorf("%q: %+v", asked, o)
				continue
			}
			sets := readGoauth(t, o.stdout)
			if want == "" && len(sets) == 0 {
				continue
			}
			if len(sets) != 1 || strings.Join(sets[0].urls, " ") != want || len(sets[0].headers) != 1 || sets[0].headers[0] != "Authorization: Bearer eyJ.e30.c2ln" {
				t.Errorf("%q: %q", asked, sets)
				continue
			}
			for _, raw := range sets[0].urls {
				if u, err := url.ParseRequestURI(raw); err != nil || u.Scheme != "https" || u.Path != "" {
					t.Errorf("%q is no prefix for the go command: %v", raw, err)
				}
			}
		}
	}
	// The go command shows what is on stderr, and ignores stdout.
	failing := serve(t, &hosted{service: service{err: &agent.Error{Code: agent.CodeLoginRequired, Environment: "prod", Message: "not signed in", Hint: "run: kyc-agentd login prod"}}})
	for _, args := range [][]string{nil, {"https://kyc.legaltalent.ai/x"}, {"prod"}, {"prod", "https://kyc.legaltalent.ai/x"}} {
		run(t, withName(goauth, ""), append([]string{"-socket", failing}, args...)...).wantFailure(t, exitDenied, "", "kyc-agentd login prod")
	}
	run(t, withName(goauth, ""), "-socket", failing, "https://modules.example/x").wantSuccess(t, "")
}

// TestExecPluginSuite: a Kubernetes client gets the version that it asks for, with a token and its
// end and nothing else; an answer that it would refuse is an error that a person can read.
func TestExecPluginSuite(t *testing.T) {
	const v1, beta = "client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"
	info := func(version, spec string) string {
		return fmt.Sprintf(`{"kind":"ExecCredential","apiVersion":%q,"spec":%s}`, version, spec)
	}
	path := serveHosted(t)
	for name, test := range map[string]struct{ info, version string }{
		"no info":               {"", v1},
		"v1":                    {info(v1, `{"interactive":false}`), v1},
		"v1beta1":               {info(beta, `{"interactive":false}`), beta},
		"a person is there":     {info(v1, `{"interactive":true}`), v1},
		"a cluster":             {info(v1, `{"cluster":{"server":"https://k8s.example","tls-server-name":"x","certificate-authority-data":"LS0t","config":{"kind":"X","token":"y"}},"interactive":false}`), v1},
		"a cluster, unchecked":  {info(beta, `{"cluster":{"server":"https://k8s.example","insecure-skip-tls-verify":true,"proxy-url":"http://p","disable-compression":true}}`), beta},
		"no spec":               {`{"kind":"ExecCredential","apiVersion":"` + v1 + `"}`, v1},
		"spec null":             {info(v1, "null"), v1},
		"an empty spec":         {info(v1, "{}"), v1},
		"a spec of later":       {info(v1, `{"later":[1]}`), v1},
		"a status":              {`{"kind":"ExecCredential","apiVersion":"` + v1 + `","status":{"token":"old"}}`, v1},
		"other order, blanks":   {"\n { \"apiVersion\" : \"" + beta + "\" ,\t\"kind\" : \"ExecCredential\" }\n", beta},
		"an escape":             {`{"kind":"Exec\u0043redential","apiVersion":"` + v1 + `"}`, v1},
		"a cluster's large CA":  {info(v1, `{"cluster":{"certificate-authority-data":"`+strings.Repeat("A", 60<<10)+`"}}`), v1},
		"metadata, as k8s puts": {`{"kind":"ExecCredential","apiVersion":"` + v1 + `","metadata":{"creationTimestamp":null},"spec":{"interactive":false}}`, v1},
	} {
		o := run(t, environ("KUBERNETES_EXEC_INFO", test.info), "-socket", path, "-f", "k8s", "prod")
		var got map[string]any
		if err := json.Unmarshal([]byte(o.stdout), &got); err != nil || o.exit != exitOK || o.stderr != "" {
			t.Errorf("%s: %+v, %v", name, o, err)
			continue
		}
		status, _ := got["status"].(map[string]any)
		end, err := time.Parse(time.RFC3339, fmt.Sprint(status["expirationTimestamp"]))
		if len(got) != 3 || len(status) != 2 || got["apiVersion"] != test.version || got["kind"] != "ExecCredential" || status["token"] != "eyJ.e30.c2ln" || err != nil {
			t.Errorf("%s: %s, %v", name, o.stdout, err)
		}
		ends(t, end, time.Now().Add(time.Hour))
	}
	for name, test := range map[string]struct{ info, words string }{
		"v1alpha1":               {info("client.authentication.k8s.io/v1alpha1", "{}"), "apiVersion"},
		"a later version":        {info("client.authentication.k8s.io/v2", "{}"), "set apiVersion in the kubeconfig to " + v1 + " or " + beta},
		"no version":             {`{"kind":"ExecCredential"}`, "apiVersion"},
		"a version that is null": {`{"kind":"ExecCredential","apiVersion":null}`, "apiVersion"},
		"another group":          {info("authentication.k8s.io/v1", "{}"), "apiVersion"},
		"a version alone":        {info("v1", "{}"), "apiVersion"},
		"a version in capitals":  {info("client.authentication.k8s.io/V1", "{}"), "apiVersion"},
		"a version, and more":    {`{"kind":"ExecCredential","apiVersion":"` + v1 + `\u001b[2J"}`, "apiVersion"},
		"another kind":           {`{"kind":"TokenReview","apiVersion":"` + v1 + `"}`, "no ExecCredential"},
		"no kind":                {`{"apiVersion":"` + v1 + `"}`, "no ExecCredential"},
		"a kind in lower case":   {`{"kind":"execcredential","apiVersion":"` + v1 + `"}`, "no ExecCredential"},
		"a kind of a number":     {`{"kind":1,"apiVersion":"` + v1 + `"}`, "no ExecCredential"},
		"not JSON":               {"ExecCredential", "no ExecCredential"},
		"half of it":             {info(v1, "{}")[:40], "no ExecCredential"},
		"two of it":              {info(v1, "{}") + info(beta, "{}"), "no ExecCredential"},
		"a list":                 {"[" + info(v1, "{}") + "]", "no ExecCredential"},
		"null":                   {"null", "no ExecCredential"},
		"a blank":                {" ", "no ExecCredential"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, environ("KUBERNETES_EXEC_INFO", test.info), "-socket", path, "-f", "k8s").wantFailure(t, exitUsage, "", test.words)
		})
	}
	key := serve(t, &service{token: agent.Token{Environment: "prod", IDToken: agent.NewSecret("sk_live_1"), APIURL: "https://kyc.legaltalent.ai"}})
	run(t, environ("KUBERNETES_EXEC_INFO", info(beta, "{}")), "-socket", key, "-f", "k8s").
		wantSuccess(t, `{"apiVersion":"`+beta+`","kind":"ExecCredential","status":{"token":"sk_live_1"}}`+"\n")
	refusing := serve(t, &service{err: &agent.Error{Code: agent.CodeLoginRequired, Environment: "prod", Message: "not signed in", Hint: "run: kyc-agentd login prod"}})
	for _, interactive := range []string{"true", "false"} {
		run(t, environ("KUBERNETES_EXEC_INFO", info(v1, `{"interactive":`+interactive+"}")), "-socket", refusing, "-f", "k8s").
			wantFailure(t, exitDenied, "", "kyc-agentd login prod")
	}
}

// TestGoogleSuite: Google's library for Go passes on a token of any life, and what it says of a
// failure is the agent's line.
func TestGoogleSuite(t *testing.T) {
	exchange, binary := newGoogleExchange(t), testpeer.Build(t, "kyc-token")
	token := func(socket, tokenType, file string) error {
		return exchange.token(binary+" -socket "+socket+" -f google prod", tokenType, file)
	}
	short, key := someToken(), agent.Token{Environment: "prod", IDToken: agent.NewSecret("sk_live_1"), APIURL: "https://kyc.legaltalent.ai"}
	short.ExpiresAt = time.Now().Add(30 * time.Second)
	file := filepath.Join(t.TempDir(), "cache.json")
	for name, test := range map[string]struct {
		token           agent.Token
		tokenType, file string
	}{
		"an ID token":             {someToken(), "id_token", ""},
		"that is called a JWT":    {someToken(), "jwt", ""},
		"with a file":             {someToken(), "id_token", file},
		"soon at its end":         {short, "id_token", ""},
		"soon at its end, a file": {short, "id_token", file},
		"without an end":          {key, "id_token", ""},
	} {
		err := token(serve(t, &service{token: test.token}), test.tokenType, test.file)
		if err != nil || exchange.exchanged != test.token.IDToken.Reveal() {
			t.Errorf("%s: %q, %v", name, exchange.exchanged, err)
		}
	}
	if err := token(serve(t, &service{token: key}), "id_token", file); err == nil || !strings.Contains(err.Error(), "expiration_time") || strings.Contains(err.Error(), "sk_live") {
		t.Errorf("a key, for a file that would be used without an end: %v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a token was written to the library's file")
	}
	for code, number := range map[agent.Code]string{
		agent.CodeUsage: "400", agent.CodeLoginRequired: "401", agent.CodeDenied: "401", agent.CodeUnknownEnvironment: "404",
		agent.CodeConfiguration: "404", agent.CodeLocked: "401", agent.CodeThrottled: "503", agent.CodeInternal: "500", agent.CodeUnavailable: "503",
	} {
		err := token(serve(t, &service{err: &agent.Error{Code: code, Environment: "prod", Message: `the "cause"`, Hint: "run: this"}}), "id_token", file)
		if err == nil || !strings.Contains(err.Error(), "("+number+`) prod: the "cause"; run: this`) || exchange.exchanged != "" {
			t.Errorf("%s: %q, %v", code, exchange.exchanged, err)
		}
	}
}

// TestAWSSuite: an AWS SDK reads whole credentials with their end, or sees that there are none.
func TestAWSSuite(t *testing.T) {
	end := time.Now().Add(time.Hour)
	long := strings.Repeat("IQoJ//+a", 400) + "=="
	for name, c := range map[string]agent.AWSCredentials{
		"ordinary":          {AccessKeyID: "ASIA0123456789ABCDEF", SecretAccessKey: agent.NewSecret("a/b+c="), SessionToken: agent.NewSecret("IQoJ//=="), ExpiresAt: end},
		"another time zone": {AccessKeyID: "ASIAX", SecretAccessKey: agent.NewSecret("s"), SessionToken: agent.NewSecret("t"), ExpiresAt: end.In(time.FixedZone("", -5*3600))},
		"a long token":      {AccessKeyID: "ASIAX", SecretAccessKey: agent.NewSecret("s"), SessionToken: agent.NewSecret(long), ExpiresAt: end},
		"soon at their end": {AccessKeyID: "ASIAX", SecretAccessKey: agent.NewSecret("s"), SessionToken: agent.NewSecret("t"), ExpiresAt: time.Now().Add(20 * time.Second)},
	} {
		o := run(t, nil, "-socket", serve(t, &hosted{credentials: c}), "-f", "aws", "prod")
		var got map[string]any
		if err := json.Unmarshal([]byte(o.stdout), &got); err != nil || o.exit != exitOK || o.stderr != "" || !strings.HasPrefix(o.stdout, "{") {
			t.Errorf("%s: %+v, %v", name, o, err)
			continue
		}
		at, err := time.Parse("2006-01-02T15:04:05Z", fmt.Sprint(got["Expiration"])) // boto3 and the CLI read more, others do not
		if err != nil || got["Version"] != 1.0 || got["AccessKeyId"] != c.AccessKeyID || got["SecretAccessKey"] != c.SecretAccessKey.Reveal() ||
			got["SessionToken"] != c.SessionToken.Reveal() || len(got) != 5 {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		ends(t, at, c.ExpiresAt)
	}
	// An SDK shows stderr if the exit code is not 0, and looks at stdout otherwise.
	for code, exit := range map[agent.Code]int{
		agent.CodeUsage: 64, agent.CodeLoginRequired: 77, agent.CodeDenied: 77, agent.CodeUnknownEnvironment: 78,
		agent.CodeConfiguration: 78, agent.CodeLocked: 77, agent.CodeThrottled: 75, agent.CodeInternal: 70, agent.CodeUnavailable: 75,
	} {
		failing := &hosted{service: service{err: &agent.Error{Code: code, Environment: "prod", Message: "cause", Hint: "run: this"}}}
		run(t, nil, "-socket", serve(t, failing), "-f", "aws", "prod").wantFailure(t, exit, "", "kyc-token: prod: cause; run: this\n")
	}
	const whole = `{"Version":1,"AccessKeyId":"ASIAX","SecretAccessKey":"s","SessionToken":"t","Expiration":"2026-01-02T03:04:05Z"}`
	for name, answer := range map[string]string{
		"version 2":            strings.Replace(whole, ":1,", ":2,", 1),
		"a version in quotes":  strings.Replace(whole, ":1,", `:"1",`, 1),
		"no version":           strings.Replace(whole, `"Version":1,`, "", 1),
		"no key":               strings.Replace(whole, `"AccessKeyId":"ASIAX",`, "", 1),
		"an empty key":         strings.Replace(whole, "ASIAX", "", 1),
		"no secret":            strings.Replace(whole, `"SecretAccessKey":"s",`, "", 1),
		"an empty secret":      strings.Replace(whole, `"s"`, `""`, 1),
		"no session":           strings.Replace(whole, `"SessionToken":"t",`, "", 1),
		"no end":               strings.Replace(whole, `,"Expiration":"2026-01-02T03:04:05Z"`, "", 1),
		"an end that is none":  strings.Replace(whole, "2026-01-02T03:04:05Z", "soon", 1),
		"an end without zone":  strings.Replace(whole, "05Z", "05", 1),
		"an end of null":       strings.Replace(whole, `"2026-01-02T03:04:05Z"`, "null", 1),
		"names in lower case":  strings.Replace(whole, "AccessKeyId", "accesskeyid", 1),
		"a name twice":         strings.Replace(whole, `"SecretAccessKey"`, `"AccessKeyId":"ASIAY","SecretAccessKey"`, 1),
		"half of it":           whole[:60],
		"two of it":            whole + whole,
		"what is not JSON":     "AccessKeyId=ASIAX",
		"a list":               "[" + whole + "]",
		"nothing but the line": "",
	} {
		t.Run(name, func(t *testing.T) {
			run(t, nil, "-socket", agentAnswering(t, ok(answer+"\n")).path, "-f", "aws").wantFailure(t, exitInternal, "", "not what was asked for")
		})
	}
}
