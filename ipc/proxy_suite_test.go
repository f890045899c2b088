package ipc

// What users of reverse proxies rely on, by the byte: the suite of net/http/httputil was the
// list of situations. What other files of this package hold is not here again.

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/ipctest"
)

// A rawAPI answers every request with the same bytes and disconnects.
type rawAPI struct {
	answer   string
	requests chan string // what arrived, one request each
}

func (a *rawAPI) serve(c net.Conn) {
	var raw bytes.Buffer
	r, err := http.ReadRequest(bufio.NewReader(io.TeeReader(c, &raw)))
	if err != nil {
		return
	}
	if r.Header.Get("Expect") == "" {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	a.requests <- raw.String()
	_, _ = io.WriteString(c, a.answer)
}

// newRawAPI serves a proxy whose API answers with these bytes. base is the path of api_url.
func newRawAPI(t *testing.T, base, answer string) (*rawAPI, *ipctest.Listener) {
	t.Helper()
	a := &rawAPI{answer, make(chan string, 10)}
	api := ipctest.Listen()
	testsocket.Serve(t, api, a.serve)
	ln := serveMemServer(t, &Server{
		Service: tokenFor("http://localhost"+base, "staging"), Proxy: true,
		dialAPI: func(ctx context.Context, _, _ string) (net.Conn, error) { return api.Dial(ctx) },
	})
	return a, ln
}

const fine = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// hopByHop has each header that concerns one connection, and is not refused.
var hopByHop = []string{"Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "Proxy-Authenticate: Basic", "TE: gzip"}

// TestProxySuiteRequests: a request arrives as it was sent, but for what concerns the connection
// that it came on.
func TestProxySuiteRequests(t *testing.T) {
	const always = "Host: localhost\r\nAuthorization: Bearer " + fixture.JWT + "\r\n"
	large := strings.Repeat("x", 70<<10)
	for name, test := range map[string]struct {
		base, sent string
		line       string   // the first; "" means "GET /kyc"
		head       []string // the other headers that arrive, sorted, Host and Authorization left out
		body       string
	}{
		"nothing is added":             {sent: toAPI("GET", "/kyc", "")},
		"no User-Agent":                {sent: toAPI("GET", "/kyc", "", "X: 1"), head: []string{"X: 1"}},
		"an empty User-Agent":          {sent: toAPI("GET", "/kyc", "", "User-Agent:")},
		"a User-Agent":                 {sent: toAPI("GET", "/kyc", "", "User-Agent: a/1 (b)"), head: []string{"User-Agent: a/1 (b)"}},
		"hop by hop, not named":        {sent: toAPI("GET", "/kyc", "", hopByHop...)},
		"hop by hop, named":            {sent: toAPI("GET", "/kyc", "", append(hopByHop, "Connection: keep-alive, proxy-connection, te")...)},
		"named, with empty parts":      {sent: toAPI("GET", "/kyc", "", "Connection: , X-A,,\tX-B ,", "X-A: 1", "X-B: 2", "X-C: 3"), head: []string{"X-C: 3"}},
		"named in two lines":           {sent: toAPI("GET", "/kyc", "", "Connection: X-A", "X-A: 1", "connection: x-b", "X-B: 2", "X-C: 3"), head: []string{"X-C: 3"}},
		"named, and there twice":       {sent: toAPI("GET", "/kyc", "", "X-A: 1", "Connection: x-a", "x-a: 2")},
		"named, and not there":         {sent: toAPI("GET", "/kyc", "", "Connection: X-A", "X-B: 2"), head: []string{"X-B: 2"}},
		"an empty Connection":          {sent: toAPI("GET", "/kyc", "", "Connection:", "X-A: 1"), head: []string{"X-A: 1"}},
		"close is for the client":      {sent: toAPI("GET", "/kyc", "", "Connection: close")},
		"TE: trailers":                 {sent: toAPI("GET", "/kyc", "", "TE: trailers"), head: []string{"Te: trailers"}},
		"forwarded by others":          {sent: toAPI("GET", "/kyc", "", "X-Forwarded-For: 1", "X-Forwarded-For: 2", "x-forwarded-host: h", "X-Forwarded-Proto: https", "FORWARDED: for=1")},
		"Via and X-Real-Ip":            {sent: toAPI("GET", "/kyc", "", "Via: 1.1 a", "X-Real-Ip: 1"), head: []string{"Via: 1.1 a", "X-Real-Ip: 1"}},
		"lines of one name, in order":  {sent: toAPI("GET", "/kyc", "", "X: 2", "Cookie: a=b", "X: 1", "Cookie: c=d"), head: []string{"Cookie: a=b", "Cookie: c=d", "X: 2", "X: 1"}},
		"an empty value":               {sent: toAPI("GET", "/kyc", "", "X:"), head: []string{"X: "}},
		"blanks around a value":        {sent: toAPI("GET", "/kyc", "", "X: \t 1 2 \t"), head: []string{"X: 1 2"}},
		"bytes beyond ASCII":           {sent: toAPI("GET", "/kyc", "", "X: \xe9\u00e9"), head: []string{"X: \xe9\u00e9"}},
		"conditions and ranges":        {sent: toAPI("GET", "/kyc", "", "If-None-Match: \"a\"", "Range: bytes=0-1"), head: []string{"If-None-Match: \"a\"", "Range: bytes=0-1"}},
		"a coding that is asked for":   {sent: toAPI("GET", "/kyc", "", "Accept-Encoding: br, gzip"), head: []string{"Accept-Encoding: br, gzip"}},
		"Max-Forwards":                 {sent: toAPI("OPTIONS", "/kyc", "", "Max-Forwards: 0"), line: "OPTIONS /kyc", head: []string{"Max-Forwards: 0"}},
		"a long value":                 {sent: toAPI("GET", "/kyc", "", "X: "+large[:4<<10]), head: []string{"X: " + large[:4<<10]}},
		"a method without a body":      {sent: toAPI("HEAD", "/kyc", ""), line: "HEAD /kyc"},
		"a POST without a body":        {sent: toAPI("POST", "/kyc", "", "Content-Length: 0"), line: "POST /kyc", head: []string{"Content-Length: 0"}},
		"a POST without a length":      {sent: toAPI("POST", "/kyc", ""), line: "POST /kyc", head: []string{"Content-Length: 0"}},
		"a GET with a body":            {sent: toAPI("GET", "/kyc", "q"), head: []string{"Content-Length: 1"}, body: "q"},
		"a DELETE with a body":         {sent: toAPI("DELETE", "/kyc", "q"), line: "DELETE /kyc", head: []string{"Content-Length: 1"}, body: "q"},
		"a body of unknown length":     {sent: chunked("1;x\r\na\r\n2\r\nbc\r\n0\r\n\r\n"), line: "POST /kyc", head: []string{"Transfer-Encoding: chunked"}, body: "abc"},
		"an empty one of that":         {sent: chunked("0\r\n\r\n"), line: "POST /kyc", head: []string{"Transfer-Encoding: chunked"}},
		"a body that is just small":    {sent: toAPI("PUT", "/kyc", large[:64<<10]), line: "PUT /kyc", head: []string{"Content-Length: 65536"}, body: large[:64<<10]},
		"a body that is just large":    {sent: toAPI("PUT", "/kyc", large[:64<<10+1]), line: "PUT /kyc", head: []string{"Content-Length: 65537"}, body: large[:64<<10+1]},
		"a large body of known length": {sent: toAPI("PUT", "/kyc", large), line: "PUT /kyc", head: []string{"Content-Length: " + strconv.Itoa(len(large))}, body: large},
		"a media type":                 {sent: toAPI("POST", "/kyc", "a=b", "Content-Type: application/x-www-form-urlencoded", "Content-Encoding: x"), line: "POST /kyc", head: []string{"Content-Encoding: x", "Content-Length: 3", "Content-Type: application/x-www-form-urlencoded"}, body: "a=b"},

		"query: semicolon":     {sent: toAPI("GET", "/kyc?a=1;b=2&c=3", ""), line: "GET /kyc?a=1;b=2&c=3"},
		"query: not escapes":   {sent: toAPI("GET", "/kyc?a=%zz&b=%&c=%3b", ""), line: "GET /kyc?a=%zz&b=%&c=%3b"},
		"query: only ?":        {sent: toAPI("GET", "/kyc?", ""), line: "GET /kyc?"},
		"query: empty parts":   {sent: toAPI("GET", "/kyc?&&a&=b&&", ""), line: "GET /kyc?&&a&=b&&"},
		"query: twice":         {sent: toAPI("GET", "/kyc?a=2&a=1&A=3", ""), line: "GET /kyc?a=2&a=1&A=3"},
		"query: ? and /":       {sent: toAPI("GET", "/kyc?a=?/../&b=//", ""), line: "GET /kyc?a=?/../&b=//"},
		"query: plus":          {sent: toAPI("GET", "/kyc?a+b=c%2Bd+", ""), line: "GET /kyc?a+b=c%2Bd+"},
		"query: not ASCII":     {sent: toAPI("GET", "/kyc?\u00e9=%C3%A9", ""), line: "GET /kyc?\u00e9=%C3%A9"},
		"query: in a form":     {sent: toAPI("POST", "/kyc?a=1;b", "a=2;c", "Content-Type: application/x-www-form-urlencoded"), line: "POST /kyc?a=1;b", head: []string{"Content-Length: 5", "Content-Type: application/x-www-form-urlencoded"}, body: "a=2;c"},
		"path: the root":       {sent: toAPI("GET", "/", ""), line: "GET /"},
		"path: below a base":   {base: "/v2", sent: toAPI("GET", "/", ""), line: "GET /v2/"},
		"path: base with /":    {base: "/v2/", sent: toAPI("GET", "/kyc/", ""), line: "GET /v2/kyc/"},
		"path: escapes stay":   {sent: toAPI("GET", "/%41b%7e%c3%A9", ""), line: "GET /%41b%7e%c3%A9"},
		"path: parameters":     {sent: toAPI("GET", "/a;b=c/d,e=f:g@h!$&'()*+", ""), line: "GET /a;b=c/d,e=f:g@h!$&'()*+"},
		"path: escaped ?":      {sent: toAPI("GET", "/a%3Fb%23c?d", ""), line: "GET /a%3Fb%23c?d"},
		"path: base's escapes": {base: "/a%20b", sent: toAPI("GET", "/c%20d", ""), line: "GET /a%20b/c%20d"},
		"path: only a colon":   {sent: toAPI("GET", "/:80", ""), line: "GET /:80"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, ln := newRawAPI(t, test.base, fine)
				if a := ask(t, ln, test.sent); a.StatusCode != http.StatusOK || a.Request.Method != http.MethodHead && a.body != "ok" {
					t.Fatalf("%d %s", a.StatusCode, a.body)
				}
				arrived := <-api.requests
				head, body, _ := strings.Cut(arrived, "\r\n\r\n")
				lines := strings.Split(head, "\r\n")
				if want := cmp.Or(test.line, "GET /kyc") + " HTTP/1.1"; lines[0] != want {
					t.Errorf("%q, want %q", lines[0], want)
				}
				var rest []string
				for _, line := range lines[1:] {
					if !strings.Contains(always, line+"\r\n") {
						rest = append(rest, line)
					}
				}
				slices.SortStableFunc(rest, func(a, b string) int { return strings.Compare(nameOf(a), nameOf(b)) })
				if len(lines)-1-len(rest) != 2 || !slices.Equal(rest, test.head) {
					t.Errorf("%q arrives, want %q", lines[1:], test.head)
				}
				r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(arrived)))
				if err != nil {
					t.Fatal(err)
				}
				if whole, err := io.ReadAll(r.Body); string(whole) != test.body || err != nil {
					t.Errorf("body %q, %v", body, err)
				}
			})
		})
	}
}

