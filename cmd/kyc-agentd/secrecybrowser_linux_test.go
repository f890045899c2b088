package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// A browserWitness looks for the secrets of sign-ins with a browser, beside those of its witness.
//
// The address of the page has the state and the nonce in it. It is shown to the person, and it is
// an argument of the command of $BROWSER, because no browser takes an address in another way. So
// both may be in that line and in that argument, and nowhere else: with them another user of the
// machine gets as far as the callback, which drops other users' connections, and after the sign-in
// they are of no use. The verifier and the code are what tokens are made of, and may be nowhere.
type browserWitness struct {
	*witness
	srv    *cognitotest.Server
	opened func() string
	daemon *daemonProcess
	pages  []string // that were opened; a command of $BROWSER may end late

	closeBrowser func()
}

// withBrowserAt lets prod sign in with a browser.
func (w *witness) withBrowserAt(srv *cognitotest.Server) *browserWitness {
	redirects := freeRedirects(w.t, "127.0.0.1")
	srv.Set(cognitotest.RedirectURIs(redirects...))
	srv.AddUser(cognitotest.User{Name: "bea", Password: "Correct-horse-7"})
	w.env = append(w.env, "KYC_PROD_DOMAIN="+srv.Domain(), "KYC_PROD_REDIRECT_URIS="+redirects[0])
	b := &browserWitness{witness: w, srv: srv, opened: w.withBrowser(srv.Domain(), redirects)}
	b.hold()
	return b
}

