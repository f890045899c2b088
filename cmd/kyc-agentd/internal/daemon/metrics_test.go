package daemon

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/audit"
	"github.com/legaltalent/kyc-agent/ipc"
	"github.com/legaltalent/kyc-agent/store"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// someMetrics are those of an agent with a sign-in of ana's and one that is refused.
func someMetrics() *metrics {
	m := newMetrics(func(context.Context) (agent.Status, error) {
		return agent.Status{
			Version: "v1.2.3", StartedAt: noon, Store: store.Info{Kind: "file", Detail: "/home/ana", Lasting: true},
			APIBudgets: []agent.APIBudget{{
				API: "https://kyc.example", Environments: []string{"prod", "staging"}, Limit: 1000, Remaining: 153, ResetsAt: noon.Add(time.Minute),
				Waiting: 4, RefusedHere: 3, RefusedByAPI: 2,
			}},
			Sockets: []agent.SocketStatus{{Name: "ai", Rate: "60/1m", RateRemaining: new(int), RateRefused: 5}, {Name: "free"}},
			Environments: []agent.EnvironmentStatus{
				{
					Name: "prod", State: agent.StateFresh, User: "ana@example.com", APIURL: "https://kyc.example", ExpiresAt: noon.Add(time.Hour),
					SignInEndsAt: noon.Add(24 * time.Hour), AWSExpiresAt: noon.Add(30 * time.Minute), Refreshes: 7, RefreshFailures: 2, SkewSeconds: -1.5,
				},
				{Name: "staging", State: agent.StateRejected, Degraded: true, LastError: "staging: refused for bob@example.com"},
			},
		}, nil
	}, func() audit.Status { return audit.Status{Lines: 11, Dropped: 2} })
	m.observe(ipc.RequestInfo{Op: "token", Duration: 200 * time.Microsecond})
	m.observe(ipc.RequestInfo{Op: "token", Code: agent.CodeLoginRequired, Duration: 3 * time.Second})
	m.observer("ai")(ipc.RequestInfo{Op: "proxy"})
	m.observer("ai")(ipc.RequestInfo{Op: "token", Code: agent.CodeDenied})
	m.observer("gone")(ipc.RequestInfo{Op: "proxy"})
	m.forget("gone")
	return m
}

// Names, units and helps are as Prometheus' own linter wants them.
func TestMetricsAreWellNamed(t *testing.T) {
	_, body := scrape("")
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %+v", err, problems)
	}
}

// TestMetricsAsPrometheusWritesThem compares both formats, byte for byte, with what Prometheus' own
// encoder makes of the same metrics.
func TestMetricsAsPrometheusWritesThem(t *testing.T) {
	_, text := scrape("")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []expfmt.Format{expfmt.FmtText, expfmt.FmtOpenMetrics_1_0_0} {
		var want strings.Builder
		encoder := expfmt.NewEncoder(&want, f)
		for _, name := range slices.Sorted(maps.Keys(families)) {
			if err := encoder.Encode(families[name]); err != nil {
				t.Fatal(err)
			}
		}
		if err := encoder.(expfmt.Closer).Close(); err != nil {
			t.Fatal(err)
		}
		if _, got := scrape(string(f)); got != want.String() {
			t.Errorf("%s: got\n%swant\n%s", f, got, &want)
		}
	}
}

// scrape asks someMetrics for the media type.
func scrape(accept string) (media, body string) {
	r := httptest.NewRequest(http.MethodGet, "/v1/metrics", nil)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	w := httptest.NewRecorder()
	someMetrics().handler().ServeHTTP(w, r)
	return w.Header().Get("Content-Type"), w.Body.String()
}

func TestMetricsInTheTextFormat(t *testing.T) {
	media, body := scrape("")
	if !strings.HasPrefix(media, "text/plain; version=0.0.4") {
		t.Fatalf("%q", media)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	if _, err := parser.TextToMetricFamilies(strings.NewReader(body)); err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		`kyc_agent_build_info{goversion="go`, `version="v1.2.3"} 1`,
		`kyc_agent_store_info{kind="file",lasting="true"} 1`,
		`kyc_agent_environment_state{env="prod",state="fresh"} 1`, `kyc_agent_environment_state{env="staging",state="fresh"} 0`,
		`kyc_agent_environment_state{env="staging",state="rejected"} 1`, `kyc_agent_environment_degraded{env="staging"} 1`,
		`kyc_agent_refreshes_total{env="prod",outcome="success"} 7`, `kyc_agent_refreshes_total{env="prod",outcome="failure"} 2`,
		`kyc_agent_clock_skew_seconds{env="prod"} -1.5`,
		`kyc_agent_api_limit_requests{env="prod"} 1000`, `kyc_agent_api_remaining_requests{env="staging"} 153`,
		`kyc_agent_api_reset_timestamp_seconds{env="prod"} `, `kyc_agent_api_waiting_requests{env="prod"} 4`,
		`kyc_agent_api_refused_requests_total{by="agent",env="prod"} 3`, `kyc_agent_api_refused_requests_total{by="api",env="prod"} 2`,
		`kyc_agent_token_expiry_timestamp_seconds{env="prod"} `, `kyc_agent_sign_in_end_timestamp_seconds{env="prod"} `,
		`kyc_agent_aws_credentials_expiry_timestamp_seconds{env="prod"} `,
		`kyc_agent_request_duration_seconds_bucket{code="ok",op="token",le="0.0005"} 1`,
		`kyc_agent_request_duration_seconds_count{code="login_required",op="token"} 1`,
		`kyc_agent_socket_requests_total{code="ok",op="proxy",socket="ai"} 1`, `kyc_agent_socket_requests_total{code="denied",op="token",socket="ai"} 1`,
		`kyc_agent_socket_rate_remaining_requests{socket="ai"} 0`, `kyc_agent_socket_rate_refused_requests_total{socket="ai"} 5`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is missing in\n%s", want, body)
		}
	}
	for _, not := range []string{"example", "/home", `expiry_timestamp_seconds{env="staging"}`, `socket="gone"`, `socket="free"`} {
		if strings.Contains(body, not) {
			t.Errorf("%q is in\n%s", not, body)
		}
	}
}

func TestMetricsInOpenMetrics(t *testing.T) {
	media, body := scrape("application/openmetrics-text; version=1.0.0")
	if !strings.HasPrefix(media, "application/openmetrics-text; version=1.0.0; charset=utf-8") {
		t.Fatalf("%q", media)
	}
	for _, want := range []string{"# TYPE kyc_agent_refreshes counter\n", "kyc_agent_refreshes_total{", "# TYPE kyc_agent_request_duration_seconds histogram\n"} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is missing in\n%s", want, body)
		}
	}
	if !strings.HasSuffix(body, "\n# EOF\n") {
		t.Errorf("no end in\n%s", body)
	}
}
