package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// A peerProvider is oidc-provider, an authorization server that nobody of this project wrote.
type peerProvider struct{ url string }

func newPeerProvider(t *testing.T, redirects []string) *peerProvider {
	t.Helper()
	dir, node := testpeer.Npm(t)
	cmd := exec.Command(node, append([]string{filepath.Join("testdata", "oidcprovider", "server.mjs"), dir}, redirects...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "NODE_ENV=test"}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("oidc-provider: %v", err)
		}
		if url := strings.TrimSpace(line); strings.HasPrefix(url, "http://") {
			go io.Copy(io.Discard, lines)
			return &peerProvider{url}
		}
	}
}

// screenshot keeps a picture of the page, in both colour schemes, in $KYC_SCREENSHOTS.
func screenshot(browser *testpeer.Chromium, name string) {
	if dir := os.Getenv("KYC_SCREENSHOTS"); dir != "" {
		for _, scheme := range []string{"light", "dark"} {
			browser.Screenshot(filepath.Join(dir, name+"-"+scheme+".png"), scheme)
		}
	}
}

// A sign-in in a real browser, at a server that nobody of this project wrote: with a password,
// with a passkey, refused; then refreshes with its rotation, and the end.
func TestBrowserSignInAtAnotherServer(t *testing.T) {
	testpeer.Long(t)
	browser := testpeer.NewChromium(t)
	redirects := freeRedirects(t, "localhost", "127.0.0.1")
	peer := newPeerProvider(t, redirects)
	s := newBinaries(t, peer.url, "us-east-2_peer", "oidcproviderclient")
	opened := s.withBrowser(peer.url, redirects,
		"KYC_STAGING_ISSUER="+peer.url, "KYC_STAGING_JWKS_URL="+peer.url+"/jwks", "KYC_STAGING_AUTH_FLOW=browser")
	s.start("--store", "memory")

	signIn := func(args ...string) *backgroundVerb {
		t.Helper()
		login := s.background(append([]string{"login"}, args...)...)
		browser.Call("Network.clearBrowserCookies", nil, nil)
		page := opened()
		if !strings.Contains(page, "code_challenge_method=S256") || !strings.Contains(page, "nonce=") || !strings.Contains(login.errOut.String(), "\n"+page+"\n") {
			t.Errorf("opened %s and printed %s", page, login.errOut.String())
		}
		browser.Open(page)
		browser.Await("form", `document.title == "sign in"`)
		return login
	}
	const signedIn = "staging: signed in as ana, kept in memory, only until the daemon stops"

	login := signIn("-u", "ana")
	browser.Fill("[name=user]", "ana")
	browser.Fill("[name=password]", "korrekt pferd")
	browser.Click("form button")
	browser.Await("end page", `document.title.startsWith("Signed in")`)
	screenshot(browser, "signed-in")
	if got := browser.Eval("document.querySelector('p').innerText"); got != "kyc-agent is signed in to staging as ana. You can close this page and go back to the terminal." {
		t.Errorf("the page says %q", got)
	}
	login.want(t, 0, signedIn)

	login = signIn("--browser")
	browser.Click("[name=cancel]")
	browser.Await("error page", `document.title.startsWith("Not signed in")`)
	screenshot(browser, "refused")
	login.want(t, exitDenied, "staging: the sign-in was declined, or refused by the identity provider (access_denied); begin again: run: kyc-agentd login --browser staging")

	browser.AddPasskeys()
	browser.Open(peer.url + "/register")
	browser.Await("registration", `document.title == "registered"`)
	login = signIn()
	browser.Click("#use-passkey")
	browser.Await("end page", `document.title.startsWith("Signed in")`)
	screenshot(browser, "passkey")
	login.want(t, 0, signedIn)

	for range 2 { // each answer replaces the refresh token, and the server ends a sign-in at the second use of one
		first := s.must("kyc-token", "staging")
		if !happens(func() bool { return s.must("kyc-token", "-min-valid", "59m59s", "staging") != first }) {
			t.Error("no new token") // after a second one is due
		}
	}
	if status := s.must("kyc-agentd", "status", "--json"); !strings.Contains(status, `"rotated": true`) {
		t.Errorf("status: %s", status)
	}
	s.must("kyc-agentd", "logout", "staging")
}

// The doctor asks that server, too, and signs nobody in.
func TestDoctorAtAnotherServer(t *testing.T) {
	testpeer.Slow(t)
	redirects := freeRedirects(t, "localhost")
	peer := newPeerProvider(t, redirects)
	for _, c := range []struct{ client, redirect, says string }{
		{"oidcproviderclient", redirects[0], "has a sign-in page for the app client and redirect_uris"},
		{"someoneelse", redirects[0], "does not take the app client someoneelse"},
		{"oidcproviderclient", "http://localhost:1/other", "does not have the callback URL http://localhost:1/other"},
	} {
		s := newBinaries(t, peer.url, "us-east-2_peer", c.client)
		s.env = append(s.env, "KYC_STAGING_DOMAIN="+peer.url, "KYC_STAGING_REDIRECT_URIS="+c.redirect, "KYC_STAGING_AUTH_FLOW=browser")
		if _, out, _ := s.run("", "kyc-agentd", "doctor", "staging"); !strings.Contains(out, c.says) {
			t.Errorf("%s, %s: no %q in\n%s", c.client, c.redirect, c.says, out)
		}
	}
}

// The pages of a Cognito, in a real browser, which then is signed out, too.
func TestBrowserSignInAtCognito(t *testing.T) {
	browser := testpeer.NewChromium(t)
	redirects := freeRedirects(t, "127.0.0.1")
	srv := cognitotest.New(cognitotest.RedirectURIs(redirects...), cognitotest.LogoutURIs(redirects...))
	defer srv.Close()
	srv.AddUser(cognitotest.User{Name: "ana", Password: "richtiges Pferd"})
	s := newBinaries(t, srv.URL, srv.PoolID, srv.ClientID)
	opened := s.withBrowser(srv.Domain(), redirects)
	s.start("--store", "memory")

	login := s.background("login", "--browser")
	browser.Open(opened())
	browser.Await("form", `document.title == "Sign in"`)
	browser.Fill("[name=username]", "ana")
	browser.Fill("[name=password]", "richtiges Pferd")
	browser.Click("button")
	browser.Await("end page", `document.title.startsWith("Signed in")`)
	login.want(t, 0, "staging: signed in as ana, kept in memory, only until the daemon stops")

	logout := s.background("logout", "--browser")
	browser.Open(opened())
	browser.Await("end page", `document.title.startsWith("Signed out")`)
	screenshot(browser, "signed-out")
	logout.want(t, 0, "staging: the browser is signed out")
	if n := srv.LiveSignIns(); n != 0 {
		t.Errorf("%d sign-ins are left", n)
	}
}
