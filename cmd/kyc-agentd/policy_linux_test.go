package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// writeConfig writes config.toml.
func (h *fixture) writeConfig(text string) {
	h.t.Helper()
	config := filepath.Join(h.dir, ".config", "kyc-agent")
	if err := os.MkdirAll(config, 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(config, "config.toml"), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// sendOpen writes raw, which ends its connection, to the socket at path and returns all that comes
// back. Unlike sendRaw it keeps its sending half open: the proxy takes a client that closes it for
// one that is gone, and gives up the request.
func sendOpen(t *testing.T, path, raw string) string {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(c, raw)
	all, _ := io.ReadAll(c)
	return string(all)
}

// TestAPISocketYieldsNoToken checks that no bytes on a socket with allow = ["api"] get a token
// out of a daemon, also while its API refuses every token.
func TestAPISocketYieldsNoToken(t *testing.T) {
	h := newFixture(t)
	asked := make(chan string, 1000)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.URL.EscapedPath()
		http.Error(w, "no", http.StatusUnauthorized)
	}))
	defer api.Close()
	h.env = append(h.env, "KYC_STAGING_API_URL="+api.URL)
	h.writeConfig("store = 'memory'\n[[sockets]]\nname = 'ai'\nenvironments = ['staging']\nallow = ['api']\npaths = ['/kyc']\n")
	h.daemon()
	if got := h.run("correct horse\n", kycAgentd("login", "-u", "ana", "--password-stdin", "staging")); got.exit != 0 {
		t.Fatalf("%+v", got)
	}
	ai := socket.NamedPath(h.socket(), "ai")
	attackSocket(t, ai)
	for _, target := range []string{"/v1/token?env=staging", "/v1/token", "/v1/token?env=staging&format=curl", "/v1/token?env=staging&format=env", "/v1/token?env=staging&format=k8s", "/v1/token?env=staging&format=google"} {
		if got := sendOpen(t, ai, rawCall("GET", target, "")); !strings.HasPrefix(got, "HTTP/1.1 403 ") || strings.Contains(got, "eyJ") {
			t.Errorf("%s: %s", target, got)
		}
	}
	for _, host := range []string{"staging", "STAGING", "prod", "staging:80", "staging.", "kyc-agent", "KYC-AGENT", "kyc-agent:80", "127.0.0.1", "", "staging,kyc-agent", "staging@kyc-agent", "[::1]", "staging\tkyc-agent", "xn--staging"} {
		for _, target := range []string{"/kyc", "/v1/token?env=staging", "/v1/token", "http://kyc-agent/v1/token?env=staging", "http://staging/v1/token"} {
			got := sendOpen(t, ai, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", target, host))
			if strings.Contains(got, "eyJ") {
				t.Errorf("%s of %q: %s", target, host, got)
			}
		}
	}
	for _, id := range []string{"kyc-token", "kyc-token.staging"} {
		if got := sendRaw(t, ai, "@1a/unit/x.service/"+id, ""); got != "" {
			t.Errorf("%s: %q", id, got)
		}
	}
	close(asked)
	n := 0
	for request := range asked {
		if n++; request != "GET /kyc" {
			t.Errorf("the API was asked for %s", request)
		}
	}
	if n == 0 {
		t.Error("the API was never asked: the test cannot fail")
	}
}

// A reload that removes a socket, or gives it another policy, closes its connections: those
// that are kept, and one with an answer that does not end.
func TestReloadClosesConnections(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer api.Close()
	h.env = append(h.env, "KYC_STAGING_API_URL="+api.URL)
	const ai = "store = 'memory'\n[[sockets]]\nname = 'ai'\nenvironments = ['staging']\nallow = ['api']\n"
	for name, after := range map[string]string{"removed": "store = 'memory'\n", "changed": ai + "paths = ['/kyc']\n"} {
		t.Run(name, func(t *testing.T) {
			h := *h
			h.t = t
			h.writeConfig(ai)
			d := h.daemon()
			defer h.stop(d)
			if got := h.run("correct horse\n", kycAgentd("login", "-u", "ana", "--password-stdin", "staging")); got.exit != 0 {
				t.Fatalf("%+v", got)
			}
			path := socket.NamedPath(h.socket(), "ai")
			dial := func(raw, wait string) *bufio.Reader {
				c, err := net.Dial("unix", path)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = c.Close() })
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				_, _ = io.WriteString(c, raw)
				r := bufio.NewReader(c)
				for {
					line, err := r.ReadString('\n')
					if err != nil {
						t.Fatal(err)
					}
					if strings.HasPrefix(line, wait) {
						return r
					}
				}
			}
			kept := dial("GET /v1/status HTTP/1.1\r\nHost: kyc-agent\r\n\r\n", `{"version"`)
			stream := dial("GET /kyc/stream HTTP/1.1\r\nHost: staging\r\n\r\n", "data: 1")
			h.writeConfig(after)
			if got := h.run("", kycAgentd("reload")); got.exit != 0 {
				t.Fatalf("%+v", got)
			}
			for what, r := range map[string]io.Reader{"kept": kept, "stream": stream} {
				if _, err := io.ReadAll(r); err != nil && os.IsTimeout(err) {
					t.Errorf("%s is still open: %v", what, err)
				}
			}
			if _, err := os.Stat(path); (err == nil) != (name == "changed") {
				t.Errorf("the socket: %v", err)
			}
		})
	}
}
