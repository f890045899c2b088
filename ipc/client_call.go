package ipc

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// maxAnswer is the largest answer, in bytes, that a Client reads. A status of a
// thousand environments is about half of it.
const maxAnswer = 1 << 20

// maxAnswerHead is the same for an answer's head.
const maxAnswerHead = 64 << 10

// A call is one request of a Client.
type call struct {
	op           string
	environment  string
	method, path string
	body         []byte
	limit        time.Duration // if the context has no deadline
}

func (c call) errorf(code agent.Code, format string, args ...any) *agent.Error {
	return &agent.Error{Code: code, Op: c.op, Environment: c.environment, Message: fmt.Sprintf(format, args...)}
}

// wrap makes err an [agent.Error] of this call.
func (c call) wrap(err error) *agent.Error {
	if e, ok := errors.AsType[*agent.Error](err); ok {
		out := *e
		if out.Op == "" {
			out.Op = c.op
		}
		if out.Environment == "" {
			out.Environment = c.environment
		}
		return &out
	}
	e := c.errorf(agent.CodeOf(err), "%s", sanitize.OneLine(err.Error()))
	e.Err = err
	return e
}

// do sends the request, decodes the answer into out and returns its header.
func (c *Client) do(ctx context.Context, call call, out any) (http.Header, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, call.limit)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, call.method, "http://"+wire.Host+call.path, bytes.NewReader(call.body))
	if err != nil {
		return nil, call.wrap(err)
	}
	req.Header.Set("Accept", wire.MediaJSON+", "+wire.MediaProblem)
	if call.method == http.MethodPost {
		req.Header.Set("Content-Type", wire.MediaJSON)
	}
	resp, body, err := c.roundTrip(ctx, req)
	if err != nil {
		return nil, c.transportError(ctx, call, err)
	}
	return resp.Header, c.read(call, resp, body, out)
}

// roundTrip makes one connection for one request: connecting to a Unix socket is cheap, and
// no connection outlives an agent that was restarted. It does not use an [http.Transport],
// which prints an answer that comes too early, and a token in it, to the standard logger.
func (c *Client) roundTrip(ctx context.Context, req *http.Request) (*http.Response, []byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err // a custom Dial may not check
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	req.Close = true
	peer, _ := socket.PeerOf(conn) // while it is open; the zero Peer is not foreign
	// An agent that refuses the request may answer before it has read everything.
	go func() { _ = req.Write(conn) }()
	resp, body, err := readResponse(conn, req)
	if name := peer.Foreign(); err != nil && ctx.Err() == nil && name != "" {
		err = &agent.Error{Code: agent.CodeConfiguration, Err: err, Hint: checkPath,
			Message: c.socket() + " is not kyc-agentd's socket: " + name + " answers there"}
	}
	return resp, body, err
}

// readResponse reads an answer, and of its body at most one byte more than is allowed.
func readResponse(r io.Reader, req *http.Request) (*http.Response, []byte, error) {
	limited := &io.LimitedReader{R: r, N: maxAnswerHead}
	resp, err := http.ReadResponse(bufio.NewReader(limited), req)
	if err != nil && limited.N <= 0 {
		return nil, nil, errors.New("the head is too large")
	}
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	limited.N = maxAnswer + 4096 // the buffer already holds a part of the body
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	return resp, body, err
}

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	if c.Dial != nil {
		conn, err := c.Dial(ctx)
		if err != nil {
			return nil, c.dialError(ctx, err)
		}
		return conn, nil
	}
	conn, err := socket.Dial(ctx, c.socket())
	if _, denied := errors.AsType[*agent.Error](err); denied {
		return nil, err
	}
	if err != nil {
		return nil, c.dialError(ctx, err)
	}
	return conn, nil
}

