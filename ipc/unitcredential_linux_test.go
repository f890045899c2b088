package ipc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testlog"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

var askCount atomic.Int64

// managerName returns a name that a service manager would bind.
func managerName(unit, id string) string {
	return fmt.Sprintf("@%016x/unit/%s/%s", 0xabc0_0000_0000+askCount.Add(1), unit, id)
}

// serveCredentials serves service on a new socket.
func serveCredentials(t testing.TB, service agent.Service) (path string, book *testlog.Buffer) {
	t.Helper()
	book = &testlog.Buffer{}
	path = filepath.Join(testsocket.ShortDir(t), "kyc-agentd", "agent.sock")
	serve(t, &Server{Service: service, Logger: book.Logger()}, listen(t, path))
	return path, book
}

func TestCredential(t *testing.T) {
	path, book := serveCredentials(t, &scripted{token: func(_ context.Context, req agent.TokenRequest) (agent.Token, error) {
		if req.Environment == "moon" {
			return agent.Token{}, &agent.Error{Code: agent.CodeUnknownEnvironment, Message: `unknown environment "moon"`, Hint: "configured are: prod, staging"}
		}
		if req.Environment == "prod" {
			return agent.Token{}, &agent.Error{Code: agent.CodeLoginRequired, Environment: "prod", Message: "not signed in", Err: errors.New("SECRET")}
		}
		return fixture.Token(req.Environment), nil
	}})
	for id, want := range map[string]struct{ token, log string }{
		"kyc-token":         {fixture.JWT, ""},
		"kyc-token.staging": {fixture.JWT, ""},
		"kyc-token.prod":    {"", `credential=kyc-token.prod env=prod code=login_required error="prod: not signed in"`},
		"kyc-token.moon":    {"", `env=moon code=unknown_environment`},
		"kyc-token.":        {"", `code=usage error="unknown credential \"kyc-token.\"; known: kyc-token and kyc-token.ENVIRONMENT"`},
		"kyc-tokens":        {"", "code=usage"},
		"KYC-TOKEN":         {"", "code=usage"},
		"db-password":       {"", "code=usage"},
	} {
		before := len(book.String())
		got, err := askAsManager(path, managerName("nightly.service", id))
		if got != want.token || err != nil {
			t.Errorf("%s: %q, %v", id, got, err)
		}
		log := book.String()[before:]
		if want.log != "" && (!strings.Contains(log, want.log) || strings.Count(log, "level=WARN") != 1 || !strings.Contains(log, "unit=nightly.service")) {
			t.Errorf("%s: log %s", id, log)
		}
		if strings.Contains(log, fixture.JWT) || strings.Contains(log, "SECRET") {
			t.Errorf("a secret is in the log: %s", log)
		}
	}
}

