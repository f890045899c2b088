package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/creack/pty"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal/terminaltest"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc"
)

// serveAPI serves h as the API of staging behind a signed-in agent, and returns the
// agent's socket.
func serveAPI(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	api := httptest.NewServer(h)
	t.Cleanup(api.Close)
	service := agenttest.NewAgent(t, agenttest.NewAuthenticator(), func(o *agent.Options) { o.Config.Environments[0].APIURL = api.URL })
	agenttest.Login(t, service, "staging")
	return serveBy(t, &ipc.Server{Service: service, Proxy: true})
}

func TestAPIRequests(t *testing.T) {
	socket := serveAPI(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s|%s|%s|%d %s", r.Method, r.RequestURI, r.Header.Get("Content-Type"), r.Header.Get("X"), r.ContentLength, body)
	})
	file := filepath.Join(testsocket.ShortDir(t), "body")
	if err := os.WriteFile(file, []byte("in a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args  []string
		stdin string
		want  string
	}{
		{[]string{"GET", "/kyc?x=1&y=%20"}, "unread", "GET /kyc?x=1&y=%20|||0 "},
		{[]string{"staging", "DELETE", "/kyc/1"}, "", "DELETE /kyc/1|||0 "},
		{[]string{"POST", "/", "-d", "{}"}, "", "POST /|application/json||2 {}"},
		{[]string{"POST", "/", "--data", ""}, "", "POST /|application/json||0 "},
		{[]string{"-d", "a=b", "-H", "content-type: text/plain", "-H", "X:  1 ", "PUT", "/"}, "", "PUT /|text/plain|1|3 a=b"},
		{[]string{"POST", "/", "-d", "@" + file}, "", "POST /|application/json||9 in a file"},
		{[]string{"POST", "/", "-d", "@-"}, "from stdin", "POST /|application/json||10 from stdin"},
		{[]string{"POST", "/", "-d", "@-"}, "", "POST /|application/json||0 "},
		{[]string{"POST", "/", "-d", "@-"}, strings.Repeat("x", maxBuffered+1), "POST /|application/json||-1 " + strings.Repeat("x", maxBuffered+1)},
	} {
		got := session{stdin: tt.stdin}.run(t, append([]string{"api", "--socket", socket}, tt.args...)...)
		if got.exit != exitOK || got.out != tt.want || got.errOut != "" {
			t.Errorf("%q: exit %d, %.200q, %q; want %.200q", tt.args, got.exit, got.out, got.errOut, tt.want)
		}
	}
}

func TestAPIUsage(t *testing.T) {
	const help = "; run: kyc-agentd api --help"
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "api takes a method and a path, and optionally an environment before them" + help},
		{[]string{"/kyc"}, "api takes a method and a path, and optionally an environment before them" + help},
		{[]string{"prod", "GET", "/kyc", "x"}, "api takes a method and a path, and optionally an environment before them" + help},
		{[]string{"get", "/kyc"}, "the method must be one such as GET or POST, in capitals" + help},
		{[]string{"/kyc", "GET"}, "the method must be one such as GET or POST, in capitals" + help},
		{[]string{"", "/kyc"}, "the method must be one such as GET or POST, in capitals" + help},
		{[]string{"GET", "kyc"}, "the path must begin with /, and special characters in it must be escaped with %" + help},
		{[]string{"GET", "https://evil.example/"}, "the path must begin with /, and special characters in it must be escaped with %" + help},
		{[]string{"GET", "/%zz"}, "the path must begin with /, and special characters in it must be escaped with %" + help},
		{[]string{"GET", ""}, "the path must begin with /, and special characters in it must be escaped with %" + help},
		{[]string{"GET", "/", "-H", "secret"}, "--header takes one header, 'Name: value', and not the host" + help},
		{[]string{"GET", "/", "-H", "X: a\r\nY: b"}, "--header takes one header, 'Name: value', and not the host" + help},
		{[]string{"GET", "/", "-H", "X Y: a"}, "--header takes one header, 'Name: value', and not the host" + help},
		{[]string{"GET", "/", "-H", "host: prod"}, "--header takes one header, 'Name: value', and not the host" + help},
		{[]string{"GET", "/", "-d", "@/no/such"}, "--data cannot be read: /no/such: no such file or directory" + help},
		{[]string{"kyc-agent", "GET", "/"}, "kyc-agent: an environment called kyc-agent cannot be reached this way: it is the agent's own host"},
	} {
		session{}.run(t, append([]string{"api"}, tt.args...)...).want(t, exitUsage, tt.want)
	}
}

func TestAPIAnswers(t *testing.T) {
	socket := serveAPI(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/cut":
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "half")
		case "/redirect":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case "/unavailable":
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, "later")
		case "/forbidden":
			w.WriteHeader(http.StatusForbidden)
		}
	})
	for path, want := range map[string]outcome{
		"/redirect":    {exitOK, "", ""},
		"/unavailable": {5, "later", "kyc-agentd: the API answered 503 Service Unavailable\n"},
		"/forbidden":   {4, "", "kyc-agentd: the API answered 403 Forbidden\n"},
		"/cut":         {exitTemporary, "half", "kyc-agentd: the answer was cut off; try again\n"},
	} {
		if got := (session{}).run(t, "api", "POST", path, "--socket", socket); got != want {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
	}
	// The agent's own problems are not the API's.
	session{}.run(t, "api", "a b/..", "GET", "/", "--socket", socket).want(t, exitConfiguration, `unknown environment "a b/.."; see: kyc-agentd status`)
	session{}.run(t, "api", "prod", "GET", "/", "--socket", socket).want(t, exitDenied, "prod: not signed in; run: kyc-agentd login prod")
}

