package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/browser"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/internal/shellquote"
)

// A browserLogin is a sign-in with a browser, as this terminal sees it. The agent has the page
// and judges what comes back; the browser returns to callback, or a person pastes the address.
type browserLogin struct {
	in       *interaction
	callback *browser.Callback // nil if no port is free
	taken    error             // why
	uri      string            // of callback, or the one to which the browser returns in vain

	begun  bool
	paste  func(context.Context) (string, error) // reads one line; nil if nothing can be pasted any more
	asking bool                                  // paste runs, until cancel
	cancel context.CancelFunc
	pasted chan pastedLine
}

type pastedLine struct {
	text string
	err  error
}

// signInWithBrowser signs in. user may be "", and is a suggestion for the page.
func (in *interaction) signInWithBrowser(ctx context.Context, user string) error {
	if in.env.Browser == nil {
		return noBrowserSignIn(in.env.Name)
	}
	b := &browserLogin{in: in, uri: in.env.Browser.RedirectURIs[0], pasted: make(chan pastedLine, 1)}
	if b.callback, b.taken = browser.Listen(in.env.Browser.RedirectURIs); b.taken == nil {
		b.uri = b.callback.URI
	}
	defer b.openPaste()()
	in.browser = b
	err := in.signIn(ctx, agent.LoginRequest{Username: user, RedirectURI: b.uri})
	b.finish(ctx, err)
	return err
}

// noBrowserSignIn is the error where an environment has none.
func noBrowserSignIn(name string) error {
	return &agent.Error{
		Code: agent.CodeConfiguration, Op: "login", Environment: name,
		Message: "a sign-in with a browser needs domain and redirect_uris, which are not set",
		Hint:    "the user pool's administrator knows them: see man kyc-agent.toml, then run: kyc-agentd reload",
	}
}

// answer waits for the browser or a person. It is an [agent.Prompter].
func (b *browserLogin) answer(ctx context.Context, c agent.Challenge) (agent.Answers, error) {
	if !b.begun {
		b.begun = true
		b.begin(c.BrowserURL)
	}
	if c.Problem != "" {
		b.in.cli.io.say("%s: %s", b.in.env.Name, c.Problem)
	}
	address, err := b.wait(ctx)
	return agent.Answers{agent.FieldCallback: agent.NewSecret(address)}, err
}

// begin shows the page: as text always, because nothing else is sure to work, and in a browser.
func (b *browserLogin) begin(page string) {
	say, name, vars := b.in.cli.io.say, b.in.env.Name, b.in.cli.vars
	if b.callback != nil {
		u, _ := url.Parse(page)
		b.callback.Expect(u.Query().Get("state"), func(why string) { say("%s: ignored a request to %s: %s", name, b.uri, why) })
	}
	remote := vars.Get("SSH_CONNECTION") != ""
	where := ""
	if remote {
		where = " in the browser of the machine you sit at"
	}
	say("%s: open this page%s to sign in:", name, where)
	b.in.showPage(page)
	switch {
	case b.callback == nil:
		say("%s: no port of redirect_uris is free (%v): the browser will say that it cannot connect; then paste the address that it shows", name, b.taken)
	case remote:
		say("%s: the browser will say that it cannot connect: then paste the address that it shows. Or run this there first: %s", name, tunnel(b.uri, vars))
	}
	browser.Open(page, vars, func() { say("%s: no browser could be started; open the page yourself", name) })
}

// showPage prints a URL in a line of its own, so that it can be copied, and clicked in some
// terminals.
func (in *interaction) showPage(page string) {
	fmt.Fprintln(in.cli.io.err, sanitize.OneLine(page))
	if in.terminal != nil && !isTerminal(in.cli.io.err) {
		in.terminal.Printf("%s", page)
	}
}

// tunnel returns the command with which a browser on another machine reaches uri.
func tunnel(uri string, vars config.Environ) string {
	u, _ := url.Parse(uri)
	host := "HOST"
	if words := strings.Fields(vars.Get("SSH_CONNECTION")); len(words) == 4 {
		host = words[2] // client address, its port, server address, its port
	}
	if user := vars.Get("USER"); user != "" {
		host = user + "@" + host
	}
	return "ssh -L " + u.Port() + ":" + net.JoinHostPort(u.Hostname(), u.Port()) + " " + shellquote.Quote(host)
}

