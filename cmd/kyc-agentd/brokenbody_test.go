package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
)

// What is left of a request body that broke off is never executed as requests to the
// agent, by any client: none gets a token or another request's answer, and the sign-in
// stays. A client that stalls takes a minute; ipc tests that in fake time.
func TestBrokenBodyIsNoRequest(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	for name, sender := range map[string]func(*testing.T) uploadSender{
		"Go": uploadByGo, "Python": uploadByPython, "curl": uploadByCurl, "raw": uploadRaw,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			send := sender(t)
			h := newFixture(t)
			h.env = append(h.env, "KYC_STAGING_API_URL="+faultyAPI(t))
			h.daemon("--store", "memory")
			h.login()
			through := 0
			for _, fault := range []string{"corrupt", "early", "drop"} {
				for round := range rounds {
					u := brokenUpload{socket: h.socket(), fault: fault, round: round}
					first, next := send(u)
					why := u.wrong(first, next)
					if got := h.run("", exec.Command(testpeer.Build(t, "kyc-token"), "staging")); got.exit != exitOK {
						why = "signed out"
						h.login()
					}
					if why != "" {
						through++
						t.Errorf("%s, round %d: %s: %.300q, then %.300q", fault, round, why, first, next)
					}
				}
			}
			t.Logf("%d of %d got through", through, 3*rounds)
		})
	}
}

// A brokenUpload is a request whose body breaks off and, on the same connection if the
// daemon keeps it, another one.
type brokenUpload struct {
	socket string
	fault  string // what faultyAPI does, or "corrupt" for a chunk without a size
	round  int
}

func (u brokenUpload) path() string { return fmt.Sprintf("/%s/%d", u.fault, u.round) }

// nextPath is the other request's, and the API's answer to it.
func (u brokenUpload) nextPath() string { return fmt.Sprintf("/next/%s/%d", u.fault, u.round) }

func (u brokenUpload) corrupt() bool { return u.fault == "corrupt" }

// body is full of requests to the agent. The daemon stops to read it at a multiple of its
// buffer's size from the head, so each round begins at another place.
func (u brokenUpload) body() []byte {
	request := "GET /v1/token?env=staging HTTP/1.1\r\nHost: kyc-agent\r\nX: 1\r\n\r\n"
	if u.round%2 == 1 {
		request = "POST /v1/logout HTTP/1.1\r\nHost: kyc-agent\r\nContent-Type: application/json\r\nContent-Length: 25\r\n\r\n" + `{"environment":"staging"}`
	}
	if u.corrupt() {
		return []byte("5\r\nhello\r\nZZ\r\n" + request)
	}
	return []byte(strings.Repeat("x", 3*u.round) + strings.Repeat(request, 2<<20/len(request)))
}

// An uploadSender sends the two requests of a [brokenUpload] and returns the answers: their
// status and body, or "error".
type uploadSender func(brokenUpload) (first, next string)

// wrong says what is wrong with the answers to the two requests; "" means nothing.
func (u brokenUpload) wrong(first, next string) string {
	refused := strings.HasPrefix(first, "400 ") && strings.Contains(first, "did not arrive whole")
	failed := first == "error" || strings.HasPrefix(first, "503 ") && strings.Contains(first, "hung up")
	switch {
	case strings.Contains(first+next, "eyJ"):
		return "a token"
	case u.corrupt() && !refused, !u.corrupt() && !refused && !failed && first != "413 early":
		return "not its own answer"
	case next != "200 "+u.nextPath():
		return "not its own answer, the next request"
	}
	return ""
}

func uploadByGo(t *testing.T) uploadSender {
	return func(u brokenUpload) (first, next string) {
		tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, "unix", u.socket)
			return chunkSaying{c}, err
		}}
		defer tr.CloseIdleConnections()
		ask := func(method, path string, body io.Reader) string {
			req, err := http.NewRequestWithContext(t.Context(), method, "http://staging"+path, body)
			if err != nil {
				t.Fatal(err)
			}
			if body != nil && u.corrupt() {
				req.Header.Set("X-Chunked", "yes")
			}
			return saidBy(tr.RoundTrip(req))
		}
		return ask("POST", u.path(), bytes.NewReader(u.body())), ask("GET", u.nextPath(), nil)
	}
}

// A chunkSaying has Go's client, which writes no corrupt chunk, call a body chunked that
// is none.
type chunkSaying struct{ net.Conn }

