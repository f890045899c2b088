package main

import (
	"encoding/base64"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

const (
	jwt      = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"
	jsonLine = `{"token":"` + jwt + `","token_type":"Bearer","expires_at":"2026-01-02T03:04:05Z","expires_in":"3600","environment":"prod","api_url":"https://kyc.example/?a=b\u0026c","user":"ana@example.com","sub":"7d1f"}` + "\n"
	envLines = "KYC_TOKEN=" + jwt + "\nKYC_API_URL='https://kyc.example/?a=it'\\''s'\nKYC_TOKEN_EXPIRES_AT=2026-01-02T03:04:05Z\n"
)

// A question is one way to run kyc-token, and the start of the request that it sends.
type question struct {
	name, program string
	args          []string
	target        string
	answer        string // as kyc-agentd writes it
}

var questions = []question{
	{"token", "kyc-token", nil, "GET /v1/token HTTP", tokenLine},
	{"token by name", "kyc-token", []string{"-f", "token"}, "GET /v1/token?format=token", tokenLine},
	{"access token", "kyc-token", []string{"-t", "access"}, "GET /v1/token?type=access", tokenLine},
	{"header", "kyc-token", []string{"-f", "header"}, "GET /v1/token?format=header", "Authorization: Bearer " + jwt + "\n"},
	{"curl", "kyc-token", []string{"-f", "curl"}, "GET /v1/token?format=curl", `oauth2-bearer = "` + jwt + "\"\n"},
	{"json", "kyc-token", []string{"-f", "json"}, "GET /v1/token?format=json", jsonLine},
	{"env", "kyc-token", []string{"-f", "env"}, "GET /v1/token?format=env", envLines},
	{"k8s", "kyc-token", []string{"-f", "k8s"}, "GET /v1/token?format=k8s", `{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"` + jwt + `","expirationTimestamp":"2026-01-02T03:04:05Z"}}` + "\n"},
	{"google", "kyc-token", []string{"-f", "google"}, "GET /v1/token?format=google", `{"version":1,"success":true,"token_type":"urn:ietf:params:oauth:token-type:id_token","id_token":"` + jwt + `","expiration_time":1767323045}` + "\n"},
	{"claims", "kyc-token", []string{"-f", "claims"}, "GET /v1/token?format=claims", `{"a":{"b":[1,-2.5e+3,true,null,{}]},"aud":"7","cognito:groups":["x","y"],"name":"J\u0022\"\u202e\n"}` + "\n"},
	{"aws", "kyc-token", []string{"-f", "aws"}, "GET /v1/token?format=aws", `{"Version":1,"AccessKeyId":"ASIAX","SecretAccessKey":"a/b+c=","SessionToken":"d//e==","Expiration":"2026-01-02T03:04:05Z"}` + "\n"},
	{"bazel", "kyc-token", []string{"get"}, "POST /v1/helper/bazel", `{"headers":{"Authorization":["Bearer ` + jwt + `"]},"expires":"2026-01-02T03:04:05Z"}` + "\n"},
	{"git", git, []string{"get"}, "POST /v1/helper/git?operation=get", "capability[]=authtype\nauthtype=Bearer\ncredential=" + jwt + "\nephemeral=1\npassword_expiry_utc=1767323045\n"},
	{"git capability", git, []string{"capability"}, "POST /v1/helper/git?operation=capability", "version 0\ncapability authtype\n"},
	{"terraform", terraform, []string{"get", "kyc.example"}, "POST /v1/helper/terraform", `{"token":"` + jwt + "\"}\n"},
	{"goauth", goauth, nil, "POST /v1/helper/goauth", "https://kyc.example\nhttps://[::1]:8443\n\nAuthorization: Bearer " + jwt + "\n\n"},
	{"exec", "kyc-token", []string{"exec", "--", "/bin/sh", "-c", `echo "$KYC_TOKEN" "$KYC_API_URL"`}, "POST /v1/helper/exec", "KYC_TOKEN=" + jwt + "\nKYC_API_URL=https://kyc.example/?a=b c\nKYC_TOKEN_EXPIRES_AT=\n"},
}

// wellBehaved is a fakeAgent that answers as kyc-agentd does.
func wellBehaved(t testing.TB) *fakeAgent {
	t.Helper()
	var f *fakeAgent
	ready := make(chan struct{})
	f = newFakeAgent(t, func(c net.Conn) {
		<-ready
		requests := f.received()
		_, _ = io.WriteString(c, ok(answerTo(requests[len(requests)-1])))
	})
	close(ready)
	return f
}

// answerTo returns what kyc-agentd writes to a request.
func answerTo(request string) string {
	line, _, _ := strings.Cut(request, "\r\n")
	path, _, _ := strings.Cut(strings.Fields(line)[1], "?")
	if name, is := strings.CutPrefix(path, "/v1/helper/"); is {
		return questionOf(name, strings.Contains(line, "operation=capability")).answer
	}
	format := "token"
	if _, rest, named := strings.Cut(line, "format="); named {
		format, _, _ = strings.Cut(strings.Fields(rest)[0], "&")
	}
	return questionOf(format, false).answer
}

func questionOf(name string, capability bool) question {
	if capability {
		name += " capability"
	}
	for _, q := range questions {
		if q.name == name {
			return q
		}
	}
	panic("no such question: " + name)
}

// ask runs the binary for q against the socket. dir becomes its working and home folder.
func (q question) ask(t *testing.T, binary, socket, dir string) outcome {
	t.Helper()
	link := filepath.Join(t.TempDir(), q.program)
	if err := os.Symlink(binary, link); err != nil {
		t.Fatal(err)
	}
	cmd := program(t)
	cmd.Path, cmd.Args = link, append([]string{link}, q.args...)
	cmd.Env = append(cmd.Env, "KYC_AGENT_SOCK="+socket, "HOME="+dir)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader("protocol=https\n\n")
	return finish(t, cmd)
}

func TestAnswersInShape(t *testing.T) {
	binary := testpeer.Build(t, "kyc-token")
	for _, q := range questions {
		agent := agentAnswering(t, ok(q.answer))
		want := q.answer
		switch q.name {
		case "curl":
			want += allowed
		case "exec":
			want = jwt + " https://kyc.example/?a=b c\n"
		}
		q.ask(t, binary, agent.path, t.TempDir()).wantSuccess(t, want)
		if got := agent.received(); len(got) != 1 || !strings.HasPrefix(got[0], q.target) {
			t.Errorf("%s: sent %q", q.name, got)
		}
	}
}

// TestShapesAreTheAgents checks every format and protocol of the real server, with values
// that are rare.
func TestShapesAreTheAgents(t *testing.T) {
	odd := someToken()
	odd.APIURL, odd.User, odd.Subject = `https://kyc.example/~'a"?b=<c>&d=$(e)`, `ana <"\> ü 𝒳`, "7d1f-22"
	key := agent.Token{Environment: "a_b-1", IDToken: agent.NewSecret("sk_live.1-2_3")}
	claims := agent.Token{Environment: "prod", IDToken: jwtOf(`{"name":"a\u001b[2J\u202e\u009b\ufffd\u00a0𝒳\ud83d\ude00\ue000\udb40\udc01\n<b>","n":12345678901234567890,"cognito:groups":["x"]}`)}
	path := serve(t, &service{token: claims})
	run(t, nil, "-socket", path, "-f", "claims").wantSuccess(t,
		`{"cognito:groups":["x"],"n":12345678901234567890,"name":"a\u001b[2J\u202e\u009b\ufffd\u00a0\ud835\udcb3\ud83d\ude00\ue000\udb40\udc01\n\u003cb\u003e"}`+"\n")
	run(t, nil, "-socket", serve(t, &service{token: key}), "-f", "claims").wantFailure(t, exitUsage, "", "an API key, which has no claims")
	foul := someToken()
	foul.User, foul.Subject = " \x1b[2Jana\u202e\u2028\xff\u200d ", "\n"
	for _, token := range []agent.Token{someToken(), odd, key, foul} {
		path := serve(t, &service{token: token})
		for _, format := range []string{"token", "header", "curl", "json", "env", "k8s", "google"} {
			if o := run(t, nil, "-socket", path, "-f", format); o.exit != 0 || !strings.Contains(o.stdout, token.IDToken.Reveal()) {
				t.Errorf("%s: %+v", format, o)
			}
		}
		for _, version := range []string{"v1", "v1beta1"} {
			info := environ("KUBERNETES_EXEC_INFO", `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/`+version+`"}`)
			if o := run(t, info, "-socket", path, "-f", "k8s"); o.exit != 0 || !strings.Contains(o.stdout, version+`"`) {
				t.Errorf("k8s %s: %+v", version, o)
			}
		}
		var got []string
		become := func(p *process) { p.exec = func(_ string, _, env []string) error { got = env; return nil } }
		run(t, become, "-socket", path, "exec", "--", "/bin/true")
		if want := "KYC_API_URL=" + token.APIURL; len(got) != 3 || got[0] != "KYC_TOKEN="+token.IDToken.Reveal() || got[1] != want {
			t.Errorf("exec: %q", got)
		}
	}
}

// jwtOf returns a token with these claims.
func jwtOf(claims string) agent.Secret {
	return agent.NewSecret("eyJhbGciOiJSUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln")
}

// hostile are answers that make the reader do what nobody asked for. Each comes with the
// questions to which it is an answer.
var hostile = []struct {
	to     string
	answer string
	words  string
}{
	{"token", "eyJ\neyJ\n", ""},
	{"token", "\x1b]0;owned\a\n", ""},
	{"token", "$(touch pwned)\n", ""},
	{"token", "eyJ.e30 -o pwned\n", ""},
	{"token", "\n", ""},
	{"token by name", "eyJ\r\n", ""},
	{"access token", "eyJ\"\n", ""},
	{"header", "Authorization: Bearer eyJ\nHost: evil.example\n", ""},
	{"header", "@/etc/passwd\n", ""},
	{"header", "Cookie: a=b\n", ""},
	{"curl", "oauth2-bearer = \"eyJ\"\noutput = \"pwned\"\n", ""},
	{"curl", "output = \"pwned\"\n", ""},
	{"curl", "oauth2-bearer = \"eyJ\\\"\"\n", ""},
	{"curl", "url = \"http://evil.example\"\n", ""},
	{"curl", "# oauth2-bearer = \"eyJ\"\n", ""},
	{"claims", "{\"a\":1}\n{}\n", ""},
	{"claims", "{\"name\":\"\u202e\"}\n", ""},
	{"claims", "{\"name\":\"\x1b[2J\"}\n", ""},
	{"claims", "{\"name\":\"\u009b2J\"}\n", ""},
	{"claims", "{\"name\":\"\u00e9\"}\n", ""},
	{"claims", jwt + "\n", ""},
	{"claims", "", ""},
	{"json", strings.Replace(jsonLine, jwt, "eyJ\\nx", 1), ""},
	{"json", strings.Replace(jsonLine, "prod", "../x", 1), ""},
	{"json", strings.Replace(jsonLine, "https://kyc", "file:///kyc", 1), ""},
	{"json", strings.Replace(jsonLine, "ana@", `\u001b[2J`, 1), ""},
	{"json", strings.Replace(jsonLine, "ana@", "\u202e", 1), ""},
	{"json", strings.Replace(jsonLine, "}", `,"token":"$(touch pwned)"}`, 1), ""},
	{"json", strings.Replace(jsonLine, "}", `,"later":{"a":1}}`, 1), ""},
	{"json", strings.Replace(jsonLine, "}", "}\n{}", 1), ""},
	{"json", "{}\n", ""},
	{"env", "KYC_TOKEN=$(touch pwned)\n", ""},
	{"env", "KYC_TOKEN=eyJ\ntouch pwned\n", ""},
	{"env", "KYC_TOKEN=eyJ;touch pwned\n", ""},
	{"env", "KYC_TOKEN=eyJ\nKYC_API_URL='x'`touch pwned`\n", ""},
	{"env", "KYC_TOKEN=eyJ\nKYC_API_URL='https://a'';touch pwned;'\n", ""},
	{"env", "KYC_TOKEN=eyJ\nKYC_API_URL=https://a&touch pwned\n", ""},
	{"env", "KYC_TOKEN=eyJ\nKYC_API_URL='https://a\n", ""},
	{"env", "KYC_TOKEN=eyJ\nLD_PRELOAD=/tmp/x.so\n", "sets LD_PRELOAD"},
	{"env", "KYC_TOKEN=eyJ\nexport PATH=/tmp\n", "sets export PATH"},
	{"env", "KYC_TOKEN=eyJ\nKYC_TOKEN=eyK\n", ""},
	{"env", "KYC_API_URL=https://a\n", ""},
	{"k8s", strings.Replace(questionOf("k8s", false).answer, `"token"`, `"clientKeyData":"x","token"`, 1), ""},
	{"k8s", "{}\n", ""},
	{"google", `{"version":1,"success":false}` + "\n", ""},
	{"google", strings.Replace(questionOf("google", false).answer, jwt, `x\"y`, 1), ""},
	{"aws", strings.Replace(questionOf("aws", false).answer, "ASIAX", `\u001b[2J`, 1), ""},
	{"aws", "{}\n", ""},
	{"bazel", `{"headers":{"Authorization":["Bearer eyJ"],"Host":["evil.example"]}}` + "\n", ""},
	{"bazel", `{"headers":{"Authorization":["Bearer eyJ","Bearer eyK"]}}` + "\n", ""},
	{"git", "capability[]=authtype\nauthtype=Bearer\ncredential=eyJ\nephemeral=1\nhost=evil.example\n", ""},
	{"git", "username=a\npassword=b\n", ""},
	{"git", "quit=1\n", ""},
	{"git", "url=https://evil.example\n", ""},
	{"git capability", "version 0\ncapability authtype\nx\n", ""},
	{"terraform", `{"token":"eyJ","later":1}` + "\n", ""},
	{"terraform", `{"token":"e\ny"}` + "\n", ""},
	{"goauth", "https://kyc.example\n\nAuthorization: Bearer eyJ\nCookie: a=b\n\n", ""},
	{"goauth", "http://kyc.example\n\nAuthorization: Bearer eyJ\n\n", ""},
	{"goauth", "https://a@kyc.example\n\nAuthorization: Bearer eyJ\n\n", ""},
	{"goauth", "\nAuthorization: Bearer eyJ\n\n", ""},
	{"exec", "LD_PRELOAD=/tmp/lib.so\n", "sets LD_PRELOAD"},
	{"exec", "KYC_TOKEN=eyJ\nPATH=/tmp\n", "sets PATH"},
	{"exec", "KYC_TOKEN=eyJ\nBASH_ENV=/tmp/x\n", "sets BASH_ENV"},
	{"exec", "KYC_TOKEN=eyJ\nkyc_token=x\n", "sets kyc_token"},
	{"exec", "KYC_TOKEN=eyJ\n KYC_X=x\n", "sets KYC_X"},
	{"exec", "KYC_TOKEN=eyJ x\n", ""},
	{"exec", "KYC_TOKEN=eyJ\nKYC_API_URL=\x1b[2J\n", ""},
	{"exec", "KYC_TOKEN=eyJ\nKYC_API_URL=https://a\x00b\n", ""},
	{"exec", "KYC_TOKEN=eyJ\nKYC_TOKEN_EXPIRES_AT=soon\n", ""},
	{"exec", "KYC_API_URL=https://a\n", ""},
}

// TestHostileAgent runs the real kyc-token against an agent that answers what could harm
// the reader. Nothing of that is printed.
func TestHostileAgent(t *testing.T) {
	// Another binary, of an older version, shows what the table found.
	binary, printed := os.Getenv("KYC_TEST_TOKEN_BINARY"), 0
	if binary == "" {
		binary = testpeer.Build(t, "kyc-token")
	}
	for _, test := range hostile {
		q := questionOf(test.to, false)
		agent := agentAnswering(t, ok(test.answer))
		o := q.ask(t, binary, agent.path, t.TempDir())
		want := ""
		switch test.to {
		case "curl":
			want = failClosed
		case "google":
			want = o.stdout
			if !strings.HasPrefix(want, `{"version":1,"success":false,"code":"500","message":`) {
				want = ""
			}
		}
		if o.stdout != want || o.exit != exitInternal || !strings.Contains(o.stderr, "; "+checkSocket) || !strings.Contains(o.stderr, test.words) {
			printed++
			t.Errorf("%s: %q gives %+v", test.to, test.answer, o)
		}
	}
	t.Logf("%d of %d hostile answers passed", printed, len(hostile))
}

// TestExecPassesOnlyTheAgents: a variable from which kyc-agentd reads a setting is the
// user's, even though its name begins with KYC_.
func TestExecPassesOnlyTheAgents(t *testing.T) {
	const answer = "KYC_TOKEN=" + jwt + "\nKYC_AGENT_SOCK=/evil\nKYC_PROD_ENDPOINT=https://evil.example\nKYC_LATER=1\n"
	agent := agentAnswering(t, ok(answer))
	var got []string
	become := func(p *process) { p.exec = func(_ string, _, env []string) error { got = env; return nil } }
	run(t, become, "-socket", agent.path, "exec", "--", "/bin/true")
	if len(got) != 1 || got[0] != "KYC_TOKEN="+jwt {
		t.Errorf("%q", got)
	}
	run(t, nil, "-socket", agent.path, "-f", "env").wantSuccess(t, "KYC_TOKEN="+jwt+"\n")
}

// Older agents and newer ones write a little less or more.
func TestShapesOfOtherVersions(t *testing.T) {
	for _, answer := range []string{
		strings.Replace(jsonLine, `,"user":"ana@example.com","sub":"7d1f"`, "", 1),
		strings.Replace(jsonLine, "}", `,"access_token":"`+jwt+`"}`, 1),
		strings.Replace(jsonLine, "}", `,"session":"ü"}`, 1),
	} {
		agent := agentAnswering(t, ok(answer))
		run(t, nil, "-socket", agent.path, "-f", "json").wantSuccess(t, answer)
	}
	agent := agentAnswering(t, ok("<token/>\n"))
	run(t, nil, "-socket", agent.path, "-f", "xml").wantFailure(t, exitUsage, "", "does not know: xml; upgrade it")
}

// FuzzShape: what passes as a shell's input sets the three variables and nothing else.
func FuzzShape(f *testing.F) {
	f.Add(envLines)
	f.Add("KYC_TOKEN=a\nKYC_API_URL='https://''\n'\n")
	for _, test := range hostile {
		f.Add(test.answer)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, q := range questions {
			o, err := parse(modeOfProgram(q.program), q.args)
			if err != nil {
				t.Fatal(err)
			}
			out, err := o.checkShape(text)
			if err != nil {
				if f := asFailure(err); f.exit == exitOK || f.text == "" || out != "" {
					t.Errorf("%q: %+v", out, f)
				}
				continue
			}
			if strings.ContainsAny(out, "\x00\x1b\r\t\x7f") || o.format == "curl" && strings.Count(out, "\n") != 1 {
				t.Errorf("%s: %q passes", q.name, out)
			}
			for line := range strings.Lines(out) {
				if q.name != "exec" && q.name != "env" {
					break
				}
				name, _, _ := strings.Cut(line, "=")
				if known, _ := checkVariable(name, ""); !known {
					t.Errorf("%q is set", name)
				}
			}
		}
	})
}