func nameOf(line string) string {
	name, _, _ := strings.Cut(line, ":")
	return name
}

// An answerCase is one answer of an API. The zero fields are not looked at, but for the body.
type answerCase struct {
	method string // "" means GET
	raw    string
	status int
	has    map[string]string // lines of one name are joined with |
	hasNot []string
	body   string
	broken bool // the client sees that it is not complete
	hints  []string
	// manyHints are too many to list.
	manyHints bool
}

// TestProxySuiteAnswers: an answer arrives as the API gave it, but for what concerns the
// connection to it.
func TestProxySuiteAnswers(t *testing.T) {
	head := func(status string, lines ...string) string {
		return "HTTP/1.1 " + status + "\r\n" + strings.Join(append(lines, "", ""), "\r\n")
	}
	const two = "Content-Length: 2"
	for name, test := range map[string]answerCase{
		"hop by hop, not named":     {raw: head("200 OK", two, "Keep-Alive: timeout=5", "Proxy-Connection: close", "Proxy-Authenticate: Basic", "Te: gzip", "Upgrade: h2c") + "ok", status: 200, hasNot: []string{"Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Te", "Upgrade", "Connection"}, body: "ok"},
		"named in two lines":        {raw: head("200 OK", two, "Connection: X-A, ,keep-alive", "X-A: 1", "X-A: 2", "connection: x-b", "X-B: 2", "X-C: 3") + "ok", status: 200, has: map[string]string{"X-C": "3"}, hasNot: []string{"X-A", "X-B", "Connection"}, body: "ok"},
		"an empty Connection":       {raw: head("200 OK", two, "Connection:", "X-A: 1") + "ok", status: 200, has: map[string]string{"X-A": "1"}, hasNot: []string{"Connection"}, body: "ok"},
		"Content-Type is not named": {raw: head("200 OK", two, "Connection: content-length") + "ok", status: 200, body: "ok"},
		"no Content-Type":           {raw: head("200 OK", "Content-Length: 6") + "<html>", status: 200, hasNot: []string{"Content-Type", "X-Content-Type-Options"}, body: "<html>"},
		"an empty Content-Type":     {raw: head("200 OK", two, "Content-Type:") + "ok", status: 200, has: map[string]string{"Content-Type": ""}, body: "ok"},
		"Date and Server":           {raw: head("200 OK", two, "Date: Thu, 01 Jan 1970 00:00:00 GMT", "Server: api") + "ok", status: 200, has: map[string]string{"Date": "Thu, 01 Jan 1970 00:00:00 GMT", "Server": "api"}, body: "ok"},
		"no Server, no cache":       {raw: head("200 OK", two) + "ok", status: 200, hasNot: []string{"Server", "Cache-Control", "Via", "Kyc-Version"}, body: "ok"},
		"lines of one name":         {raw: head("401 Unauthorized", two, "Set-Cookie: b=1", "WWW-Authenticate: Bearer", "Set-Cookie: a=2", "WWW-Authenticate: Basic") + "no", status: 401, has: map[string]string{"Set-Cookie": "b=1|a=2", "Www-Authenticate": "Bearer|Basic"}, body: "no"},
		"a coding is not undone":    {raw: head("200 OK", two, "Content-Encoding: gzip") + "\x1f\x8b", status: 200, has: map[string]string{"Content-Encoding": "gzip"}, body: "\x1f\x8b"},
		"a relative Location":       {raw: head("302 Found", "Content-Length: 0", "Location: ../x?y#z"), status: 302, has: map[string]string{"Location": "../x?y#z"}},
		"bytes beyond ASCII":        {raw: head("200 OK", two, "X: \xe9\u00e9") + "ok", status: 200, has: map[string]string{"X": "\xe9\u00e9"}, body: "ok"},
		"an empty value":            {raw: head("200 OK", two, "X:") + "ok", status: 200, has: map[string]string{"X": ""}, body: "ok"},
		"a folded value":            {raw: head("200 OK", two, "X: a\r\n  b") + "ok", status: 200, has: map[string]string{"X": "a b"}, body: "ok"},
		"a phrase":                  {raw: head("200 Fine by me", two) + "ok", status: 200, body: "ok"},
		"no phrase":                 {raw: head("200", two) + "ok", status: 200, body: "ok"},
		"HTTP/1.0, to its end":      {raw: "HTTP/1.0 200 OK\r\n\r\nall of it", status: 200, body: "all of it"},
		"HTTP/1.0 with a length":    {raw: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", status: 200, body: "ok"},
		"no length, to its end":     {raw: head("200 OK") + "all of it", status: 200, body: "all of it"},
		"no content":                {raw: head("204 No Content", "X: 1"), status: 204, has: map[string]string{"X": "1"}, hasNot: []string{"Content-Length", "Content-Type", "Transfer-Encoding"}},
		"no content, with a length": {raw: head("204 No Content", two), status: 204, hasNot: []string{"Content-Length"}},
		"not modified":              {raw: head("304 Not Modified", "Etag: \"a\"", "Cache-Control: max-age=1"), status: 304, has: map[string]string{"Etag": "\"a\"", "Cache-Control": "max-age=1"}, hasNot: []string{"Content-Type"}},
		"a part":                    {raw: head("206 Partial Content", two, "Content-Range: bytes 0-1/9") + "ok", status: 206, has: map[string]string{"Content-Range": "bytes 0-1/9", "Content-Length": "2"}, body: "ok"},
		"HEAD":                      {method: "HEAD", raw: head("200 OK", "Content-Length: 12345", "X: 1"), status: 200, has: map[string]string{"Content-Length": "12345", "X": "1"}, hasNot: []string{"Content-Type"}},
		"HEAD, chunked":             {method: "HEAD", raw: head("200 OK", "Transfer-Encoding: chunked"), status: 200, hasNot: []string{"Content-Length"}},
		"HEAD, not found":           {method: "HEAD", raw: head("404 Not Found", "Content-Length: 9"), status: 404, has: map[string]string{"Content-Length": "9"}},
		"status 218":                {raw: head("218 x", two) + "ok", status: 218, body: "ok"},
		"status 418":                {raw: head("418 x", two) + "ok", status: 418, body: "ok"},
		"status 599":                {raw: head("599 x", two) + "ok", status: 599, body: "ok"},
		"status 999":                {raw: head("999 x", two) + "ok", status: 999, body: "ok"},
		"chunks":                    {raw: head("200 OK", "Transfer-Encoding: chunked") + "1;x=y\r\na\r\n02\r\nbc\r\n0\r\n\r\n", status: 200, body: "abc"},
		"chunks and a length":       {raw: head("200 OK", "Transfer-Encoding: chunked", "Content-Length: 99") + "2\r\nok\r\n0\r\n\r\n", status: 200, body: "ok"},
		"a chunk that is not one":   {raw: head("200 OK", "Transfer-Encoding: chunked") + "2\r\nok\r\nZZ\r\n", status: 200, body: "ok", broken: true},
		"chunks without their end":  {raw: head("200 OK", "Transfer-Encoding: chunked") + "2\r\nok\r\n", status: 200, body: "ok", broken: true},
		"more than the length":      {raw: head("200 OK", two) + "ok, and more", status: 200, body: "ok"},
		"two lengths":               {raw: head("200 OK", two, "Content-Length: 3") + "ok!", status: 503},
		"an unknown coding":         {raw: head("200 OK", "Transfer-Encoding: gzip") + "ok", status: 503},
		"a space in a name":         {raw: head("200 OK", two, "X Y: 1") + "ok", status: 200, hasNot: []string{"X Y", "X-Y"}, body: "ok"},
		"a NUL in a value":          {raw: head("200 OK", two, "X: a\x00b") + "ok", status: 503},
		"hints":                     {raw: head("103 Early Hints", "Link: </a>") + head("103 Early Hints", "Link: </b>", "Link: </c>") + head("200 OK", two, "X: 1") + "ok", status: 200, hints: []string{"103 Link: </a>", "103 Link: </b>|</c>"}, has: map[string]string{"X": "1"}, hasNot: []string{"Link"}, body: "ok"},
		"hints, then a refusal":     {raw: head("103 Early Hints", "Link: </a>") + head("403 Forbidden", two) + "no", status: 403, hints: []string{"103 Link: </a>"}, hasNot: []string{"Link"}, body: "no"},
		"processing":                {raw: head("102 Processing") + head("200 OK", two) + "ok", status: 200, hints: []string{"102"}, body: "ok"},
		"continue, not asked for":   {raw: head("100 Continue", "X: 1") + head("200 OK", two) + "ok", status: 200, hasNot: []string{"X"}, body: "ok"},
		"hints and nothing else":    {raw: head("103 Early Hints", "Link: </a>"), status: 503, hints: []string{"103 Link: </a>"}, hasNot: []string{"Link"}},
		"hints without end":         {raw: strings.Repeat(head("103 Early Hints", "X: "+strings.Repeat("x", 100)), 20_000), status: 503, manyHints: true},
		"a head of 200 kB":          {raw: head("200 OK", two, "X: "+strings.Repeat("x", 200<<10)) + "ok", status: 503},
		"hints in the agent's name": {raw: head("103 Early Hints", "Kyc-Error: denied", "Link: </a>") + head("200 OK", two) + "ok", status: 200, hints: []string{"103 Link: </a>"}, hasNot: []string{"Kyc-Error"}, body: "ok"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test.check(t) })
		})
	}
}

