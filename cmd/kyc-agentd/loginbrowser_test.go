package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal/terminaltest"
	"github.com/legaltalent/kyc-agent/internal/testlog"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testpeer/freeport"
)

// freeRedirects returns redirect URIs with ports that were free a moment ago.
func freeRedirects(t *testing.T, hosts ...string) (uris []string) {
	t.Helper()
	for _, host := range hosts {
		port, err := freeport.Find()
		if err != nil {
			t.Fatal(err)
		}
		uris = append(uris, fmt.Sprintf("http://%s:%d/callback", host, port))
	}
	return uris
}

// withBrowser configures staging for a sign-in with a browser at domain, where $BROWSER tells
// the test which page was opened.
func (s *binaries) withBrowser(domain string, redirects []string, more ...string) (opened func() string) {
	s.t.Helper()
	fifo := filepath.Join(s.dir, "opened")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		s.t.Fatal(err)
	}
	open := filepath.Join(s.dir, "open-page")
	if err := testpeer.WriteProgram(open, []byte("#!/bin/sh\nprintf '%s\\n' \"$1\" >"+fifo+"\n"), 0o700); err != nil {
		s.t.Fatal(err)
	}
	s.env = append(s.env, "BROWSER="+open, "KYC_STAGING_DOMAIN="+domain, "KYC_STAGING_REDIRECT_URIS="+strings.Join(redirects, ","))
	s.env = append(s.env, more...)
	pages, err := os.OpenFile(fifo, os.O_RDWR|syscall.O_NONBLOCK, 0) // for writing as well: it has no end
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = pages.Close() })
	lines := bufio.NewReader(pages)
	return func() string {
		s.t.Helper()
		_ = pages.SetReadDeadline(time.Now().Add(time.Minute))
		page, err := lines.ReadString('\n')
		if err != nil {
			s.t.Fatalf("no browser was started: %v", err)
		}
		return strings.TrimSpace(page)
	}
}

// A backgroundVerb is a verb of kyc-agentd that runs, without a terminal.
type backgroundVerb struct {
	*running
	stdin  io.WriteCloser
	errOut testlog.Buffer
}

// background starts a verb.
func (s *binaries) background(args ...string) *backgroundVerb {
	s.t.Helper()
	cmd := s.command("kyc-agentd", args...)
	v := &backgroundVerb{}
	cmd.Stderr, cmd.Stdout = &v.errOut, &v.errOut
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var err error
	if v.stdin, err = cmd.StdinPipe(); err != nil {
		s.t.Fatal(err)
	}
	if v.running, err = start(cmd); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = v.Process.Kill()
		<-v.exited
	})
	return v
}

// want waits for the end of the verb and checks its exit code and last line.
func (v *backgroundVerb) want(t *testing.T, exit int, line string) {
	t.Helper()
	select {
	case <-v.exited:
	case <-time.After(time.Minute):
		t.Fatalf("the verb does not end; it says:\n%s", v.errOut.String())
	}
	if code := v.ProcessState.ExitCode(); code != exit || !strings.HasSuffix(v.errOut.String(), "kyc-agentd: "+line+"\n") {
		t.Errorf("exit %d, want %d, stderr\n%swant the line\n%s", code, exit, v.errOut.String(), line)
	}
}

// says waits until the verb has printed text.
func (v *backgroundVerb) says(t *testing.T, text string) {
	t.Helper()
	if !happens(func() bool { return strings.Contains(v.errOut.String(), text) }) {
		t.Fatalf("the verb does not say %q; it says:\n%s", text, v.errOut.String())
	}
}

// atCognito is a daemon of the shipped binaries, at a Cognito with a domain.
func atCognito(t *testing.T, more ...string) (s *binaries, srv *cognitotest.Server, redirects []string) {
	t.Helper()
	redirects = freeRedirects(t, "localhost", "127.0.0.1")
	srv = cognitotest.New(cognitotest.RedirectURIs(redirects...), cognitotest.LogoutURIs(redirects...))
	t.Cleanup(srv.Close)
	srv.AddUser(cognitotest.User{Name: "ana", Password: "richtiges Pferd"})
	s = newBinaries(t, srv.URL, srv.PoolID, srv.ClientID)
	s.env = append(s.env, "BROWSER=true", "KYC_STAGING_DOMAIN="+srv.Domain(), "KYC_STAGING_REDIRECT_URIS="+strings.Join(redirects, ","))
	s.env = append(s.env, more...)
	daemon := s.start("--store", "memory", "--log-level", "debug")
	t.Cleanup(func() {
		if secret := regexp.MustCompile(`state=|nonce=|code=|verifier|eyJ|Pferd|[0-9a-f]{8}-[0-9a-f]{4}-4`).FindString(withoutRequests(daemon.log.String())); secret != "" {
			t.Errorf("the log has %q", secret)
		}
	})
	return s, srv, redirects
}