// Only the complete name asks for a credential; all other connections speak HTTP.
func TestCredentialNames(t *testing.T) {
	path, _ := serveCredentials(t, &scripted{})
	for _, name := range []string{
		"", "@", "@x", "@abc/unit/a.service", "@abc/unit//kyc-token", "@abc/unit/a.service/", "@/unit/a.service/kyc-token", "@xyz/unit/a.service/kyc-token",
		"@abc/units/a.service/kyc-token", "@abc/unit/a.service/kyc-token/x", "@0/abc/unit/a.service/kyc-token", "@abc//unit/a.service/kyc-token",
	} {
		var local *net.UnixAddr
		if len(name) > 1 {
			local = &net.UnixAddr{Name: name, Net: "unix"}
		}
		c, err := net.DialUnix("unix", local, &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		if a := exchangeOn(t, c, rawRequest("GET", "/v1/token", "")); a.StatusCode != 200 {
			t.Errorf("%q: %d %s", name, a.StatusCode, a.body)
		}
		_ = c.Close()
	}
}

// The name proves nothing: a process of another user is refused with it, too.
func TestCredentialOfForeigners(t *testing.T) {
	testpeer.Root(t)
	path, book := serveCredentials(t, &scripted{})
	for p := path; len(p) > len(os.TempDir()); p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	out, err := asNobody(t, childCommand(t, "credential", "SOCKET="+path, "NAME="+managerName("evil.service", "kyc-token"))).Output()
	if err != nil || strings.Contains(string(out), fixture.JWT) || !strings.HasPrefix(string(out), "HTTP/1.1 403 ") {
		t.Errorf("a foreigner got %q, %v", out, err)
	}
	if !strings.Contains(book.String(), "refused a process of another user") {
		t.Errorf("log %s", book)
	}
}

// From another user's agent root gets a credential for a unit, and nothing else.
func TestCredentialOfRoot(t *testing.T) {
	testpeer.Root(t)
	path := filepath.Join(testsocket.ShortDir(t), "kyc-agentd", "agent.sock")
	serve(t, &Server{Service: &scripted{}}, listenerOfNobody{listen(t, path).(*socket.Listener)})
	if got, err := askAsManager(path, managerName("system.service", "kyc-token")); got != fixture.JWT || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	got, _ := io.ReadAll(fixture.DialUnix(t, path))
	if !strings.HasPrefix(string(got), "HTTP/1.1 403 ") {
		t.Errorf("root without a name got %q", got)
	}
}

// A listenerOfNobody is the listener of an agent that runs as the user nobody.
type listenerOfNobody struct{ *socket.Listener }

func (l listenerOfNobody) AcceptAny() (*socket.Conn, error) {
	c, err := l.Listener.AcceptAny()
	if err == nil {
		c.Owner = nobody
	}
	return c, err
}

// maxUnits units are answered at one time; any more get nothing, at once.
func TestCredentialsAtOnce(t *testing.T) {
	arrived, goOn := make(chan bool, 2*maxUnits), make(chan bool)
	path, book := serveCredentials(t, &scripted{token: func(context.Context, agent.TokenRequest) (agent.Token, error) {
		arrived <- true
		<-goOn
		return fixture.Token("staging"), nil
	}})
	var wg sync.WaitGroup
	for range maxUnits {
		wg.Go(func() {
			if got, err := askAsManager(path, managerName("many.service", "kyc-token")); got != fixture.JWT || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	for range maxUnits {
		<-arrived
	}
	if got, err := askAsManager(path, managerName("late.service", "kyc-token")); got != "" || err != nil {
		t.Errorf("one too many: %q, %v", got, err)
	}
	if !strings.Contains(book.String(), "unit=late.service") {
		t.Errorf("log %s", book)
	}
	close(goOn)
	wg.Wait()
}

// After Serve was told to stop, a unit still gets the token that is on its way.
func TestCredentialAtTheEnd(t *testing.T) {
	arrived, goOn := make(chan bool), make(chan bool)
	path := filepath.Join(testsocket.ShortDir(t), "kyc-agentd", "agent.sock")
	ln := listen(t, path)
	stop := serve(t, &Server{Service: &scripted{token: func(context.Context, agent.TokenRequest) (agent.Token, error) {
		arrived <- true
		<-goOn
		return fixture.Token("staging"), nil
	}}}, ln)
	got := make(chan string)
	go func() {
		token, _ := askAsManager(path, managerName("last.service", "kyc-token"))
		got <- token
	}()
	<-arrived
	stopped := make(chan bool)
	go func() { stop(); close(stopped) }()
	for { // until it no longer listens
		c, err := net.Dial("unix", path)
		if err != nil {
			break
		}
		_ = c.Close()
	}
	close(goOn)
	if token := <-got; token != fixture.JWT {
		t.Errorf("%q", token)
	}
	<-stopped
}

// A panic for one unit does not affect others.
func TestCredentialPanic(t *testing.T) {
	path, book := serveCredentials(t, &scripted{token: func(context.Context, agent.TokenRequest) (agent.Token, error) { panic("SECRET") }})
	if got, err := askAsManager(path, managerName("a.service", "kyc-token")); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if log := book.String(); !strings.Contains(log, "code=internal") || strings.Contains(log, "SECRET") {
		t.Errorf("log %s", log)
	}
}

// The same on a socket that the service manager has passed to the agent.
func TestCredentialOnAnInheritedSocket(t *testing.T) {
	cmd := childCommand(t, "serve", "LISTEN_PID=self", "LISTEN_FDS=1", "LISTEN_FDNAMES=agent")
	path := filepath.Join(testsocket.ShortDir(t), "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd.ExtraFiles = []*os.File{f}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if got, err := askAsManager(path, managerName("a.service", "kyc-token")); got != fixture.JWT || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	_ = stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
