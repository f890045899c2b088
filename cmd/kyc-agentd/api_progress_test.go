package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal/terminaltest"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
)

// While a body is sent, the API thinks and the answer comes, a person sees how far it is.
func TestAPIShowsProgress(t *testing.T) {
	goOn := make(chan struct{})
	socket := serveAPI(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadFull(r.Body, make([]byte, 10))
		<-goOn
		_, _ = io.Copy(io.Discard, r.Body)
		<-goOn
		w.Header().Set("Content-Length", "2000")
		_, _ = w.Write(make([]byte, 1000))
		w.(http.Flusher).Flush()
		<-goOn
		_, _ = w.Write(make([]byte, 1000))
	})
	const size = 64 << 20 // more than sockets buffer
	file := filepath.Join(testsocket.ShortDir(t), "body")
	if err := os.WriteFile(file, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	p := terminaltest.New(t)
	p.Resize(100, 24)
	var out bytes.Buffer
	c := &cli{
		io:        stdio{in: strings.NewReader(""), out: &out, err: p.TTY},
		vars:      config.Environ{"TERM=xterm"},
		slowAfter: time.Millisecond,
	}
	exit := make(chan int)
	go func() {
		exit <- c.run(t.Context(), []string{"api", "--socket", socket, "POST", "/", "-d", "@" + file})
		_, _ = p.TTY.WriteString("the end")
	}()
	p.Sees("\rupload ")
	p.Sees(" of 67.1 MB, ")
	p.Sees("/s, ")
	p.Sees(" left [")
	goOn <- struct{}{}
	p.Sees("the API has not answered yet; Ctrl-C cancels (")
	goOn <- struct{}{}
	p.Sees("download 1.0 kB of 2.0 kB, ")
	goOn <- struct{}{}
	if got := <-exit; got != exitOK || out.Len() != 2000 {
		t.Errorf("exit %d, %d bytes", got, out.Len())
	}
	p.Sees("\r\x1b[K\rthe end") // and the line is gone
}

// Nothing of it goes into a pipe, or to a terminal that cannot go back on its line.
func TestAPIShowsNoProgressInPipes(t *testing.T) {
	socket := serveAPI(t, func(w http.ResponseWriter, r *http.Request) {})
	if got := (session{slow: time.Nanosecond}).run(t, "api", "--socket", socket, "GET", "/"); got.exit != exitOK || got.errOut != "" {
		t.Errorf("%+v", got)
	}
	p := terminaltest.New(t)
	c := &cli{io: stdio{in: strings.NewReader(""), out: io.Discard, err: p.TTY}, vars: config.Environ{"TERM=dumb"}, slowAfter: time.Nanosecond}
	c.run(t.Context(), []string{"api", "--socket", socket, "GET", "/"})
	_, _ = p.TTY.WriteString("the end")
	if p.Sees("the end"); p.Seen() != "the end" {
		t.Errorf("%q", p.Seen())
	}
}