// wait returns the address to which the browser returned.
func (b *browserLogin) wait(ctx context.Context) (string, error) {
	var received <-chan string
	if b.callback != nil {
		received = b.callback.Received()
	}
	for {
		b.startPaste(ctx)
		select {
		case address := <-received:
			b.stopPaste()
			return address, nil
		case line := <-b.pasted:
			b.asking = false
			switch {
			case line.err != nil && ctx.Err() == nil && received != nil && b.in.terminal == nil:
				b.paste = nil // standard input has ended; the browser may still return
			case line.err != nil:
				return "", b.pasteError(line.err)
			case strings.TrimSpace(line.text) != "":
				return line.text, nil
			}
		case <-ctx.Done():
			b.stopPaste()
			return "", terminal.ErrCancelled
		}
	}
}

func (b *browserLogin) pasteError(err error) error {
	if b.callback != nil || b.in.terminal != nil {
		return err
	}
	return &agent.Error{
		Code: agent.CodeUnavailable, Op: "login", Environment: b.in.env.Name,
		Message: fmt.Sprintf("no port of redirect_uris is free (%v), and there is no terminal to paste the address", b.taken),
		Hint:    "end what uses the port, or add another registered URL to redirect_uris",
	}
}

// startPaste begins to read a line, unless that goes on already.
func (b *browserLogin) startPaste(ctx context.Context) {
	if b.asking || b.paste == nil {
		return
	}
	b.asking = true
	paste := b.paste
	ctx, b.cancel = context.WithCancel(ctx)
	go func() {
		text, err := paste(ctx)
		b.pasted <- pastedLine{text, err}
	}()
}

// stopPaste ends the prompt, so that what is printed next has a line of its own. A terminal can
// then not be read any more.
func (b *browserLogin) stopPaste() {
	b.paste = nil
	if b.asking {
		b.cancel()
		if b.in.terminal != nil { // standard input cannot be cancelled, and shows nothing
			<-b.pasted
		}
	}
}

// openPaste opens what a person pastes into: the terminal, or standard input if there is none.
// It is not the interaction's terminal, which a read that nobody answers would use up.
func (b *browserLogin) openPaste() (done func()) {
	if t, err := b.in.cli.io.tty(); err == nil {
		b.paste = func(ctx context.Context) (string, error) {
			return t.Ask(ctx, "Waiting for the browser. If it cannot return, at which address did it end?", false)
		}
		return func() { _ = t.Close() }
	}
	lines := bufio.NewReaderSize(b.in.cli.io.in, config.MaxLine)
	b.paste = func(context.Context) (string, error) {
		line, err := lines.ReadSlice('\n')
		if err == io.EOF && len(line) > 0 {
			err = nil
		}
		if err != nil {
			return "", err
		}
		return terminal.CheckLine(strings.TrimRight(string(line), "\r\n"))
	}
	return func() {}
}

// finish tells the browser how it went.
func (b *browserLogin) finish(ctx context.Context, err error) {
	if b.callback == nil {
		return
	}
	name, back := b.in.env.Name, " You can close this page and go back to the terminal."
	switch {
	case ctx.Err() != nil:
		b.callback.Finish(browser.Page{Title: "Cancelled", Text: "The sign-in to " + name + " was cancelled at the terminal.", Bad: true})
	case err != nil:
		b.callback.Finish(browser.Page{Title: "Not signed in", Text: sanitize.OneLine(err.Error()), Bad: true})
	default:
		as := ""
		if st, err := b.in.service.Status(ctx); err == nil {
			if env, err := findEnvironment(st, name); err == nil && env.User != "" {
				as = " as " + env.User
			}
		}
		b.callback.Finish(browser.Page{Title: "Signed in", Text: "kyc-agent is signed in to " + name + as + "." + back})
	}
}

// signOutTimeout is how long a sign-out waits for the browser: there is nothing to type.
const signOutTimeout = time.Minute

// signOutBrowser ends the session that the browser has at the environment's domain. The agent's
// sign-in has ended already, so what goes wrong here is only said.
func (in *interaction) signOutBrowser(ctx context.Context) {
	say, name, page := in.cli.io.say, in.env.Name, in.env.Browser.LogoutURL
	callback, _ := browser.Listen(in.env.Browser.RedirectURIs[:1])
	if callback != nil {
		callback.Expect("", func(string) {})
		defer callback.Finish(browser.Page{Title: "Signed out", Text: "The browser is signed out of " + name + ". You can close this page."})
	}
	say("%s: open this page to sign the browser out, too:", name)
	in.showPage(page)
	failed := make(chan struct{})
	started := browser.Open(page, in.cli.vars, func() { close(failed) })
	if callback == nil || !started {
		return
	}
	timer := time.NewTimer(signOutTimeout)
	defer timer.Stop()
	select {
	case <-callback.Received():
		say("%s: the browser is signed out", name)
	case <-failed:
		say("%s: no browser could be started; open the page yourself", name)
	case <-timer.C:
		say("%s: the browser has not returned; its page says why", name)
	case <-ctx.Done():
	}
}
