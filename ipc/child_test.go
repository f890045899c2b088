package ipc

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testlog"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// childMode says what a test binary that was started as a child does.
const childMode = "KYC_IPC_TEST_CHILD"

const nobody = 65534

func child(mode string) int {
	var err error
	switch mode {
	case "ask":
		err = childAsk(os.Getenv("SOCKET"), cmp.Or(os.Getenv("REQUEST"), rawRequest("GET", "/v1/token", "")))
	case "answer":
		err = childAnswer(os.Getenv("SOCKET"))
	case "serve":
		err = childServe()
	case "ceiling":
		err = childCeiling(os.Getenv("SOCKET"))
	case "credential":
		err = childCredential(os.Getenv("SOCKET"), os.Getenv("NAME"))
	}
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	return 0
}

// childAsk sends a request and prints the answer.
func childAsk(path, request string) error {
	c, err := net.Dial("unix", path)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	_, err = io.Copy(os.Stdout, c)
	return err
}

// childAnswer pretends to be an agent: it accepts one connection and prints how many bytes
// arrive, until its stdin ends.
func childAnswer(path string) error {
	ln, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	defer ln.Close()
	if err := os.Chmod(path, 0o666); err != nil {
		return err
	}
	fmt.Println("ready")
	c, err := ln.Accept()
	if err != nil {
		return err
	}
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); _ = c.Close() }()
	n, _ := io.Copy(io.Discard, c)
	fmt.Println("bytes:", n)
	return nil
}

// childServe serves the listener that was passed on, until its stdin ends.
func childServe() error {
	_ = os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	passed, err := socket.FromSystemd()
	if err != nil {
		return err
	}
	ln := passed.Agent[0]
	ctx, stop := context.WithCancel(context.Background())
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); stop() }()
	return (&Server{Service: &scripted{}}).Serve(ctx, ln)
}

// childCeiling is the server that package bench measures as the ceiling: this package's, but for
// the handler. It answers every request with the answer on stdin.
func childCeiling(path string) error {
	answer, err := http.ReadResponse(bufio.NewReader(os.Stdin), nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	answer.Header.Del("Date")
	answer.Header.Del("Connection")
	answer.Header.Set("Content-Length", strconv.Itoa(len(body)))
	ln, err := socket.Listen(path)
	if err != nil {
		return err
	}
	return (&Server{Service: &scripted{}, inPlaceOfHandler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), answer.Header)
		_, _ = w.Write(body)
	})}).Serve(context.Background(), ln)
}

// childCredential asks for a credential and prints it.
func childCredential(path, name string) error {
	got, err := askAsManager(path, name)
	fmt.Print(got)
	return err
}

// askAsManager acts like a service manager for LoadCredential=: it binds name, connects,
// closes its sending half and reads to the end.
func askAsManager(path, name string) (string, error) {
	c, err := net.DialUnix("unix", &net.UnixAddr{Name: name, Net: "unix"}, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.CloseWrite(); err != nil {
		return "", err
	}
	got, err := io.ReadAll(c)
	return string(got), err
}

// childCommand returns a command that runs this test binary as a child.
func childCommand(t *testing.T, mode string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append([]string{childMode + "=" + mode, testpeer.NoRaceSleep}, env...)
	return cmd
}

// asNobody makes cmd run as another user, from a copy of the binary that this user can read.
func asNobody(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	testpeer.Root(t)
	dir := testsocket.ShortDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(cmd.Path)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Path = filepath.Join(dir, "child")
	if err := testpeer.WriteProgram(cmd.Path, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return cmd
}

func TestForeignPeerIsRefused(t *testing.T) {
	testpeer.Root(t)
	book := &testlog.Buffer{}
	asked := 0
	path := filepath.Join(testsocket.ShortDir(t), "kyc-agentd", "agent.sock")
	ln := listen(t, path)
	serve(t, &Server{Logger: book.Logger(), Service: &countingService{n: &asked}}, ln)
	for p := path; len(p) > len(os.TempDir()); p = filepath.Dir(p) { // open to every user
		if err := os.Chmod(p, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		out, err := asNobody(t, childCommand(t, "ask", "SOCKET="+path)).Output()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		head, body, _ := strings.Cut(string(out), "\r\n\r\n")
		if !strings.HasPrefix(head, "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain") || body != "this agent belongs to uid 0, you are uid 65534\n" {
			t.Errorf("the foreigner was told %q", out)
		}
	}
	if asked != 0 {
		t.Errorf("%d of its requests reached the service", asked)
	}
	if log := book.String(); strings.Count(log, "\n") != 3 || strings.Count(log, "level=WARN") != 1 || !strings.Contains(log, "uid=65534") {
		t.Errorf("log:\n%s", log)
	}
	if _, err := (&Client{Socket: path}).Token(t.Context(), agent.TokenRequest{}); err != nil {
		t.Errorf("the owner, after that: %v", err)
	}
}

type countingService struct {
	scripted
	n *int
}

// The client sends no password to a socket on which another user listens.
func TestClientChecksTheServer(t *testing.T) {
	testpeer.Root(t)
	dir := testsocket.ShortDir(t)
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chown(dir, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	path := dir + "/agent.sock"
	cmd := asNobody(t, childCommand(t, "answer", "SOCKET="+path))
	var stdout bytes.Buffer
	stdin, err := cmd.StdinPipe()
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
	if _, err := io.CopyN(&stdout, out, int64(len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	err = (&Client{Socket: path}).Login(t.Context(), agent.LoginRequest{Username: "u", Password: agent.NewSecret("p")}, nil)
	fixture.WantError(t, err, agent.CodeDenied, path+" is answered by uid 65534, and you are uid 0: nothing was sent")
	_ = stdin.Close()
	rest, _ := io.ReadAll(out)
	if err := cmd.Wait(); err != nil || string(rest) != "bytes: 0\n" {
		t.Errorf("the impostor: %q, %v", rest, err)
	}
}

func TestClientWithoutPermission(t *testing.T) {
	// Root has every permission, so the test calls dialError itself.
	err := (&Client{Socket: "/s"}).dialError(t.Context(), &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EACCES)})
	fixture.WantError(t, err, agent.CodeDenied, "no permission to use the socket /s")
}
