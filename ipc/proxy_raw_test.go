package ipc

import (
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
)

var (
	requestLine   = regexp.MustCompile(`[A-Z]+ \S+ HTTP/1\.1\r\n`)
	authorization = regexp.MustCompile(`(?mi)^[ \t]*(proxy-)?authorization[^\n]*$`)
)

const (
	rawSmuggled = "GET /smuggled HTTP/1.1\r\nHost: staging\r\nAuthorization: evil\r\n\r\n"
	rawEnd      = "GET /end HTTP/1.1\r\nHost: staging\r\nConnection: close\r\n\r\n" // sent after each
)

func chunked(body string, headers ...string) string {
	return toAPI("POST", "/kyc", "", append([]string{"Transfer-Encoding: chunked"}, headers...)...) + body
}

// rawRequests are bytes that proxies read in more than one way.
var rawRequests = map[string]struct {
	raw      string
	requests int // that reach the API, rawEnd included
}{
	"nothing special":             {toAPI("GET", "/kyc", ""), 2},
	"connection: authorization":   {toAPI("GET", "/kyc", "", "Connection: authorization"), 2},
	"connection, a list":          {toAPI("GET", "/kyc", "", "Connection: x, Authorization ,keep-alive", "Connection: AUTHORIZATION"), 2},
	"connection: host":            {toAPI("GET", "/kyc", "", "Connection: host, content-length, user-agent"), 2},
	"TE: trailers":                {toAPI("GET", "/kyc", "", "TE: trailers", "Connection: TE"), 2},
	"length and chunked":          {toAPI("POST", "/kyc", "", "Content-Length: 4", "Transfer-Encoding: chunked") + "0\r\n\r\n" + toAPI("GET", "/own", ""), 3},
	"chunked and length":          {chunked("5\r\nhello\r\n0\r\n\r\n", "Content-Length: 200"), 2},
	"two lengths":                 {toAPI("POST", "/kyc", "", "Content-Length: 5", "Content-Length: 6") + "hello" + rawSmuggled, 0},
	"the same length twice":       {toAPI("POST", "/kyc", "", "Content-Length: 5", "Content-Length: 5") + "hello", 2},
	"a list of lengths":           {toAPI("POST", "/kyc", "", "Content-Length: 5, 5") + "hello" + rawSmuggled, 0},
	"length with a sign":          {toAPI("POST", "/kyc", "", "Content-Length: +5") + "hello" + rawSmuggled, 0},
	"negative length":             {toAPI("POST", "/kyc", "", "Content-Length: -5") + "hello" + rawSmuggled, 0},
	"chunked twice":               {chunked("0\r\n\r\n", "Transfer-Encoding: identity"), 0},
	"chunked misspelt":            {toAPI("POST", "/kyc", "", "Transfer-Encoding: xchunked") + rawSmuggled, 0},
	"chunked among others":        {toAPI("POST", "/kyc", "", "Transfer-Encoding: gzip, chunked") + rawSmuggled, 0},
	"chunked with a tab":          {toAPI("POST", "/kyc", "", "Transfer-Encoding:\tchunked") + "0\r\n\r\n", 2},
	"chunk extension":             {chunked("5;x=\"y\"\r\nhello\r\n0\r\n\r\n"), 2},
	"undeclared trailer":          {chunked("5\r\nhello\r\n0\r\nAuthorization: evil\r\nX: 1\r\n\r\n"), 2},
	"declared trailer":            {chunked("0\r\nAuthorization: evil\r\n\r\n", "Trailer: Authorization"), 1},
	"body that looks like a head": {toAPI("POST", "/kyc", "\r\nXuthorization: evil\r\n\r\n"), 2},
	"bare CR":                     {toAPI("GET", "/kyc", "", "X: a\rAuthorization: evil"), 0},
	"bare LF":                     {toAPI("GET", "/kyc", "", "X: a\nAuthorization: evil"), 1},
	"zero byte":                   {toAPI("GET", "/kyc", "", "X: a\x00Authorization: evil"), 0},
	"folded line":                 {toAPI("GET", "/kyc", "", "X: a\r\n Authorization: evil"), 2},
	"folded first line":           {"GET /kyc HTTP/1.1\r\n Authorization: evil\r\nHost: staging\r\n\r\n", 0},
	"space before the colon":      {toAPI("GET", "/kyc", "", "Authorization : evil"), 0},
	"tab before the colon":        {toAPI("GET", "/kyc", "", "Authorization\t: evil"), 0},
	"two hosts":                   {toAPI("GET", "/kyc", "", "Host: prod"), 0},
	"line break in the query":     {toAPI("GET", "/kyc?x=%0d%0aAuthorization:%20evil", ""), 2},
	"line break in the path":      {toAPI("GET", "/kyc%0d%0aAuthorization:%20evil", ""), 1},
	"space in the target":         {toAPI("GET", "/kyc HTTP/1.1\r\nAuthorization: evil\r\nX:", ""), 1},
	"expectation":                 {toAPI("POST", "/kyc", "{}", "Expect: 100-continue"), 2},
	"other expectation":           {toAPI("POST", "/kyc", "{}", "Expect: the spanish inquisition"), 0},
}

// For all bytes that a client sends, each request that reaches the API has the agent's
// Authorization header, once, and no other.
func TestProxyOnRawBytes(t *testing.T) {
	for name, test := range rawRequests {
		t.Run(name, func(t *testing.T) {
			u := newUpstream(t, nil)
			path := filepath.Join(testsocket.ShortDir(t), "kyc-agentd", "agent.sock")
			serve(t, &Server{Service: tokenFor(u.URL, "staging"), Proxy: true}, listen(t, path))
			c := fixture.DialUnix(t, path)
			go func() { _, _ = io.WriteString(c, test.raw+rawEnd) }()
			answers, _ := io.ReadAll(c)
			wire := u.wire()
			lines := authorization.FindAllString(wire, -1)
			for _, line := range lines {
				if line != "Authorization: Bearer "+fixture.JWT+"\r" {
					t.Errorf("the API got the line %q", line)
				}
			}
			if got := len(requestLine.FindAllString(wire, -1)); got != test.requests || len(lines) != got || strings.Contains(wire, "/smuggled") {
				t.Errorf("%d requests, want %d, with %d lines of authorization:\n%s", got, test.requests, len(lines), wire)
			}
			if strings.Contains(string(answers), fixture.JWT) || !strings.HasPrefix(string(answers), "HTTP/1.1 ") {
				t.Errorf("answers %q", answers)
			}
		})
	}
}

// A malformed chunk breaks the upload off: for the API it is never complete.
func TestProxyBadChunk(t *testing.T) {
	u := newUpstream(t, nil)
	a := ask(t, serveProxy(t, tokenFor(u.URL, "staging")), toAPI("POST", "/kyc", "", "Transfer-Encoding: chunked")+"5\r\nhello\r\nZZ\r\n")
	if p := a.problem(t); p.Code != agent.CodeUsage || !strings.Contains(p.Detail, "did not arrive whole") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if wire := u.wire(); strings.Contains(wire, "\r\n0\r\n") {
		t.Errorf("the API was told that the body is complete: %q", wire)
	}
}