// A body that cannot be read is this side's trouble, and the API never takes it for whole.
func TestAPIBodyBreaks(t *testing.T) {
	arrived := make(chan error, 1)
	socket := serveAPI(t, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		arrived <- err
	})
	var errOut strings.Builder
	c := &cli{io: stdio{out: io.Discard, err: &errOut, in: io.MultiReader(
		strings.NewReader(strings.Repeat("x", 2*maxBuffered)), iotest.ErrReader(errors.New("the disk is gone")))}}
	if exit := c.run(t.Context(), []string{"api", "POST", "/", "-d", "@-", "--socket", socket}); exit != exitUsage {
		t.Errorf("exit %d", exit)
	}
	if want := "kyc-agentd: --data cannot be read: the disk is gone; run: kyc-agentd api --help\n"; errOut.String() != want {
		t.Errorf("%q", errOut.String())
	}
	if err := <-arrived; err == nil {
		t.Error("the API took it for whole")
	}
}

// A reader that fails once answered is closed.
type failsAfter struct{ answered chan bool }

func (r failsAfter) Read([]byte) (int, error) {
	<-r.answered
	return 0, errors.New("the disk is gone")
}

// An API may answer while the body is still read: that goes on beside the answer. (The
// race detector looks at how.)
func TestAPIAnswersEarly(t *testing.T) {
	answered := make(chan bool)
	socket := serveAPI(t, func(w http.ResponseWriter, _ *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex() // else the server reads on before it answers
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		_ = control.Flush()
		close(answered)
	})
	var out, errOut strings.Builder
	c := &cli{io: stdio{out: &out, err: &errOut, in: io.MultiReader(strings.NewReader(strings.Repeat("x", 2*maxBuffered)), failsAfter{answered})}}
	switch exit := c.run(t.Context(), []string{"api", "POST", "/", "-d", "@-", "--socket", socket}); {
	case exit == 4 && strings.Contains(errOut.String(), "the API answered 413"):
	case exit == exitUsage && strings.Contains(errOut.String(), "the disk is gone"): // which was noticed first
	default:
		t.Errorf("exit %d, %q, %q", exit, out.String(), errOut.String())
	}
}

// What others wrote is clean at a terminal, and unchanged in a pipe or a file.
func TestShownAtATerminal(t *testing.T) {
	const text = "{\n\t\"a\": \"\x1b]2;OWNED\a\u009b2J\u202eü\"\n}\n"
	person, program, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer person.Close()
	go func() {
		_, _ = io.WriteString(stdio{out: program}.shown(), text)
		_ = program.Close()
	}()
	got, _ := io.ReadAll(person) // EIO at the end
	if want := "{\r\n        \"a\": \"?]2;OWNED??2J?ü\"\r\n}\r\n"; string(got) != want && string(got) != strings.ReplaceAll(want, "        ", "\t") {
		t.Errorf("%q", got)
	}
	var file strings.Builder
	if _, err := io.WriteString(stdio{out: &file}.shown(), text); err != nil || file.String() != text {
		t.Errorf("%q, %v", file.String(), err)
	}
}

func TestPretty(t *testing.T) {
	long := `"` + strings.Repeat("x", maxPretty) + `"`
	for in, want := range map[string]string{
		`{"b":1,"a":[true]}`: "{\n  \"b\": 1,\n  \"a\": [\n    true\n  ]\n}\n",
		" 1 \n":              "1\n", "": "", "{": "{", "[1] [2]": "[1] [2]", "\"\x1b[2J\"": "\"\x1b[2J\"", long: long,
	} {
		got, err := io.ReadAll(pretty(strings.NewReader(in)))
		if string(got) != want || err != nil {
			t.Errorf("%.40q is %.40q, %v", in, got, err)
		}
	}
	if got, err := io.ReadAll(pretty(io.MultiReader(strings.NewReader("[1"), iotest.ErrReader(io.ErrUnexpectedEOF)))); string(got) != "[1" || err != io.ErrUnexpectedEOF {
		t.Errorf("%q, %v", got, err)
	}
}

// On a terminal JSON is laid out.
func TestAPIAtATerminal(t *testing.T) {
	h := newFixture(t)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"detail":"no"}`)
	}))
	defer api.Close()
	h.env = append(h.env, "KYC_STAGING_API_URL="+api.URL)
	h.daemon("--store", "memory")
	h.login()
	p := terminaltest.New(t)
	r := h.sessionOn(p, kycAgentd("api", "GET", "/"))
	p.Sees("{\r\n  \"detail\": \"no\"\r\n}\r\n")
	p.Sees("kyc-agentd: the API answered 400 Bad Request\r\n")
	if exit := h.ended(r); exit != 4 {
		t.Errorf("exit %d", exit)
	}
	if got := h.run("", kycAgentd("api", "GET", "/")); got.out != `{"detail":"no"}` || got.exit != 4 {
		t.Errorf("in a pipe: %+v", got)
	}
}
