package ipc

import (
	"bufio"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
)

// TestRefusedBodyIsRead sends requests that are refused for their heads, on connections that end
// with them. The agent reads the body nevertheless: a client that cannot write it all, such as
// Go's, would not read the answer.
func TestRefusedBodyIsRead(t *testing.T) {
	service := matrixService("https://staging.example.com", new(atomic.Int32))
	api := agent.Policy{Socket: "ai", Environments: []string{"staging"}, Allow: []agent.Access{agent.AccessAPI}}
	path := filepath.Join(testsocket.ShortDir(t), "kyc-agentd", "agent.sock")
	serve(t, &Server{Service: service, Proxy: true, Restricted: api.Restrict(service)}, listen(t, path))
	for name, head := range map[string]string{
		"another environment": "POST /kyc HTTP/1.1\r\nHost: prod\r\n",
		"no such environment": "POST /kyc HTTP/1.1\r\nHost: nowhere\r\n",
		"an Authorization":    "POST /kyc HTTP/1.1\r\nHost: staging\r\nAuthorization: Bearer x\r\n",
		"a browser":           "POST /kyc HTTP/1.1\r\nHost: staging\r\nOrigin: https://example.com\r\n",
		"not open":            "POST /v1/login HTTP/1.1\r\nHost: kyc-agent\r\nContent-Type: application/json\r\n",
		"no such path":        "POST /v1/nothing HTTP/1.1\r\nHost: kyc-agent\r\n",
		"another method":      "PUT /v1/token HTTP/1.1\r\nHost: kyc-agent\r\n",
		"a body of a GET":     "GET /v1/status HTTP/1.1\r\nHost: kyc-agent\r\n",
	} {
		for _, framing := range []string{"Content-Length: 204800\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n32000\r\n"} {
			c := fixture.DialUnix(t, path)
			if err := c.SetWriteBuffer(4 << 10); err != nil { // so the kernel does not keep it for a server that does not read
				t.Fatal(err)
			}
			if _, err := io.WriteString(c, head+"Connection: close\r\n"+framing+strings.Repeat("x", 200<<10)); err != nil {
				t.Errorf("%s: the body: %v", name, err)
			}
			if strings.HasPrefix(framing, "Transfer") {
				if _, err := io.WriteString(c, "\r\n0\r\n\r\n"); err != nil {
					t.Errorf("%s: the end of the body: %v", name, err)
				}
			}
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if res.StatusCode < 400 || res.Header.Get("Kyc-Error") == "" || !res.Close {
				t.Errorf("%s: %s %v", name, res.Status, res.Header)
			}
			_ = res.Body.Close()
		}
	}
}