func (test answerCase) check(t *testing.T) {
	_, ln := newRawAPI(t, "", test.raw)
	c, method := dial(t, ln), cmp.Or(test.method, "GET")
	_, _ = io.WriteString(c, toAPI(method, "/kyc", ""))
	r := bufio.NewReader(c)
	var hints []string
	res := readNext(t, r, method)
	for ; res.StatusCode < 200; res = readNext(t, r, method) {
		hints = append(hints, strings.TrimSpace(strconv.Itoa(res.StatusCode)+" "+listed(res.Header)))
	}
	body, err := io.ReadAll(res.Body)
	if res.StatusCode != test.status || !test.manyHints && !slices.Equal(hints, test.hints) || (err != nil) != test.broken {
		t.Errorf("%d after %q, %v", res.StatusCode, hints, err)
	}
	if test.status == 503 {
		if res.Header.Get("Kyc-Error") != "unavailable" {
			t.Errorf("%v %s", res.Header, body)
		}
	} else if string(body) != test.body {
		t.Errorf("body %q, want %q", body, test.body)
	}
	if length := res.Header.Get("Content-Length"); length != "" && res.TransferEncoding != nil {
		t.Errorf("both a length, %s, and %s", length, res.TransferEncoding)
	}
	for name, want := range test.has {
		if got, ok := res.Header[name]; !ok || strings.Join(got, "|") != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, name := range test.hasNot {
		if got, ok := res.Header[name]; ok {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func readNext(t *testing.T, r *bufio.Reader, method string) *http.Response {
	t.Helper()
	res, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("no response: %v", err)
	}
	return res
}

// listed returns the headers in h that have values, sorted.
func listed(h http.Header) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if len(h[name]) > 0 {
			list = append(list, name+": "+strings.Join(h[name], "|"))
		}
	}
	return strings.Join(list, "; ")
}

// TestProxySuiteTrailers: what an API says after a body arrives after it, announced or not.
func TestProxySuiteTrailers(t *testing.T) {
	for name, test := range map[string]struct {
		announced []string
		end       string // what follows the last chunk
		want      string // name: values, sorted
	}{
		"none":                  {nil, "", ""},
		"one":                   {[]string{"Trailer: X-Sum"}, "X-Sum: 4\r\n", "X-Sum: 4"},
		"a list":                {[]string{"Trailer: x-a, X-B"}, "X-A: 1\r\nx-b: 2\r\n", "X-A: 1; X-B: 2"},
		"two lines":             {[]string{"Trailer: X-A", "Trailer: X-B"}, "X-A: 1\r\nX-B: 2\r\n", "X-A: 1; X-B: 2"},
		"two values":            {[]string{"Trailer: X-A"}, "X-A: 1\r\nX-A: 2\r\n", "X-A: 1|2"},
		"not announced":         {nil, "X-Sum: 4\r\n", "X-Sum: 4"},
		"one of two announced":  {[]string{"Trailer: X-A"}, "X-A: 1\r\nX-B: 2\r\n", "X-A: 1; X-B: 2"},
		"announced, not sent":   {[]string{"Trailer: X-A"}, "", ""},
		"named in Connection":   {[]string{"Connection: Trailer", "Trailer: X-A"}, "X-A: 1\r\n", "X-A: 1"},
		"the agent's":           {[]string{"Trailer: Kyc-Error, X-A"}, "Kyc-Error: denied\r\nX-A: 1\r\n", "X-A: 1"},
		"the agent's alone":     {[]string{"Trailer: Kyc-Error"}, "Kyc-Error: denied\r\n", ""},
		"the agent's, unspoken": {nil, "kyc-warning: x\r\nX-A: 1\r\n", "X-A: 1"},
	} {
		for _, media := range []string{"text/plain", "text/event-stream"} {
			t.Run(name+" "+media, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					head := strings.Join(append(test.announced, "Content-Type: "+media, "Transfer-Encoding: chunked", "", ""), "\r\n")
					_, ln := newRawAPI(t, "", "HTTP/1.1 200 OK\r\n"+head+"4\r\nbody\r\n0\r\n"+test.end+"\r\n")
					a := ask(t, ln, toAPI("GET", "/kyc", "", "TE: trailers"))
					got := listed(a.Trailer)
					if a.body != "body" || got != test.want || a.Header.Get("X-A") != "" {
						t.Errorf("%q with %q and %v, want %q", a.body, got, a.Header, test.want)
					}
					if _, ok := a.Trailer["Kyc-Error"]; ok {
						t.Error("Kyc-Error is announced")
					}
				})
			})
		}
	}
}

