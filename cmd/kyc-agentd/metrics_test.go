package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc"
)

// The daemon itself, asked as Prometheus asks.
func TestMetricsOfADaemon(t *testing.T) {
	h := newFixture(t)
	h.daemon("--store", "memory")
	h.login()
	body := h.metricsWith(
		`kyc_agent_environment_state{env="staging",state="fresh"} 1`,
		`kyc_agent_store_info{kind="memory",lasting="false"} 1`,
		`kyc_agent_request_duration_seconds_count{code="ok",op="login"} 1`,
	)
	if strings.Contains(body, "eyJ") || strings.Contains(body, `"ana`) {
		t.Errorf("it is not for everybody:\n%s", body)
	}
}

// metricsWith returns the metrics when they have all of these lines. A request is counted when its
// client has its answer.
func (h *fixture) metricsWith(lines ...string) (body string) {
	h.t.Helper()
	missing := lines
	for deadline := time.Now().Add(time.Minute); len(missing) > 0 && time.Now().Before(deadline); {
		body = h.metrics()
		missing = slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return strings.Contains(body, line+"\n") })
	}
	if len(missing) > 0 {
		h.t.Errorf("these are missing:\n%s\nin\n%s", strings.Join(missing, "\n"), body)
	}
	return body
}

// metrics returns the metrics of the daemon, as Prometheus asks for them.
func (h *fixture) metrics() string {
	h.t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", h.socket())
	}}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://kyc-agent/v1/metrics")
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		h.t.Fatalf("%v %s %s", err, resp.Status, body)
	}
	return string(body)
}

// The requests on a socket with a policy are counted by what became of them.
func TestMetricsOfASocket(t *testing.T) {
	h := newFixture(t)
	h.configure(ci(map[string]string{"username": "", "password_file": ""}))
	path := filepath.Join(h.dir, ".config", "kyc-agent", "config.toml")
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, append(text, "[[sockets]]\nname = 'ci'\nenvironments = ['ci']\nallow = ['token']\nrate = '2/1h'\n"...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.daemon("--store", "memory")
	if got := h.run("correct horse\n", kycAgentd("login", "-u", "ana", "--password-stdin", "ci")); got.exit != 0 {
		t.Fatalf("%+v", got)
	}
	client := &ipc.Client{Socket: filepath.Join(filepath.Dir(h.socket()), "sockets", "ci", "agent.sock")}
	for range 3 {
		_, _ = client.Token(t.Context(), agent.TokenRequest{Environment: "ci"})
		_, _ = client.Status(t.Context())
	}
	_ = client.Logout(t.Context(), agent.LogoutRequest{Environment: "ci"})
	h.metricsWith(
		`kyc_agent_socket_requests_total{code="ok",op="token",socket="ci"} 2`, `kyc_agent_socket_requests_total{code="throttled",op="token",socket="ci"} 1`,
		`kyc_agent_socket_requests_total{code="ok",op="status",socket="ci"} 3`, `kyc_agent_socket_requests_total{code="denied",op="logout",socket="ci"} 1`,
		`kyc_agent_socket_rate_remaining_requests{socket="ci"} 0`, `kyc_agent_socket_rate_refused_requests_total{socket="ci"} 1`,
	)
}
