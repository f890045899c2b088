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
)

// baselineVerb is the argument by which the bench runs itself as the bare server.
const baselineVerb = "bare-server"

// baselineVerbs are what the bench can run itself as.
var baselineVerbs = map[string]func(socket string, in io.Reader, out io.Writer) error{
	baselineVerb: serveBaseline, baselineProxyVerb: serveBaselineProxy,
}

// ranBaseline reports whether this process was one of bareVerbs; by then it is over.
func ranBaseline() bool {
	if len(os.Args) != 3 || baselineVerbs[os.Args[1]] == nil {
		return false
	}
	exitOn(baselineVerbs[os.Args[1]](os.Args[2], os.Stdin, os.Stdout))
	return true
}

// serveBaseline answers every request on socket with the answer read from in: what a
// net/http handler can do at best, in a process of its own as the agent is.
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
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "ready")
	return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), answer.Header)
		_, _ = w.Write(body)
	}))
}

// newBaseline starts the bare server with the agent's own answer.
func (h *harness) newBaseline(ctx context.Context, answer string) (string, error) {
	return h.startBaseline(ctx, baselineVerb, answer)
}

// startBaseline starts the bench itself as what verb says, and returns its socket.
func (h *harness) startBaseline(ctx context.Context, verb, stdin string) (socket string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	socket = h.path(verb + ".sock")
	cmd := exec.CommandContext(ctx, self, verb, socket)
	cmd.Env = h.environ()
	cmd.Stdin = strings.NewReader(stdin)
	c, err := h.start(cmd, verb)
	if err != nil {
		return "", err
	}
	if err := c.awaitSocket(ctx, socket); err != nil {
		return "", h.withLog(err, verb)
	}
	return socket, nil
}

// rawAnswer is the agent's answer to request, as it is on the wire.
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
