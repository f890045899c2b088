package browser

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/testlog"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testpeer/freeport"
)

// listening returns a Callback that expects a state, and what it has ignored.
func listening(t *testing.T, host, state string) (*Callback, *testlog.Buffer) {
	t.Helper()
	c, err := Listen([]string{"http://" + net.JoinHostPort(host, freePort(t)) + "/callback"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.server.Close() })
	ignored := &testlog.Buffer{}
	c.Expect(state, func(why string) { _, _ = ignored.Write([]byte(why + "\n")) })
	return c, ignored
}

func freePort(t *testing.T) string {
	t.Helper()
	port, err := freeport.Find()
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(port)
}

// get makes a request and returns its status and body.
func get(t *testing.T, method, address, host string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// What is not the answer of this sign-in gets an error page, and the sign-in waits on.
func TestCallbackIgnores(t *testing.T) {
	c, ignored := listening(t, "127.0.0.1", "right")
	for _, tt := range []struct {
		name, method, path, host string
		status                   int
		why                      string
	}{
		{"another state", "GET", "/callback?code=c&state=wrong", "", 400, "its state is not that of this sign-in"},
		{"an error of another sign-in", "GET", "/callback?error=access_denied&state=wrong", "", 400, "its state is not"},
		{"an error without a state", "GET", "/callback?error=access_denied", "", 400, "it has not one state"},
		{"no state", "GET", "/callback?code=c", "", 400, "it has not one state"},
		{"two states", "GET", "/callback?code=c&state=right&state=wrong", "", 400, "it has not one state"},
		{"an empty state", "GET", "/callback?code=c&state=", "", 400, "its state is not"},
		{"a beginning of the state", "GET", "/callback?code=c&state=righ", "", 400, "its state is not"},
		{"code and error", "GET", "/callback?code=c&error=e&state=right", "", 400, "it has not one state"},
		{"no code", "GET", "/callback?state=right", "", 400, "it has not one state"},
		{"no query", "GET", "/callback", "", 400, "it has not one state"},
		{"a query that cannot be read", "GET", "/callback?code=c;d&state=right", "", 400, "it has not one state"},
		{"a foreign host", "GET", "/callback?code=c&state=right", "evil.example", 421, "its Host is not"},
		{"the other name of loopback", "GET", "/callback?code=c&state=right", "localhost", 421, "its Host is not"},
		{"another port in Host", "GET", "/callback?code=c&state=right", "127.0.0.1:1", 421, "its Host is not"},
		{"a form", "POST", "/callback?code=c&state=right", "", 405, "its method is not GET"},
		{"only the head", "HEAD", "/callback?code=c&state=right", "", 405, "its method is not GET"},
		{"another path", "GET", "/favicon.ico", "", 404, ""},
		{"a longer path", "GET", "/callback/x?code=c&state=right", "", 404, ""},
		{"the root", "GET", "/?code=c&state=right", "", 404, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(ignored.String())
			res, _ := get(t, tt.method, "http://"+c.target.Host+tt.path, tt.host)
			if said := ignored.String()[before:]; res.StatusCode != tt.status || !strings.HasPrefix(said, tt.why) || (said == "") != (tt.why == "") {
				t.Errorf("HTTP %d, ignored %q; want %d, %q", res.StatusCode, said, tt.status, tt.why)
			}
		})
	}
	select {
	case got := <-c.Received():
		t.Errorf("received %q", got)
	default:
	}
}