func (c chunkSaying) Write(p []byte) (int, error) {
	if _, err := c.Conn.Write(bytes.Replace(p, []byte("X-Chunked: yes"), []byte("Transfer-Encoding: chunked"), 1)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// saidBy is an answer's status and body, or "error".
func saidBy(res *http.Response, err error) string {
	if err != nil {
		return "error"
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return "error"
	}
	return fmt.Sprintf("%d %s", res.StatusCode, body)
}

const pythonUpload = `
import http.client, json, socket, sys

class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(agent)

def ask(connection, *request, **more):
    try:
        connection.request(*request, **more)
        answer = connection.getresponse()
        return f"{answer.status} {answer.read().decode('latin-1')}"
    except (OSError, http.client.HTTPException):
        connection.close()
        return "error"

for line in sys.stdin:
    agent, path, next_path, body, corrupt = json.loads(line)
    connection = Unix("staging")
    chunked = {"Transfer-Encoding": "chunked"}
    first = ask(connection, "POST", path, [body.encode()], chunked, encode_chunked=not corrupt)
    print(json.dumps([first, ask(connection, "GET", next_path)]), flush=True)
    connection.close()
`

func uploadByPython(t *testing.T) uploadSender {
	cmd := exec.CommandContext(t.Context(), testpeer.Python(t, "http.client", "python3"), "-c", pythonUpload)
	in, err := cmd.StdinPipe()
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
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	tell, hear := json.NewEncoder(in), json.NewDecoder(out)
	return func(u brokenUpload) (first, next string) {
		var answers [2]string
		if err := tell.Encode([]any{u.socket, u.path(), u.nextPath(), string(u.body()), u.corrupt()}); err != nil {
			t.Fatal(err)
		}
		if err := hear.Decode(&answers); err != nil {
			t.Fatal(err)
		}
		return answers[0], answers[1]
	}
}

func uploadByCurl(t *testing.T) uploadSender {
	curl := testpeer.Program(t, "curl", "curl")
	return func(u brokenUpload) (first, next string) {
		dir := t.TempDir()
		common := []string{"-s", "--unix-socket", u.socket, "-w", `%{http_code}\n`}
		args := append([]string{"-q", "-o", dir + "/first", "--data-binary", "@-", "-H", "Expect:"}, common...)
		if u.corrupt() { // in two headers that curl takes for one: it would make chunks itself
			args = append(args, "-H", "Content-Length:", "-H", "X: 1\r\nTransfer-Encoding: chunked")
		}
		args = append(args, "http://staging"+u.path(), "--next", "-o", dir+"/next")
		args = append(append(args, common...), "http://staging"+u.nextPath())
		cmd := exec.CommandContext(t.Context(), curl, args...)
		cmd.Stdin = bytes.NewReader(u.body())
		out, _ := cmd.Output() // whether the second request failed is no matter here
		status := strings.Fields(string(out))
		if len(status) != 2 {
			t.Fatalf("curl says %q", out)
		}
		said := func(status, name string) string {
			body, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				return "error"
			}
			return status + " " + string(body)
		}
		return said(status[0], "first"), said(status[1], "next")
	}
}

// uploadRaw sends both requests at once, whatever the daemon says. The daemon may answer
// the second one if it has read the first one to its end; anything that comes after an
// answer with Connection: close is wrong.
func uploadRaw(t *testing.T) uploadSender {
	return func(u brokenUpload) (first, next string) {
		c, err := net.Dial("unix", u.socket)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		body := u.body()
		framing := fmt.Sprintf("Content-Length: %d", len(body))
		if u.corrupt() {
			framing = "Transfer-Encoding: chunked"
		}
		go func() {
			fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: staging\r\n%s\r\n\r\n%sGET %s HTTP/1.1\r\nHost: staging\r\n\r\n", u.path(), framing, body, u.nextPath())
		}()
		r := bufio.NewReader(c)
		res, err := http.ReadResponse(r, nil)
		first = saidBy(res, err)
		if err == nil && !res.Close {
			return first, saidBy(http.ReadResponse(r, nil))
		}
		if rest, _ := io.ReadAll(r); len(rest) > 0 {
			return first, string(rest)
		}
		return first, "200 " + u.nextPath() // as a client gets it on another connection
	}
}

// faultyAPI is an API that breaks uploads off in the middle, and returns its URL.
func faultyAPI(t *testing.T) string {
	t.Helper()
	return "http://" + testsocket.ServeTCP(t, func(c net.Conn) {
		for r := bufio.NewReader(c); faultyAnswer(c, r); {
		}
	})
}

// faultyAnswer answers one request and reports whether the connection goes on.
func faultyAnswer(w io.Writer, r *bufio.Reader) bool {
	req, err := http.ReadRequest(r)
	if err != nil {
		return false
	}
	if strings.HasPrefix(req.URL.Path, "/next/") {
		fmt.Fprintf(w, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(req.URL.Path), req.URL.Path)
		return true
	}
	_, _ = io.CopyN(io.Discard, req.Body, 64<<10)
	if strings.HasPrefix(req.URL.Path, "/early/") {
		_, _ = io.WriteString(w, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nearly")
	}
	return false
}