// hold keeps the command of $BROWSER running until closeBrowser, so that it can be looked at.
func (w *browserWitness) hold() {
	w.t.Helper()
	fifo, command := filepath.Join(w.dir, "hold"), filepath.Join(w.dir, "open-page")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		w.t.Fatal(err)
	}
	hold, err := os.OpenFile(fifo, os.O_RDWR, 0) // for reading as well: it waits for nobody
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = hold.Close() })
	w.closeBrowser = func() { _, _ = hold.WriteString("\n") }
	script, err := os.ReadFile(command)
	if err == nil {
		err = testpeer.WriteProgram(command, fmt.Appendf(script, "read -r closed <%s\n", fifo), 0o700)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// browsers signs in with all that can go wrong once the page is shown, and ends the daemon.
func (w *browserWitness) browsers(kind string) {
	w.daemon = w.start("--store", kind, "--log-level", "debug")
	for name, fault := range tokenFaults {
		w.browser("token endpoint: "+name, func(login *backgroundVerb, callback string) {
			if fault != nil {
				w.srv.FailNext(cognitotest.TokenEndpoint, 1, fault(w.form(callback)))
			}
			_, body := visitPage(w.t, callback, "")
			w.clean(name+": the last page", body)
			<-login.exited
		})
	}
	for _, wrong := range []string{"?code=CODE&state=other", "?code=CODE", "?code=CODE&code=CODE&state=STATE", "/CODE?code=CODE&state=STATE", "?error=CODE&state=STATE&error_description=CODE"} {
		w.browser("callback: "+wrong, func(login *backgroundVerb, callback string) {
			form := w.form(callback)
			wrong := strings.NewReplacer("CODE", form.Get("code"), "STATE", form.Get("state")).Replace(form.Get("redirect_uri") + wrong)
			fmt.Fprintln(login.stdin, wrong)
			login.says(w.t, "kyc-agentd: prod: ")
			if res, err := http.Get(wrong); err == nil {
				res.Body.Close()
			}
			_ = login.Process.Signal(syscall.SIGINT)
			<-login.exited
		})
	}
	w.crash("the verb", func(login *backgroundVerb) *os.Process { return login.Process })
	w.crash("the daemon", func(*backgroundVerb) *os.Process { return w.daemon.cmd.Process })
	<-w.daemon.done
	if !strings.Contains(w.daemon.log.String(), "goroutine ") {
		w.t.Error("the daemon's end has left no stack to look at")
	}
}

// tokenFaults are answers of the token endpoint to a form.
var tokenFaults = map[string]func(url.Values) cognitotest.Fault{
	"none": nil,
	"502":  func(url.Values) cognitotest.Fault { return cognitotest.BadGateway() },
	"drop": func(url.Values) cognitotest.Fault { return cognitotest.Drop() },
	"error quotes": func(f url.Values) cognitotest.Fault {
		return cognitotest.Answer(400, "application/json", jsonText(map[string]any{"error": all(f)}))
	},
	"description quotes": func(f url.Values) cognitotest.Fault {
		return cognitotest.Answer(400, "application/json", jsonText(map[string]any{"error": "invalid_grant", "error_description": all(f)}))
	},
	"page quotes": func(f url.Values) cognitotest.Fault { return cognitotest.Answer(500, "text/html", all(f)) },
	"tokens quote": func(f url.Values) cognitotest.Fault {
		return cognitotest.Answer(200, "application/json", jsonText(map[string]any{
			"id_token": all(f), "access_token": all(f), "refresh_token": all(f), "token_type": all(f), "expires_in": 3600}))
	},
}

// all is what a server can quote at worst.
func all(form url.Values) string {
	return strings.Join(append([]string{form.Get("code"), form.Get("state"), form.Get("nonce"), "eyJhbGciOi.eyJzdWIi.c2ln"}, words...), " ")
}

func jsonText(v any) string {
	data, _ := json.Marshal(v)
	return string(data)
}

// form returns what a callback and its page have.
func (w *browserWitness) form(callback string) url.Values {
	u, err := url.Parse(callback)
	if err != nil {
		w.t.Fatal(err)
	}
	form := u.Query()
	form.Set("redirect_uri", strings.Split(callback, "?")[0])
	return form
}

// browser signs in up to the callback, and looks at everything before and after what answer does.
func (w *browserWitness) browser(what string, answer func(login *backgroundVerb, callback string)) {
	w.t.Helper()
	login := w.background("login", "--browser", "prod")
	page := w.opened()
	w.pages = append(w.pages, page)
	u, err := url.Parse(page)
	if err != nil {
		w.t.Fatal(err)
	}
	callback := signsIn(w.t, w.srv, page, "bea", "Correct-horse-7")
	w.learned = append(w.learned, u.Query().Get("state"), u.Query().Get("nonce"), w.form(callback).Get("code"))
	if !w.processes(what) {
		w.t.Errorf("%s: $BROWSER does not run", what)
	}
	verifiers, before := make(chan string, 1), w.srv.Calls(cognitotest.TokenEndpoint)
	w.srv.OnCall(func(c cognitotest.Call) {
		if c.Op != cognitotest.TokenEndpoint {
			return
		}
		form, _ := url.ParseQuery(string(c.Body))
		w.processes(what+", during the exchange", form.Get("code_verifier"))
		verifiers <- form.Get("code_verifier")
	})
	answer(login, callback)
	w.closeBrowser()
	w.srv.OnCall(nil)
	if w.srv.Calls(cognitotest.TokenEndpoint) > before {
		w.learned = append(w.learned, <-verifiers)
	}
	said := login.errOut.String()
	if strings.Count(said, page+"\n") != 1 {
		w.t.Errorf("%s: the page is not once in a line of its own:\n%s", what, said)
	}
	w.clean(what, strings.Replace(said, page+"\n", "", 1))
	w.clean(what+": the daemon's log", w.daemon.log.String())
	w.srv.ClearFaults()
}

// processes looks for what was learned in the command line and the environment of every process,
// and reports whether a command of $BROWSER is among them, of which a page is an argument.
func (w *browserWitness) processes(what string, more ...string) (browser bool) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, cmdline := range files {
		for _, file := range []string{cmdline, filepath.Join(filepath.Dir(cmdline), "environ")} {
			data, err := os.ReadFile(file)
			if err != nil {
				continue // gone, or not ours to read
			}
			if file == cmdline && bytes.Contains(data, []byte("open-page\x00")) {
				for _, page := range w.pages {
					data = bytes.Replace(data, []byte(page), nil, 1)
				}
				browser = true
			}
			w.clean(what+": "+file, string(data), more...)
		}
	}
	return browser
}

// crash kills a process during the exchange, so that the runtime writes its stacks.
func (w *browserWitness) crash(what string, of func(*backgroundVerb) *os.Process) {
	w.browser("a crash of "+what, func(login *backgroundVerb, callback string) {
		before := w.srv.Calls(cognitotest.TokenEndpoint)
		w.srv.FailNext(cognitotest.TokenEndpoint, 1, cognitotest.Hang())
		go func() { _, _ = http.Get(callback) }()
		if err := w.srv.WaitCalls(within(w.t, time.Minute), cognitotest.TokenEndpoint, before+1); err != nil {
			w.t.Fatal(err)
		}
		_ = of(login).Signal(syscall.SIGABRT)
		<-login.exited
		if said := login.errOut.String(); what == "the verb" && !strings.Contains(said, "goroutine ") {
			w.t.Errorf("its end has left no stack to look at:\n%s", said)
		}
	})
}