// TestProxySuiteHeadIsFlushed: the head of an answer arrives before the first byte of its body.
func TestProxySuiteHeadIsFlushed(t *testing.T) {
	for _, length := range []string{"", "Content-Length: 3\r\n", "Content-Length: 100000\r\n", "Content-Type: text/event-stream\r\n"} {
		synctest.Test(t, func(t *testing.T) {
			wait := make(chan bool)
			f := newFlow(t, func(w http.ResponseWriter, r *http.Request) {
				c, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX: 1\r\n"+length+"\r\n")
				<-wait
			})
			defer close(wait)
			began := time.Now()
			res, err := f.client.Get("http://staging/")
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); res.Header.Get("X") != "1" || took > 5*time.Millisecond {
				t.Errorf("%q: %v after %s", length, res.Header, took)
			}
			_ = res.Body.Close()
		})
	}
}

// TestProxySuitePiecesAreFlushed: a small answer that comes in pieces arrives in them, also if
// none is long in coming.
func TestProxySuitePiecesAreFlushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlow(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "8")
			for range 8 {
				_, _ = io.WriteString(w, "x")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(3 * time.Millisecond)
			}
		})
		began := time.Now()
		res, err := f.client.Get("http://staging/")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if _, err := io.ReadFull(res.Body, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 5*time.Millisecond {
			t.Errorf("the first piece took %s", took)
		}
		if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != "xxxxxxx" {
			t.Errorf("%q, %v", rest, err)
		}
		time.Sleep(3 * time.Millisecond) // the API's last
	})
}