// withoutRequests removes Cognito's ids of requests, which look like its codes.
func withoutRequests(log string) string {
	return regexp.MustCompile(`request [0-9a-f-]{36}`).ReplaceAllString(log, "")
}

// page returns the address that the verb has printed in a line of its own.
func (v *backgroundVerb) page(t *testing.T) string {
	t.Helper()
	v.says(t, "&state=")
	v.says(t, "\n")
	for line := range strings.Lines(v.errOut.String()) {
		if strings.HasPrefix(line, "http://") && strings.HasSuffix(line, "\n") {
			return strings.TrimSpace(line)
		}
	}
	t.Fatalf("no page in\n%s", v.errOut.String())
	return ""
}

// signs signs ana in at page, and returns where her browser ends.
func signs(t *testing.T, srv *cognitotest.Server, page string) (callback string) {
	t.Helper()
	return signsIn(t, srv, page, "ana", "richtiges Pferd")
}

func signsIn(t *testing.T, srv *cognitotest.Server, page, user, password string) (callback string) {
	t.Helper()
	callback, err := srv.Authorize(page, user, password)
	if err != nil {
		t.Fatal(err)
	}
	return callback
}

func visitPage(t *testing.T, address, host string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(data)
}

const anaSignedIn = "staging: signed in as ana, kept in memory, only until the daemon stops"

// What is not this sign-in's is ignored with a line, and then the browser returns.
func TestLoginBrowserIgnoresOthers(t *testing.T) {
	s, srv, redirects := atCognito(t)
	login := s.background("login", "--browser")
	callback := signs(t, srv, login.page(t))
	visitPage(t, redirects[0]+"?error=access_denied&state=x", "")
	login.says(t, "staging: ignored a request to "+redirects[0]+": its state is not that of this sign-in\n")
	visitPage(t, callback, "evil.example")
	login.says(t, "staging: ignored a request to "+redirects[0]+": its Host is not ")
	if status, body := visitPage(t, callback, ""); status != 200 || !strings.Contains(body, "signed in to staging as ana") {
		t.Errorf("HTTP %d\n%s", status, body)
	}
	login.want(t, exitOK, anaSignedIn)
	if _, err := http.Get(callback); err == nil {
		t.Error("something still listens")
	}
}

// Without a terminal the address comes from a pipe, after some that are no use.
func TestLoginBrowserPastedOverAPipe(t *testing.T) {
	s, srv, redirects := atCognito(t, "KYC_PROD_DOMAIN=https://prod.example", "KYC_PROD_REDIRECT_URIS=http://localhost:1/prod", "SSH_CONNECTION=192.0.2.1 50000 192.0.2.9 22", "USER=ana")
	login := s.background("login", "--browser")
	page := login.page(t)
	port := strings.TrimSuffix(strings.TrimPrefix(redirects[0], "http://localhost:"), "/callback")
	login.says(t, "open this page in the browser of the machine you sit at to sign in:\n")
	login.says(t, "paste the address that it shows. Or run this there first: ssh -L "+port+":localhost:"+port+" ana@192.0.2.9\n")
	callback := signs(t, srv, page)
	for _, wrong := range []struct{ line, says string }{
		{"", ""},
		{callback[:len(callback)-40], "staging: a part of the address is missing"},
		{"http://localhost:1/prod?code=c&state=s", "staging: the browser has not returned there yet, or that is of another environment; paste the address that begins with " + redirects[0]},
		{page, "staging: that is the page to open; paste the address at which the browser ends"},
	} {
		if _, err := io.WriteString(login.stdin, wrong.line+"\n"); err != nil {
			t.Fatal(err)
		}
		login.says(t, wrong.says)
	}
	if _, err := io.WriteString(login.stdin, callback); err != nil { // its end is the end of the pipe
		t.Fatal(err)
	}
	_ = login.stdin.Close()
	login.want(t, exitOK, anaSignedIn)
}

// At a terminal an address may be pasted while the browser is waited for, and the terminal is
// as before afterwards.
func TestLoginBrowserAtATerminal(t *testing.T) {
	h := newFixture(t)
	redirects := freeRedirects(t, "127.0.0.1")
	h.cognito.Set(cognitotest.RedirectURIs(redirects...))
	h.env = append(h.env, "BROWSER=/nowhere/browser", "KYC_STAGING_DOMAIN="+h.cognito.Domain(), "KYC_STAGING_REDIRECT_URIS="+redirects[0])
	h.daemon("--store", "memory")
	for _, pasted := range []bool{true, false} {
		p := terminaltest.New(t)
		login := h.sessionOn(p, kycAgentd("login", "--browser"))
		p.Sees("kyc-agentd: staging: open this page to sign in:\r\n")
		p.Sees("\r\n")
		lines := strings.Split(strings.TrimSpace(p.Seen()), "\r\n")
		callback, err := h.cognito.Authorize(lines[len(lines)-1], "ana", "correct horse")
		if err != nil {
			t.Fatal(err)
		}
		p.Sees("no browser could be started; open the page yourself")
		if pasted {
			p.Types("half\n")
			p.Sees("that is not an address")
			p.Sees("at which address did it end? ") // what is typed before it is echoed before it
			p.Types(callback + "\n")
		} else {
			visitPage(t, callback, "")
		}
		p.Sees("\r\nkyc-agentd: " + anaSignedIn)
		if exit := h.ended(login); exit != exitOK || !p.Echoes() {
			t.Errorf("exit %d, echo %v", exit, p.Echoes())
		}
	}
}

