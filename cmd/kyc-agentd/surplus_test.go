package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent/awscreds/awstest"
	"github.com/legaltalent/kyc-agent/internal/testlog"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
)

// surplusMark is in the bytes that a server sends beyond its answer.
const surplusMark = "passport-C01X00T47"

// surplusAnswers are what a surplusAPI says, by path: up to and after the end of the answer.
var surplusAnswers = map[string]struct{ method, answer, surplus string }{
	"/second": {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Echo: "},
	"/longer": {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", " and more: "},
	"/chunks": {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "5\r\n"},
	"/204":    {"GET", "HTTP/1.1 204 No Content\r\n\r\n", "a body: "},
	"/304":    {"GET", "HTTP/1.1 304 Not Modified\r\n\r\n", "a body: "},
	"/head":   {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n", "a body: "},
}

// surplusAPI is an API that says more than its answer, and in it the token, on a
// connection that is kept. ended gets the path of such a request when the client has
// closed the connection, which net/http does after its line in the log.
func surplusAPI(t *testing.T) (url string, ended <-chan string) {
	t.Helper()
	over := make(chan string, 100)
	url = "http://" + testsocket.ServeTCP(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			say, ok := surplusAnswers[req.URL.Path]
			if !ok {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				continue
			}
			fmt.Fprintf(c, "%s%s%s %s\r\n\r\n", say.answer, say.surplus, req.Header.Get("Authorization"), surplusMark)
			_, _ = io.Copy(io.Discard, r)
			over <- req.URL.Path
			return
		}
	})
	return url, over
}

// chatty is the server at url, which says something before it is asked.
func chatty(t *testing.T, url string) string {
	t.Helper()
	return "http://" + testsocket.ServeTCP(t, func(c net.Conn) {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nX-Echo: %s\r\n\r\n", surplusMark)
		server, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			return
		}
		defer server.Close()
		go func() { _, _ = io.Copy(server, c) }()
		_, _ = io.Copy(c, server)
	})
}

// What a server says beyond its answer is in no log, and on no command's stderr: net/http
// would print it there.
func TestSurplusIsNotLogged(t *testing.T) {
	h := newFixture(t)
	aws := awstest.New(awstest.UserPool{Issuer: h.cognito.Issuer(), JWKS: h.cognito.JWKSURL(), ClientID: h.cognito.ClientID})
	defer aws.Close()
	url, ended := surplusAPI(t)
	h.env = append(h.env, "KYC_STAGING_API_URL="+url, "KYC_STAGING_IDENTITY_POOL_ID="+aws.IdentityPoolID, "KYC_STAGING_AWS_ENDPOINT="+chatty(t, aws.URL))
	h.alsoProd()
	h.env = append(h.env, "KYC_PROD_ENDPOINT="+chatty(t, h.cognito.URL))
	log := new(testlog.Buffer)
	cmd := kycAgentd("serve", "--store", "memory", "--log-level", "debug")
	cmd.Env, cmd.Stderr = append([]string{}, h.env...), log
	d := h.launched(cmd)
	h.login()
	var said strings.Builder
	run := func(stdin string, cmd *exec.Cmd) outcome {
		got := h.run(stdin, cmd)
		said.WriteString(got.errOut)
		return got
	}
	for path, say := range surplusAnswers {
		if got := run("", kycAgentd("api", "staging", say.method, path)); got.exit != exitOK {
			t.Errorf("%s: %+v", path, got)
		}
		if got := <-ended; got != path {
			t.Errorf("%s has ended", got)
		}
	}
	for range 20 {
		run("", exec.Command(testpeer.Build(t, "kyc-token"), "-f", "aws", "staging"))
		run("correct horse\n", kycAgentd("login", "-u", "ana", "--password-stdin", "prod"))
	}
	run("", kycAgentd("doctor"))
	h.stop(d)
	for where, text := range map[string]string{"the daemon's log": log.String(), "a command's stderr": said.String()} {
		for _, word := range []string{surplusMark, "Bearer", "eyJ", "Unsolicited"} {
			if n := strings.Count(text, word); n > 0 {
				t.Errorf("%s has %q %d times", where, word, n)
			}
		}
	}
}
