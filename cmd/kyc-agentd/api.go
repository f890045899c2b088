package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"mime"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal"
)

const (
	// maxBuffered is how much of standard input, in bytes, is read before it is sent. A body
	// up to this size has a known length, and the agent can send it twice.
	maxBuffered = 64 << 10
	// maxPretty is the longest answer, in bytes, that is indented for a person.
	maxPretty = 1 << 20
	// maxWait is the longest wait that the agent grants.
	maxWait = time.Hour
)

// apiOptions are the options of `api`.
type apiOptions struct {
	cli     *cli
	data    string
	headers []string
	include bool
	wait    time.Duration
}

func (c *cli) apiCommand() *cobra.Command {
	a := &apiOptions{cli: c}
	cmd := &cobra.Command{
		Use: "api", SuggestFor: []string{"curl", "request", "call"},
		Short: "send a request to the KYC API; the daemon adds the token", Long: usageAPI, Args: methodAndPath,
		RunE: func(cmd *cobra.Command, args []string) error {
			env, err := c.environment(args[:len(args)-2])
			if err != nil {
				return err
			}
			args = args[len(args)-2:]
			return a.run(cmd.Context(), env, args[0], args[1], cmd.Flags().Changed("data"))
		},
	}
	cmd.Flags().StringVarP(&a.data, "data", "d", "", "")
	cmd.Flags().StringArrayVarP(&a.headers, "header", "H", nil, "")
	cmd.Flags().BoolVarP(&a.include, "include", "i", false, "")
	cmd.Flags().DurationVar(&a.wait, "wait", 0, "")
	return c.takesEnvironment(cmd)
}

const apiHelp = "run: kyc-agentd api --help"

func methodAndPath(_ *cobra.Command, args []string) error {
	if len(args) == 2 || len(args) == 3 {
		return nil
	}
	return usageError(apiHelp, "api takes a method and a path, and optionally an environment before them")
}

func (a *apiOptions) run(ctx context.Context, env, method, path string, hasData bool) error {
	req, err := a.request(ctx, method, path)
	if err != nil {
		return err
	}
	var body *requestBody
	if hasData {
		if body, err = a.body(req); err != nil {
			return err
		}
		defer body.Close()
	}
	stop := a.showUpload(req, body)
	defer stop()
	resp, err := a.cli.client().Forward(req, env)
	stop()
	if err == nil {
		defer resp.Body.Close()
		err = a.writeResponse(resp)
	}
	if cause := body.readError(); cause != nil && err != nil {
		return usageError(apiHelp, "--data cannot be read: %s", config.PlainCause(cause))
	}
	if err != nil {
		return err
	}
	return a.exitFromStatus(resp)
}

// request returns the request without its body.
func (a *apiOptions) request(ctx context.Context, method, path string) (*http.Request, error) {
	if method == "" || strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return nil, usageError(apiHelp, "the method must be one such as GET or POST, in capitals")
	}
	target, err := url.ParseRequestURI(path)
	if !strings.HasPrefix(path, "/") || err != nil {
		return nil, usageError(apiHelp, "the path must begin with /, and special characters in it must be escaped with %%")
	}
	req := (&http.Request{Method: method, URL: target, Header: http.Header{}}).WithContext(ctx)
	for _, line := range a.headers {
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.TrimSpace(name), strings.Trim(value, " \t")
		if !ok || !isToken(name) || strings.EqualFold(name, "Host") || strings.ContainsFunc(value, isControl) {
			return nil, usageError(apiHelp, "--header takes one header, 'Name: value', and not the host")
		}
		req.Header.Add(name, value)
	}
	switch {
	case a.wait < 0 || a.wait > maxWait:
		return nil, usageError(apiHelp, "--wait takes a time of at most 1h, such as 10m")
	case a.wait > 0:
		req.Header.Add("Prefer", fmt.Sprintf("wait=%d", int(math.Ceil(a.wait.Seconds()))))
	}
	return req, nil
}

// isControl reports whether r must not be in the value of a header (RFC 9110, 5.5).
func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// isToken reports whether s can be the name of a header (RFC 9110, 5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// A requestBody remembers why it could not be read. Another goroutine reads it, and the API
// may answer before it has read all of it.
type requestBody struct {
	io.Reader
	close  func() error
	failed atomic.Pointer[error]
	sent   terminal.Transfer
}

func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.sent.Done.Add(int64(n))
	if err != nil {
		b.sent.Ended.Store(true)
	}
	if err != nil && err != io.EOF && !errors.Is(err, fs.ErrClosed) { // net/http closes it
		b.failed.Store(&err)
	}
	return n, err
}