// The first answer wins. Its browser is shown the outcome, and a second one that there was one.
func TestCallbackTwice(t *testing.T) {
	c, ignored := listening(t, "localhost", "right")
	page := make(chan string)
	go func() {
		_, body := get(t, "GET", c.URI+"?code=c&state=right", "")
		page <- body
	}()
	if got := <-c.Received(); got != c.URI+"?code=c&state=right" {
		t.Errorf("received %q", got)
	}
	if res, body := get(t, "GET", c.URI+"?code=c&state=right", ""); res.StatusCode != http.StatusConflict || !strings.Contains(body, "Already used") {
		t.Errorf("HTTP %d\n%s", res.StatusCode, body)
	}
	if got := ignored.String(); got != "the browser has returned already\n" {
		t.Errorf("ignored %q", got)
	}
	c.Finish(Page{Title: "Signed in", Text: "as <b>ana</b>"})
	if body := <-page; !strings.Contains(body, "<title>Signed in – kyc-agent</title>") || !strings.Contains(body, "as &lt;b&gt;ana&lt;/b&gt;") {
		t.Error(body)
	}
	if _, err := http.Get(c.URI); err == nil {
		t.Error("it still listens")
	}
}

// A browser that is closed after it has returned changes nothing.
func TestCallbackBrowserGone(t *testing.T) {
	c, _ := listening(t, "127.0.0.1", "right")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, c.URI+"?code=c&state=right", nil)
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
		}
	}()
	<-c.Received()
	cancel()
	<-done
	c.Finish(Page{Title: "Signed in"})
}

// A sign-out has no state, and nothing but the plain address is its end.
func TestCallbackOfASignOut(t *testing.T) {
	c, _ := listening(t, "127.0.0.1", "")
	if res, _ := get(t, "GET", c.URI+"?code=c&state=", ""); res.StatusCode != http.StatusBadRequest {
		t.Errorf("HTTP %d", res.StatusCode)
	}
	go func() { <-c.Received(); c.Finish(Page{Title: "Signed out"}) }()
	if res, body := get(t, "GET", c.URI, ""); res.StatusCode != http.StatusOK || !strings.Contains(body, "Signed out") {
		t.Errorf("HTTP %d\n%s", res.StatusCode, body)
	}
}

// A port is free only if it is on both addresses of localhost: who has the other could receive
// the browser.
func TestListen(t *testing.T) {
	taken := freePort(t) // and nobody has it on the other address
	six, err := net.Listen("tcp", "[::1]:"+taken)
	if err != nil {
		testpeer.Missing(t, "IPv6 on loopback", "configure ::1")
	}
	defer six.Close()
	four, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer four.Close()

	uris := []string{"http://localhost:" + taken + "/a", "http://" + four.Addr().String() + "/b"}
	_, err = Listen(uris)
	if want := "[::1]:" + taken + ": in use, " + four.Addr().String() + ": in use"; err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	free := "http://localhost:" + freePort(t) + "/c"
	c, err := Listen(append(uris, free))
	if err != nil || c.URI != free {
		t.Fatal(c, err)
	}
	defer c.server.Close()
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		conn, err := net.Dial("tcp", host+":"+c.target.Port())
		if err != nil {
			t.Fatal(err)
		}
		answers(t, c, conn)
	}
	if _, err := net.Dial("tcp", "127.0.0.2:"+c.target.Port()); err == nil {
		t.Error("it listens on more than localhost")
	}
}

// answers checks that an open connection is served, and closes it.
func answers(t *testing.T, c *Callback, conn net.Conn) {
	t.Helper()
	defer conn.Close()
	if _, err := conn.Write([]byte("GET /x HTTP/1.1\r\nHost: " + c.target.Host + "\r\n\r\n")); err != nil {
		t.Error(err)
	}
	head := make([]byte, 12)
	if _, err := io.ReadFull(conn, head); err != nil || string(head) != "HTTP/1.1 404" {
		t.Errorf("%q %v", head, err)
	}
}