// dialError returns the error for a connection that was not made.
func (c *Client) dialError(ctx context.Context, err error) error {
	path := c.socket()
	why, hint := socket.Withheld(path, err)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case why != "":
		// Without err: it is not that no agent answers, and to start one would not help.
		return &agent.Error{Code: agent.CodeUnavailable, Err: socket.ErrWithheld, Message: why, Hint: hint}
	case errors.Is(err, fs.ErrPermission):
		return &agent.Error{Code: agent.CodeDenied, Err: err, Message: "no permission to use the socket " + path,
			Hint: socket.DeniedHint()}
	case len(path) > socket.MaxPath:
		return &agent.Error{Code: agent.CodeUsage, Err: err,
			Message: fmt.Sprintf("socket path %s has %d bytes, and the system takes %d", path, len(path), socket.MaxPath)}
	}
	if what := socket.Misnamed(path); what != "" {
		return &agent.Error{Code: agent.CodeUnavailable, Err: err, Message: path + " " + what, Hint: checkPath}
	}
	message := "no agent answers on " + path
	if !filepath.IsAbs(path) {
		message += ", a relative path, which names another socket in every folder"
	}
	return &agent.Error{Code: agent.CodeUnavailable, Err: err, Message: message, Hint: startHint(path)}
}

const checkPath = "check --socket and KYC_AGENT_SOCK"

// startHint is the next step where nothing answers. At systemd's path a restart of the socket
// unit helps also if the unit is active and the socket was removed, which a start does not.
// Elsewhere it would only end the agent that runs.
func startHint(path string) string {
	if path == socket.StandardPath(os.Getenv) {
		return "run: systemctl --user restart kyc-agentd.socket (or: kyc-agentd serve)"
	}
	return "run: kyc-agentd serve, or " + checkPath
}

// transportError returns the error for a request that got no answer.
func (c *Client) transportError(ctx context.Context, call call, err error) error {
	if e, ok := errors.AsType[*agent.Error](err); ok {
		return call.wrap(e)
	}
	e := call.errorf(agent.CodeUnavailable, "")
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		e.Message, e.Err = "the call was cancelled", ctx.Err()
	case ctx.Err() != nil:
		e.Message, e.Err = "the agent on "+c.socket()+" did not answer in time", fmt.Errorf("%w: %w", ErrNoAnswer, ctx.Err())
		e.Hint = "see: systemctl --user status kyc-agentd.service"
	case isDisconnect(err):
		e.Message, e.Err = "the agent on "+c.socket()+" hung up without an answer", fmt.Errorf("%w: %w", ErrNoAnswer, err)
		e.Hint = "try again"
	default:
		// The text of such an error quotes the answer, so it is not shown.
		return c.errMalformed(call.op)
	}
	return e
}

func isDisconnect(err error) bool {
	for _, e := range []error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// errMalformed returns the error for an answer that is not the agent's.
func (c *Client) errMalformed(op string) *agent.Error {
	return &agent.Error{
		Code: agent.CodeInternal, Op: op, Message: "what answers on " + c.socket() + " does not speak like kyc-agentd",
		Hint: "set KYC_AGENT_SOCK to the agent's socket, or upgrade the older of the two",
	}
}

func (c *Client) read(call call, resp *http.Response, body []byte, out any) error {
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case len(body) > maxAnswer:
		e := c.errMalformed(call.op)
		e.Message = fmt.Sprintf("the answer on %s is larger than %d KiB", c.socket(), maxAnswer>>10)
		return e
	case resp.StatusCode == http.StatusOK && media == wire.MediaJSON:
		if json.Unmarshal(body, out) != nil {
			return c.errMalformed(call.op)
		}
		return nil
	case resp.StatusCode < 400:
		return c.errMalformed(call.op)
	case media == wire.MediaProblem:
		return c.withVersions(c.readProblem(call, body), resp.Header.Get(wire.HeaderVersion))
	case media == "text/plain":
		return call.errorf(wire.CodeOf(resp.StatusCode), "%s", firstLine(body))
	}
	return c.errMalformed(call.op)
}

func (c *Client) readProblem(call call, body []byte) error {
	var p wire.Problem
	if json.Unmarshal(body, &p) != nil || p.Code == "" {
		return c.errMalformed(call.op)
	}
	return p.AgentError(call.op)
}

// firstLine is for the few answers that do not come from the server's handlers: net/http's
// own, and the refusal of a process of another user.
func firstLine(body []byte) string {
	const maxLine = 200
	line, _, _ := strings.Cut(string(body), "\n")
	if len(line) > maxLine {
		line = line[:maxLine]
	}
	return sanitize.OneLine(line)
}