// TestProxySuiteClientGoesInAnswer: a client that disconnects in the middle of an answer ends the
// request at the API, also if the API has nothing to say.
func TestProxySuiteClientGoesInAnswer(t *testing.T) {
	for _, media := range []string{"text/plain", "text/event-stream"} {
		synctest.Test(t, func(t *testing.T) {
			gone := make(chan bool)
			f := newFlow(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", media)
				_, _ = io.WriteString(w, "data: 1\n\n")
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
				close(gone)
			})
			res, err := f.client.Get("http://staging/")
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.ReadFull(res.Body, make([]byte, 9))
			began := time.Now()
			_ = res.Body.Close()
			<-gone
			if took := time.Since(began); took != 0 {
				t.Errorf("%s: after %s", media, took)
			}
		})
	}
}

// TestProxySuiteSameRequestAgain: with a newer token the same request is sent, and nothing that was
// removed from it comes back.
func TestProxySuiteSameRequestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, _ := newRawAPI(t, "", "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
		service := &scripted{token: func(_ context.Context, req agent.TokenRequest) (agent.Token, error) {
			token := fixture.Token(req.Environment)
			token.APIURL = "http://localhost"
			if req.MinValid > 0 {
				token.IDToken, token.ExpiresAt = agent.NewSecret("newer"), time.Now().Add(2*time.Hour)
			}
			return token, nil
		}}
		ln := serveMemServer(t, &Server{Service: service, Proxy: true, dialAPI: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go api.serve(there)
			return here, nil
		}})
		a := ask(t, ln, toAPI("POST", "/kyc?a;b", "{}", "X: 1", "X: 2", "Connection: X-Hop", "X-Hop: 1", "X-Forwarded-For: 1"))
		first, second := <-api.requests, <-api.requests
		if a.StatusCode != http.StatusUnauthorized || strings.ReplaceAll(second, "newer", fixture.JWT) != first || !strings.Contains(second, "Bearer newer\r\n") {
			t.Errorf("%d %q, then %q", a.StatusCode, first, second)
		}
		if strings.Contains(first, "X-Hop") || strings.Contains(first, "X-Forwarded") || !strings.HasSuffix(first, "\r\n\r\n{}") {
			t.Errorf("%q", first)
		}
	})
}

// TestProxySuiteContinueAndNothing: an API that asks for a body and disconnects, or writes what is
// no answer, does not keep the client waiting.
func TestProxySuiteContinueAndNothing(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 100 Continue\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 nonsense\r\n\r\n",
		"HTTP/1.1 100 Continue\r\nbad header\r\n\r\n", strings.Repeat("HTTP/1.1 103 x\r\n\r\n", 3), "",
	} {
		synctest.Test(t, func(t *testing.T) {
			_, ln := newRawAPI(t, "", answer)
			c := dial(t, ln)
			began := time.Now()
			_, _ = io.WriteString(c, toAPI("PUT", "/kyc", "", "Expect: 100-continue", fmt.Sprintf("Content-Length: %d", 1<<20)))
			r := bufio.NewReader(c)
			res := readNext(t, r, "PUT")
			for ; res.StatusCode < 200; res = readNext(t, r, "PUT") {
			}
			if took := time.Since(began); res.StatusCode != http.StatusServiceUnavailable || !res.Close || took > time.Second {
				t.Errorf("%q: %d, close %t, after %s", answer, res.StatusCode, res.Close, took)
			}
		})
	}
}