// If every port is taken, the address can be pasted; if it cannot, that is the end.
func TestLoginBrowserPortsTaken(t *testing.T) {
	s, srv, redirects := atCognito(t)
	for _, uri := range redirects {
		u, _ := url.Parse(uri)
		ln, err := net.Listen("tcp", "127.0.0.1:"+u.Port())
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
	}
	taken := func(uri string) string { u, _ := url.Parse(uri); return "127.0.0.1:" + u.Port() + ": in use" }
	both := "no port of redirect_uris is free (" + taken(redirects[0]) + ", " + taken(redirects[1]) + ")"
	login := s.background("login", "--browser")
	callback := signs(t, srv, login.page(t))
	login.says(t, "staging: "+both+": the browser will say that it cannot connect; then paste the address that it shows\n")
	_, _ = io.WriteString(login.stdin, callback+"\n")
	login.want(t, exitOK, anaSignedIn)

	login = s.background("login", "--browser")
	_ = login.stdin.Close()
	login.want(t, exitTemporary, "staging: "+both+", and there is no terminal to paste the address; end what uses the port, or add another registered URL to redirect_uris")
}

// Of two sign-ins of one environment the later one counts. It has the next port.
func TestLoginBrowserTwiceAtOnce(t *testing.T) {
	s, srv, redirects := atCognito(t, "KYC_STAGING_AUTH_FLOW=browser")
	first := s.background("login")
	early := signs(t, srv, first.page(t))
	second := s.background("login")
	page := second.page(t)
	first.want(t, exitTemporary, "staging: another sign-in was started and ended this one")
	if !strings.Contains(page, url.QueryEscape(redirects[1])) {
		t.Errorf("the second is to return to %s", page)
	}
	_, _ = io.WriteString(second.stdin, early+"\n")
	second.says(t, "paste the address that begins with "+redirects[1])
	if status, _ := visitPage(t, signs(t, srv, page), ""); status != 200 {
		t.Errorf("HTTP %d", status)
	}
	second.want(t, exitOK, anaSignedIn)
}

// The browser is closed after it has returned, or a person gives up.
func TestLoginBrowserGivenUp(t *testing.T) {
	s, srv, _ := atCognito(t)
	login := s.background("login", "--browser")
	callback := signs(t, srv, login.page(t))
	srv.FailNext(cognitotest.TokenEndpoint, 1, cognitotest.Hang())
	conn, err := net.Dial("tcp", strings.SplitN(callback, "/", 4)[2])
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(callback)
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", u.RequestURI(), u.Host)
	if err := srv.WaitCalls(within(t, time.Minute), cognitotest.TokenEndpoint, 1); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	srv.Release()
	login.want(t, exitOK, anaSignedIn)

	login = s.background("login", "--browser")
	callback = signs(t, srv, login.page(t))
	srv.FailNext(cognitotest.TokenEndpoint, 1, cognitotest.Hang())
	body := make(chan string)
	go func() {
		_, page := visitPage(t, callback, "")
		body <- page
	}()
	if err := srv.WaitCalls(within(t, time.Minute), cognitotest.TokenEndpoint, 2); err != nil {
		t.Fatal(err)
	}
	_ = login.Process.Signal(syscall.SIGINT)
	if page := <-body; !strings.Contains(page, "was cancelled at the terminal") {
		t.Error(page)
	}
	login.want(t, exitSignalBase+int(syscall.SIGINT), "staging: the call was cancelled")
	srv.Release()
	if !happens(func() bool { return srv.SignIns() == 2 && srv.LiveSignIns() == 1 }) {
		t.Errorf("%d sign-ins, %d live", srv.SignIns(), srv.LiveSignIns())
	}
	login = s.background("login", "--browser")
	login.page(t)
	_ = login.Process.Signal(syscall.SIGINT)
	login.want(t, exitSignalBase+int(syscall.SIGINT), "staging: cancelled")
}

