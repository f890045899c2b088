package main

import (
	"cmp"
	"net/http"
	"os"
	"time"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal"
)

// What `api` shows of a transfer that takes long. It goes to standard error, and only if that
// is a terminal that can go back to the beginning of a line.

func nothingToStop() {}

// screen returns the terminal that standard error is, or nil.
func (a *apiOptions) screen() *terminal.Terminal {
	f, ok := a.cli.io.err.(*os.File)
	if !ok || !isTerminal(f) || a.cli.vars.Get("TERM") == "dumb" {
		return nil
	}
	return terminal.New(f)
}

func (a *apiOptions) slowAfter() time.Duration { return cmp.Or(a.cli.slowAfter, time.Second) }

// showUpload shows how much of body is sent, and then that the API has not answered, or the
// agent waits for Cognito.
func (a *apiOptions) showUpload(req *http.Request, body *requestBody) (stop func()) {
	screen := a.screen()
	const waiting = "the API has not answered yet; Ctrl-C cancels"
	switch {
	case screen == nil:
		return nothingToStop
	case body == nil || req.ContentLength == 0:
		return screen.Spin(waiting, a.slowAfter(), false)
	}
	body.sent.What, body.sent.Total = "upload", req.ContentLength
	return screen.Show(&body.sent, waiting, a.slowAfter())
}

// showDownload shows how much of the answer has come, unless the terminal shows the answer.
func (a *apiOptions) showDownload(received *terminal.Transfer) (stop func()) {
	screen := a.screen()
	if screen == nil || isTerminal(a.cli.io.out) {
		return nothingToStop
	}
	return screen.Show(received, "download is complete", a.slowAfter())
}

// A counter counts what is written to it.
type counter struct{ to *terminal.Transfer }

func (c counter) Write(p []byte) (int, error) {
	c.to.Done.Add(int64(len(p)))
	return len(p), nil
}
