package testpeer

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// A Chromium is a page of a real browser without a window, which reaches this machine only. It
// is told what to do in the Chrome DevTools Protocol, over a pipe:
// https://chromedevtools.github.io/devtools-protocol/
type Chromium struct {
	t       testing.TB
	in      io.Writer
	out     *bufio.Reader
	session string
	calls   int
}

// NewChromium starts Debian's chromium, and ends it with the test. Such tests are slow.
func NewChromium(t testing.TB) *Chromium {
	t.Helper()
	Slow(t)
	program := Program(t, "chromium", "chromium")
	toBrowser, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, fromBrowser, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp("", "kyc-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeProfile(t, home) })
	cmd := exec.Command(program, "--headless=new", "--remote-debugging-pipe", "--user-data-dir="+home,
		"--no-sandbox", // it needs none for pages of this test, and as root it has none
		"--no-first-run", "--no-proxy-server", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1", "about:blank")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_RUNTIME_DIR=" + home, "LANG=C.UTF-8"}
	cmd.ExtraFiles = []*os.File{toBrowser, fromBrowser} // descriptors 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = toBrowser.Close()
	_ = fromBrowser.Close()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = in.Close()
		_ = out.Close()
		_ = cmd.Wait()
	})
	c := &Chromium{t: t, in: in, out: bufio.NewReader(out)}
	var target struct{ TargetID, SessionID string }
	c.Call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	c.Call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &target)
	c.session = target.SessionID
	c.Call("Page.enable", nil, nil)
	return c
}

// removeProfile removes the folder of a browser that has ended. Its helper processes end a moment
// later, and write into it until then.
func removeProfile(t testing.TB, dir string) {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := os.RemoveAll(dir)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Error(err)
			return
		}
	}
}

// Call calls a method of the protocol. result may be nil.
func (c *Chromium) Call(method string, params, result any) {
	c.t.Helper()
	c.calls++
	message := map[string]any{"id": c.calls, "method": method}
	if params != nil {
		message["params"] = params
	}
	if c.session != "" {
		message["sessionId"] = c.session
	}
	data, err := json.Marshal(message)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.in.Write(append(data, 0)); err != nil {
		c.t.Fatalf("chromium: %s: %v", method, err)
	}
	for { // events come between the answers
		data, err := c.out.ReadBytes(0)
		if err != nil {
			c.t.Fatalf("chromium: %s: %v", method, err)
		}
		var answer struct {
			ID            int
			Error, Result json.RawMessage
		}
		if err := json.Unmarshal(bytes.TrimSuffix(data, []byte{0}), &answer); err != nil {
			c.t.Fatalf("chromium: %s: %v", method, err)
		}
		switch {
		case answer.ID != c.calls:
		case answer.Error != nil:
			c.t.Fatalf("chromium: %s: %s", method, answer.Error)
		case result != nil:
			if err := json.Unmarshal(answer.Result, result); err != nil {
				c.t.Fatalf("chromium: %s: %v", method, err)
			}
			return
		default:
			return
		}
	}
}

// Open navigates to a URL. It does not wait for the page.
func (c *Chromium) Open(url string) {
	c.t.Helper()
	c.Call("Page.navigate", map[string]any{"url": url}, nil)
}

// Eval returns what an expression of JavaScript yields, as text.
func (c *Chromium) Eval(expression string) string {
	c.t.Helper()
	var got struct{ Result struct{ Value any } }
	c.Call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "userGesture": true}, &got)
	return fmt.Sprint(got.Result.Value)
}

// Await waits until an expression is true; what says what that means.
func (c *Chromium) Await(what, expression string) {
	c.t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for poll := time.NewTicker(20 * time.Millisecond); ; {
		if c.Eval(expression) == "true" {
			poll.Stop()
			return
		}
		select {
		case <-deadline.C:
			c.t.Fatalf("chromium: no %s; the page says:\n%s", what, c.Eval("document.title + '\\n' + document.body.innerText"))
		case <-poll.C:
		}
	}
}

// Fill types text into the field that a CSS selector finds.
func (c *Chromium) Fill(selector, text string) {
	c.t.Helper()
	c.Eval("document.querySelector(" + strconv.Quote(selector) + ").value = " + strconv.Quote(text))
}

// Click clicks what a CSS selector finds.
func (c *Chromium) Click(selector string) {
	c.t.Helper()
	c.Eval("document.querySelector(" + strconv.Quote(selector) + ").click()")
}

// AddPasskeys gives the page a virtual authenticator, which makes passkeys and uses them
// without a person.
func (c *Chromium) AddPasskeys() {
	c.t.Helper()
	c.Call("WebAuthn.enable", nil, nil)
	c.Call("WebAuthn.addVirtualAuthenticator", map[string]any{"options": map[string]any{
		"protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
		"isUserVerified": true, "automaticPresenceSimulation": true,
	}}, nil)
}

// Screenshot writes a picture of the page, in the given colour scheme, to a file.
func (c *Chromium) Screenshot(path, scheme string) {
	c.t.Helper()
	c.Call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	var got struct{ Data string }
	c.Call("Page.captureScreenshot", map[string]any{"format": "png"}, &got)
	png, err := base64.StdEncoding.DecodeString(got.Data)
	if err == nil {
		err = os.WriteFile(path, png, 0o600)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}
