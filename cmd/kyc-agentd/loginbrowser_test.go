package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testlog"
)

// freeRedirects returns redirect URIs with ports that were free a moment ago.
func freeRedirects(t *testing.T, hosts ...string) (uris []string) {
	t.Helper()
	for _, host := range hosts {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		uris = append(uris, fmt.Sprintf("http://%s:%d/callback", host, ln.Addr().(*net.TCPAddr).Port))
	}
	return uris
}

// withBrowser configures staging for a sign-in with a browser at domain, where $BROWSER tells
// the test which page was opened.
func (s *binaries) withBrowser(domain string, redirects []string, more ...string) (opened func() string) {
	s.t.Helper()
	fifo := filepath.Join(s.dir, "opened")
	if out, err := exec.Command("mkfifo", fifo).CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
	open := filepath.Join(s.dir, "open-page")
	if err := os.WriteFile(open, []byte("#!/bin/sh\nprintf '%s\\n' \"$1\" >"+fifo+"\n"), 0o700); err != nil {
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
		_ = pages.SetReadDeadline(time.Now().Add(20 * time.Second))
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
	case <-time.After(20 * time.Second):
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
