package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// The daemon itself, asked as Prometheus asks.
func TestMetricsOfADaemon(t *testing.T) {
	h := newFixture(t)
	h.daemon("--store", "memory")
	h.login()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", h.socket())
	}}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://kyc-agent/v1/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v %s %s", err, resp.Status, body)
	}
	for _, want := range []string{
		`kyc_agent_environment_state{env="staging",state="fresh"} 1`,
		`kyc_agent_store_info{kind="memory",lasting="false"} 1`,
		`kyc_agent_request_duration_seconds_count{code="ok",op="login"} 1`,
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("%s is missing in\n%s", want, body)
		}
	}
	if strings.Contains(string(body), "eyJ") || strings.Contains(string(body), `"ana`) {
		t.Errorf("it is not for everybody:\n%s", body)
	}
}
