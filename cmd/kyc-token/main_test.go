package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

func TestMain(m *testing.M) {
	code := m.Run()
	testpeer.Cleanup()
	os.Exit(code)
}

const (
	tokenLine  = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln\n"
	failClosed = "proto = \"-all\"\n"
	allowed    = "proto = \"=http,https\"\n" // ends what -f curl prints
)

// ok renders a successful answer as the agent sends it.
func ok(body string) string { return httpAnswer("200 OK", body) }

func httpAnswer(status, body string) string {
	return fmt.Sprintf("HTTP/1.0 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
}

// A fakeAgent records its requests and answers them as a test says.
type fakeAgent struct {
	path string

	mu       sync.Mutex
	requests []string
}

// newFakeAgent serves every connection with handle, after reading the request.
func newFakeAgent(t testing.TB, handle func(net.Conn)) *fakeAgent {
	t.Helper()
	f := &fakeAgent{path: filepath.Join(t.TempDir(), "agent.sock")}
	ln, err := net.Listen("unix", f.path)
	if err != nil {
		t.Fatal(err)
	}
	f.serve(t, ln, func(c net.Conn) {
		if f.record(c) == nil {
			handle(c)
		}
	})
	return f
}

// agentAnswering is a fakeAgent that answers every request with raw.
func agentAnswering(t testing.TB, raw string) *fakeAgent {
	t.Helper()
	return newFakeAgent(t, func(c net.Conn) { _, _ = io.WriteString(c, raw) })
}

// serve accepts until the test ends, and closes each connection after handle.
func (f *fakeAgent) serve(t testing.TB, ln net.Listener, handle func(net.Conn)) {
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				handle(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		wg.Wait()
	})
}

// record reads a request up to its blank line.
func (f *fakeAgent) record(c net.Conn) error {
	var raw []byte
	buf := make([]byte, 512)
	for !bytes.Contains(raw, []byte("\r\n\r\n")) {
		n, err := c.Read(buf)
		if err != nil {
			return err
		}
		raw = append(raw, buf[:n]...)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, string(raw))
	return nil
}

func (f *fakeAgent) received() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

// An outcome is the exit code and the output of a run.
type outcome struct {
	exit           int
	stdout, stderr string
}

// run runs kyc-token in this process, with an empty environment.
func run(t testing.TB, change func(*process), args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p := process{
		args:   args,
		getenv: func(string) string { return "" },
		stdin:  unread{t},

		environ: func() []string { return nil },

		uid:    os.Geteuid(),
		limit:  30 * time.Second,
		stdout: &stdout,
		stderr: &stderr,

		stderrIsTerminal: func() bool { return false },
	}
	if change != nil {
		change(&p)
	}
	exit := p.main()
	return outcome{exit, stdout.String(), stderr.String()}
}

// unread is the stdin of tests that set none: reading it is an error.
type unread struct{ t testing.TB }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("stdin was read")
	return 0, io.EOF
}

// within sets the limit.
func within(d time.Duration) func(*process) {
	return func(p *process) { p.limit = d }
}

// environ sets the environment, from pairs of name and value.
func environ(pairs ...string) func(*process) {
	env := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		env[pairs[i]] = pairs[i+1]
	}
	return func(p *process) { p.getenv = func(name string) string { return env[name] } }
}

// wantFailure checks the exit code and stdout, and that stderr is one line that contains
// all words.
func (o outcome) wantFailure(t *testing.T, exit int, stdout string, words ...string) {
	t.Helper()
	if o.exit != exit {
		t.Errorf("exit code %d, want %d", o.exit, exit)
	}
	if o.stdout != stdout {
		t.Errorf("stdout %q, want %q", o.stdout, stdout)
	}
	if !strings.HasPrefix(o.stderr, "kyc-token: ") || strings.Count(o.stderr, "\n") != 1 || !strings.HasSuffix(o.stderr, "\n") {
		t.Errorf("stderr is not one line of kyc-token: %q", o.stderr)
	}
	for _, word := range words {
		if !strings.Contains(o.stderr, word) {
			t.Errorf("stderr lacks %q: %s", word, o.stderr)
		}
	}
}

func (o outcome) wantSuccess(t *testing.T, stdout string) {
	t.Helper()
	if o.exit != 0 || o.stdout != stdout || o.stderr != "" {
		t.Errorf("got %+v, want %q alone", o, stdout)
	}
}