// What ends a sign-in, as docs/browser.md has it: a line and an exit code, and the same words in the
// browser. Nothing of it is kept.
func TestLoginBrowserRefused(t *testing.T) {
	s, srv, _ := atCognito(t)
	const again = "begin again: run: kyc-agentd login --browser staging"
	for _, tt := range []struct {
		name  string
		spoil func(callback string) (address string)
		exit  int
		says  string
	}{
		{"declined", func(callback string) string {
			u, _ := url.Parse(callback)
			return strings.Split(callback, "?")[0] + "?error=access_denied&error_description=x&state=" + u.Query().Get("state")
		}, exitDenied, "the sign-in was declined, or refused by the identity provider (access_denied); " + again},
		{"a scope", func(callback string) string {
			u, _ := url.Parse(callback)
			return strings.Split(callback, "?")[0] + "?error=invalid_scope&state=" + u.Query().Get("state")
		}, exitConfiguration, "refused the sign-in (invalid_scope); check scopes and identity_provider of environment staging"},
		{"a code burnt", func(callback string) string {
			u, _ := url.Parse(callback)
			res, err := http.PostForm(srv.Domain()+"/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {srv.ClientID},
				"redirect_uri": {strings.Split(callback, "?")[0]}, "code": u.Query()["code"]})
			if err == nil {
				res.Body.Close()
			}
			return callback
		}, exitDenied, "refused the code of the browser: it was used already, or is too old; " + again},
		{"another nonce", func(callback string) string {
			srv.Set(cognitotest.Nonce("x"))
			return callback
		}, exitInternal, "the new ID token was refused: nonce: "},
		{"no refresh token", func(callback string) string {
			srv.Set(cognitotest.Nonce(""), cognitotest.OmitRefreshToken(true))
			return callback
		}, exitConfiguration, "without a refresh token"},
		{"a lock", func(callback string) string {
			s.mustWith("seven-blue-otters\n", "kyc-agentd", "passphrase", "--passphrase-stdin")
			s.must("kyc-agentd", "lock")
			return callback
		}, exitDenied, "the agent is locked with your passphrase"},
	} {
		login := s.background("login", "--browser")
		address := tt.spoil(signs(t, srv, login.page(t)))
		if tt.name != "a lock" { // that has ended the sign-in, and its listener
			if status, body := visitPage(t, address, ""); status != 200 || !strings.Contains(body, "<title>Not signed in") {
				t.Errorf("%s: HTTP %d\n%s", tt.name, status, body)
			}
		}
		<-login.exited
		lines := strings.Split(strings.TrimSpace(login.errOut.String()), "\n")
		if last := lines[len(lines)-1]; login.ProcessState.ExitCode() != tt.exit || !strings.HasPrefix(last, "kyc-agentd: staging: ") || !strings.Contains(last, tt.says) {
			t.Errorf("%s: exit %d, %s\nwant %d, %s", tt.name, login.ProcessState.ExitCode(), last, tt.exit, tt.says)
		}
	}
	if exit, out, _ := s.run("", "kyc-token", "staging"); exit == 0 || out != "" {
		t.Errorf("a token all the same: %q", out)
	}
}

// What is wrong before anything begins.
func TestLoginBrowserUsage(t *testing.T) {
	s, srv, _ := atCognito(t, "KYC_STAGING_AUTH_FLOW=browser")
	for _, tt := range []struct {
		args []string
		exit int
		says string
	}{
		{[]string{"login", "--browser", "prod"}, exitConfiguration, "prod: a sign-in with a browser needs domain and redirect_uris, which are not set; the user pool's administrator knows them: see man kyc-agent.toml, then run: kyc-agentd reload"},
		{[]string{"logout", "--browser", "prod"}, exitConfiguration, "prod: a sign-in with a browser needs domain and redirect_uris, which are not set; the user pool's administrator knows them: see man kyc-agent.toml, then run: kyc-agentd reload"},
		{[]string{"login", "--browser", "--password-stdin", "-u", "ana"}, exitUsage, "--browser takes no password and no API key; leave one out"},
		{[]string{"login", "--browser", "--api-key-stdin"}, exitUsage, "--browser takes no password and no API key; leave one out"},
		{[]string{"logout", "--browser", "--all"}, exitUsage, "--browser ends the browser's session of one environment, and --all is every environment; leave one out"},
		{[]string{"login", "-u", "ana", "--password-stdin"}, exitUsage, "staging: users of this environment sign in with a browser, without a password; run: kyc-agentd login staging"},
	} {
		exit, _, errOut := s.run("x\n", "kyc-agentd", tt.args...)
		if exit != tt.exit || errOut != "kyc-agentd: "+tt.says+"\n" {
			t.Errorf("%q: exit %d, %q\nwant %d, %q", tt.args, exit, errOut, tt.exit, tt.says)
		}
	}
	if n := len(srv.Log()); n != 0 {
		t.Errorf("%d calls", n)
	}
}