// readError returns why the body could not be read so far, or nil.
func (b *requestBody) readError() error {
	if b == nil || b.failed.Load() == nil {
		return nil
	}
	return *b.failed.Load()
}

// Close implements [io.Closer].
func (b *requestBody) Close() error { return b.close() }

// body sets the body that --data names, and its length if that is known.
func (a *apiOptions) body(req *http.Request) (*requestBody, error) {
	b := &requestBody{close: func() error { return nil }}
	file, isFile := strings.CutPrefix(a.data, "@")
	switch {
	case !isFile:
		b.Reader, req.ContentLength = strings.NewReader(a.data), int64(len(a.data))
	case file == "-":
		begin, err := io.ReadAll(io.LimitReader(a.cli.io.in, maxBuffered+1))
		if err != nil {
			return nil, usageError(apiHelp, "--data cannot be read: %s", config.PlainCause(err))
		}
		b.Reader, req.ContentLength = bytes.NewReader(begin), int64(len(begin))
		if len(begin) > maxBuffered {
			b.Reader, req.ContentLength = io.MultiReader(b.Reader, a.cli.io.in), -1
		}
	default:
		f, err := os.Open(file)
		if err != nil {
			return nil, usageError(apiHelp, "--data cannot be read: %s: %s", file, config.PlainCause(err))
		}
		b.Reader, b.close, req.ContentLength = f, f.Close, -1
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			b.Reader, req.ContentLength = io.LimitReader(f, info.Size()), info.Size()
		}
	}
	if req.ContentLength != 0 {
		req.Body = b
	}
	if req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return b, nil
}

// writeResponse writes the answer as it arrives. On a terminal it indents JSON, and shows no
// character that the terminal would interpret.
func (a *apiOptions) writeResponse(resp *http.Response) error {
	if a.include {
		if err := writeHead(a.cli.io.shown(), resp); err != nil {
			return err
		}
	}
	var body io.Reader = resp.Body
	if isTerminal(a.cli.io.out) {
		if line := resp.Header.Get("Kyc-Warning"); line != "" {
			a.cli.io.say("%s", line)
		}
		if isJSON(resp.Header) {
			body = pretty(body)
		}
	}
	w := &stickyWriter{Writer: a.cli.io.shown()}
	received := &terminal.Transfer{What: "download", Total: resp.ContentLength}
	stop := a.showDownload(received)
	_, err := io.Copy(w, io.TeeReader(body, counter{received}))
	stop()
	if err != nil && w.err == nil {
		return &agent.Error{Code: agent.CodeUnavailable, Op: "api", Message: "the answer was cut off", Hint: "try again", Err: err}
	}
	return w.err
}

// A stickyWriter remembers its first error.
type stickyWriter struct {
	io.Writer
	err error
}

func (w *stickyWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.err = cmp.Or(w.err, err)
	return n, err
}

func writeHead(w io.Writer, resp *http.Response) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", resp.Proto, resp.Status)
	var lines []string
	for name, values := range resp.Header {
		for _, v := range values {
			lines = append(lines, name+": "+v+"\n")
		}
	}
	slices.Sort(lines)
	_, err := io.WriteString(w, b.String()+strings.Join(lines, "")+"\n")
	return err
}

func isJSON(h http.Header) bool {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && (media == "application/json" || strings.HasSuffix(media, "+json"))
}

// pretty indents JSON that is not too long, and leaves everything else as it is.
func pretty(r io.Reader) io.Reader {
	raw, err := io.ReadAll(io.LimitReader(r, maxPretty+1))
	var indented bytes.Buffer
	if err != nil || len(raw) > maxPretty || json.Indent(&indented, bytes.TrimSpace(raw), "", "  ") != nil {
		return io.MultiReader(bytes.NewReader(raw), errorReader{err}, r)
	}
	indented.WriteByte('\n')
	return &indented
}

// errorReader reads nothing, and returns err or io.EOF.
type errorReader struct{ err error }

func (f errorReader) Read([]byte) (int, error) { return 0, cmp.Or(f.err, io.EOF) }

// exitFromStatus returns the exit code for the answer's status: 4 for 4xx, 5 for 5xx.
func (a *apiOptions) exitFromStatus(resp *http.Response) error {
	class := resp.StatusCode / 100
	if class < 4 {
		return nil
	}
	again := ""
	if wait := resp.Header.Get("Retry-After"); wait != "" {
		again = "; Retry-After: " + wait
	}
	if a.wait > 0 && resp.Header.Get("Preference-Applied") == "" {
		again += "; the daemon is too old for --wait; run: systemctl --user restart kyc-agentd.service"
	}
	a.cli.io.say("the API answered %s%s", resp.Status, again)
	return exitStatus(class)
}