// Another user has the right state, from the command line of the browser.
func TestForeignCallback(t *testing.T) {
	testpeer.Root(t)
	curl := testpeer.Program(t, "curl", "curl")
	for _, host := range []string{"127.0.0.1", "::1"} {
		c, ignored := listening(t, host, "right")
		cmd := exec.Command(curl, "-sg", "-o", "/dev/null", "-w", "%{http_code}", c.URI+"?code=c&state=right")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, _ := cmd.Output(); string(out) != "000" {
			t.Errorf("%s: HTTP %s", host, out)
		}
		if got := ignored.String(); got != "it comes from another user of this machine\n" {
			t.Errorf("%s: ignored %q", host, got)
		}
		go func() { <-c.Received(); c.Finish(Page{Title: "Signed in"}) }()
		if out, err := exec.Command(curl, "-sgf", c.URI+"?code=c&state=right").Output(); err != nil || !strings.Contains(string(out), "Signed in") {
			t.Errorf("%s: its own user: %v %s", host, err, out)
		}
	}
}

// The page runs nothing and loads nothing, and what others chose is text in it.
func TestPage(t *testing.T) {
	c, _ := listening(t, "127.0.0.1", "right")
	go func() { <-c.Received(); c.Finish(Page{"<i>T</i>", `"><script src=//evil.example>`, true}) }()
	res, body := get(t, "GET", c.URI+"?code=c0de&state=right", "")
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
		"X-Content-Type-Options": "nosniff", "Cross-Origin-Opener-Policy": "same-origin",
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	policy := res.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "style-src 'sha256-", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q lacks %s", policy, want)
		}
	}
	for _, forbidden := range []string{"<script", "<i>", "http:", "https:", "url(", "@import", "c0de", "onload"} {
		if strings.Contains(body, forbidden) {
			t.Errorf("the page has %q:\n%s", forbidden, body)
		}
	}
	for _, want := range []string{`<html lang="en"`, "<main>", "<h1>", `name="viewport"`, "prefers-color-scheme:dark", `role="status"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if loads := regexp.MustCompile(`(src|href)="([^"]*)"`).FindAllStringSubmatch(body, -1); len(loads) != 1 || loads[0][2] != "data:," {
		t.Errorf("the page loads %v", loads)
	}
}

// Which programs are tried.
func TestBrowserCommands(t *testing.T) {
	for _, tt := range []struct {
		vars config.Environ
		want string
	}{
		{nil, ""},
		{config.Environ{"DISPLAY=:0"}, "xdg-open, wslview"},
		{config.Environ{"WAYLAND_DISPLAY=w"}, "xdg-open, wslview"},
		{config.Environ{"WSL_DISTRO_NAME=Debian"}, "wslview, xdg-open"},
		{config.Environ{"BROWSER=a %s:b", "DISPLAY=:0"}, "a %s, b, xdg-open, wslview"},
		{config.Environ{"SSH_CONNECTION=1 2 3 4", "DISPLAY=:0"}, ""},
		{config.Environ{"SSH_CONNECTION=1 2 3 4", "BROWSER=code"}, "code"},
	} {
		if got := strings.Join(commands(tt.vars), ", "); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.vars, got, tt.want)
		}
	}
}

// A browser that fails is followed by the next, and gets no token of ours.
func TestOpen(t *testing.T) {
	failed := make(chan struct{})
	if Open("http://x/", config.Environ{"BROWSER=/nowhere/browser:false"}, func() { close(failed) }) != true {
		t.Error("nothing was tried")
	}
	<-failed
	script, out := t.TempDir()+"/browser", t.TempDir()+"/out"
	if err := testpeer.WriteProgram(script, []byte("#!/bin/sh\nenv >"+out+"\necho \"$@\" >>"+out+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := run(script+" -new %s", "http://x/?a=b&c=$(id);", config.Environ{"KYC_TOKEN=secret", "HOME=/h", "NOTIFY_SOCKET=/n"}); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(out); !strings.Contains(string(got), "HOME=/h\n") || strings.Contains(string(got), "secret") ||
		strings.Contains(string(got), "NOTIFY") || !strings.HasSuffix(string(got), "\n-new http://x/?a=b&c=$(id);\n") {
		t.Errorf("the browser got\n%s", got)
	}
	if Open("http://x/", nil, func() { t.Error("failed") }) {
		t.Error("something was tried")
	}
}
