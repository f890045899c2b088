package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// baselineVerb is the argument with which bench runs itself as the baseline server.
const baselineVerb = "baseline-server"

// baselineVerbs are the servers that bench can run itself as.
var baselineVerbs = map[string]func(socket string, in io.Reader, out io.Writer) error{
	baselineVerb: serveBaseline, baselineProxyVerb: serveBaselineProxy, plainProxyVerb: servePlainProxy,
}

// ranBaseline runs the server of baselineVerbs that the arguments name, and reports
// whether they name one.
func ranBaseline() bool {
	if len(os.Args) != 3 || baselineVerbs[os.Args[1]] == nil {
		return false
	}
	exitOn(baselineVerbs[os.Args[1]](os.Args[2], os.Stdin, os.Stdout))
	return true
}

// serveBaseline answers every request on socket with the answer read from in: the most
// that a net/http handler can do, in a separate process like the agent, with the agent's
// timeouts and its check of the peer.
func serveBaseline(socket string, in io.Reader, out io.Writer) error {
	answer, err := http.ReadResponse(bufio.NewReader(in), nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	answer.Header.Del("Date")
	answer.Header.Del("Connection")
	answer.Header.Set("Content-Length", fmt.Sprint(len(body)))
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "ready")
	return serveAsAgent(ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), answer.Header)
		_, _ = w.Write(body)
	}))
}

// serveAsAgent serves with the agent's timeouts and its check of the peer.
func serveAsAgent(ln *net.UnixListener, h http.Handler) error {
	srv := &http.Server{
		MaxHeaderBytes: 4 << 10, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		Handler: h,
	}
	return srv.Serve(ownListener{ln, os.Geteuid()})
}

// An ownListener accepts connections from one user's processes.
type ownListener struct {
	*net.UnixListener
	uid int
}

func (l ownListener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if l.isOwn(c) {
			return c, nil
		}
		_ = c.Close()
	}
}

func (l ownListener) isOwn(c *net.UnixConn) bool {
	peer, err := socket.PeerOf(c)
	return err == nil && peer.UID == l.uid
}

// startBaseline starts bench as the server that verb names, with what it reads as stdin:
// the agent's own answer, or the URL of the API. It returns the socket.
func (h *harness) startBaseline(ctx context.Context, verb, stdin string) (socket string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if err := h.copyProgram(self, verb); err != nil {
		return "", err
	}
	socket = h.path(fmt.Sprintf("%s%d.sock", verb, len(h.children)))
	cmd := exec.CommandContext(ctx, h.path("bin/"+verb), verb, socket)
	cmd.Env = h.environ()
	cmd.Stdin = strings.NewReader(stdin)
	return socket, h.startServer(ctx, cmd, verb, socket)
}

// rawAnswer returns the bytes of the agent's answer to request.
func rawAnswer(socket, request string) (string, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		return "", err
	}
	raw, err := io.ReadAll(conn)
	return string(raw), err
}
