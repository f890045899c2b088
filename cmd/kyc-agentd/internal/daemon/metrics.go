package daemon

import (
	"cmp"
	"context"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/audit"
	"github.com/legaltalent/kyc-agent/ipc"
)

// The metrics of GET /v1/metrics. Names and units follow Prometheus' conventions. A label is
// an environment, an operation, a code, a state or a kind, and never a user, a token or an
// address. An expiry is a time: `kyc_agent_token_expiry_timestamp_seconds - time()` is the
// time that is left.
var (
	buildInfo        = desc("build_info", "The version of the agent; always 1.", "version", "goversion")
	startTime        = desc("start_time_seconds", "When the agent was started, in seconds since 1970.")
	storeInfo        = desc("store_info", "Where sign-ins are kept; always 1.", "kind", "lasting")
	environmentState = desc("environment_state", "1 for the state the environment is in, 0 for the others.", "env", "state")
	degraded         = desc("environment_degraded", "1 when the last refresh failed for a reason that may pass.", "env")
	tokenExpiry      = desc("token_expiry_timestamp_seconds", "When the ID token in memory ends, in seconds since 1970.", "env")
	awsExpiry        = desc("aws_credentials_expiry_timestamp_seconds", "When the AWS credentials in memory end, in seconds since 1970.", "env")
	signInEnd        = desc("sign_in_end_timestamp_seconds", "When the sign-in ends, in seconds since 1970.", "env")
	refreshTotal     = desc("refreshes_total", "Refreshes since the sign-in or the start.", "env", "outcome")
	clockSkew        = desc("clock_skew_seconds", "How far Cognito's clock is ahead of this machine's.", "env")

	apiLimit     = desc("api_limit_requests", "How many requests the API, or api_rate, allows in a window.", "env")
	apiRemaining = desc("api_remaining_requests", "How many of them are left. Environments with one API share them.", "env")
	apiReset     = desc("api_reset_timestamp_seconds", "When there will be more, in seconds since 1970.", "env")
	apiWaiting   = desc("api_waiting_requests", "Requests that wait for their turn at the API.", "env")
	apiRefused   = desc("api_refused_requests_total", "Answers of 429 since the start, by who gave them.", "env", "by")

	socketRemaining = desc("socket_rate_remaining_requests", "How many requests the rate of a socket with a policy leaves now.", "socket")
	socketRefused   = desc("socket_rate_refused_requests_total", "Requests refused because that rate was used up.", "socket")

	auditLines   = desc("audit_lines_total", "Lines that the agent has written to the audit log since the start.")
	auditDropped = desc("audit_dropped_events_total", "Events without a line since the start.")
	auditBroken  = desc("audit_log_broken", "1 while the audit log cannot be written.")

	allDescs = []*prometheus.Desc{
		buildInfo, startTime, storeInfo, environmentState, degraded, tokenExpiry, awsExpiry, signInEnd, refreshTotal, clockSkew,
		apiLimit, apiRemaining, apiReset, apiWaiting, apiRefused, socketRemaining, socketRefused, auditLines, auditDropped, auditBroken,
	}
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("kyc_agent_"+name, help, labels, nil)
}

var states = []agent.State{
	agent.StateUnknown, agent.StateAbsent, agent.StateIdle, agent.StateFresh, agent.StateRefreshing, agent.StateUnsaved, agent.StateRejected, agent.StateLocked,
}

// metrics has the durations of a daemon's requests and, at each scrape, its status.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec // on the agent's own socket
	sockets  *prometheus.CounterVec   // of requests on the sockets with a policy
}

// newMetrics returns metrics of the agent whose status is status.
func newMetrics(status func(context.Context) (agent.Status, error), auditStatus func() audit.Status) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kyc_agent_request_duration_seconds",
			Help: "Requests on the socket, by operation and code; \"ok\" is a success.",
			// From a token in memory, over a refresh, to a person who signs in.
			Buckets: []float64{.0005, .001, .0025, .01, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 300},
		}, []string{"op", "code"}),
		sockets: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kyc_agent_socket_requests_total",
			Help: "Requests on the sockets with a policy, by operation and code; \"ok\" is a success, \"denied\" is what the policy refuses.",
		}, []string{"socket", "op", "code"}),
	}
	m.registry.MustRegister(m.requests, m.sockets, statusCollector{status, auditStatus})
	return m
}

// observe counts a request. It is OnRequest of [ipc.Server].
func (m *metrics) observe(c ipc.RequestInfo) {
	m.requests.WithLabelValues(c.Op, cmp.Or(string(c.Code), "ok")).Observe(c.Duration.Seconds())
}

// observer returns what counts a request on the socket with a policy that has this name.
func (m *metrics) observer(socket string) func(ipc.RequestInfo) {
	return func(c ipc.RequestInfo) { m.sockets.WithLabelValues(socket, c.Op, cmp.Or(string(c.Code), "ok")).Inc() }
}

// forget removes the metrics of a socket that is closed.
func (m *metrics) forget(socket string) {
	m.sockets.DeletePartialMatch(prometheus.Labels{"socket": socket})
}

// handler answers with all metrics, in the format that the request asks for. Nothing is
// compressed: the socket is on this machine.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, DisableCompression: true})
}

// statusCollector makes metrics of a status, which the agent has in memory.
type statusCollector struct {
	status func(context.Context) (agent.Status, error)
	audit  func() audit.Status
}

// Describe implements [prometheus.Collector].
func (c statusCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range allDescs {
		to <- d
	}
}

// Collect implements [prometheus.Collector].
func (c statusCollector) Collect(to chan<- prometheus.Metric) {
	st, err := c.status(context.Background())
	if err != nil {
		to <- prometheus.NewInvalidMetric(startTime, err)
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(buildInfo, 1, st.Version, runtime.Version())
	gauge(startTime, float64(st.StartedAt.Unix()))
	gauge(storeInfo, 1, st.Store.Kind, strconv.FormatBool(st.Store.Lasting))
	log := c.audit()
	to <- prometheus.MustNewConstMetric(auditLines, prometheus.CounterValue, float64(log.Lines))
	to <- prometheus.MustNewConstMetric(auditDropped, prometheus.CounterValue, float64(log.Dropped))
	gauge(auditBroken, oneIf(log.Error != ""))
	for _, b := range st.APIBudgets {
		collectBudget(b, to, gauge)
	}
	for _, s := range st.Sockets {
		if s.RateRemaining != nil {
			gauge(socketRemaining, float64(*s.RateRemaining), s.Name)
			to <- prometheus.MustNewConstMetric(socketRefused, prometheus.CounterValue, float64(s.RateRefused), s.Name)
		}
	}
	for _, e := range st.Environments {
		collectEnvironment(e, gauge)
		to <- prometheus.MustNewConstMetric(refreshTotal, prometheus.CounterValue, float64(e.Refreshes), e.Name, "success")
		to <- prometheus.MustNewConstMetric(refreshTotal, prometheus.CounterValue, float64(e.RefreshFailures), e.Name, "failure")
	}
}

func collectEnvironment(e agent.EnvironmentStatus, gauge func(*prometheus.Desc, float64, ...string)) {
	for _, s := range states {
		gauge(environmentState, oneIf(e.State == s), e.Name, string(s))
	}
	gauge(degraded, oneIf(e.Degraded), e.Name)
	gauge(clockSkew, e.SkewSeconds, e.Name)
	for d, t := range map[*prometheus.Desc]time.Time{tokenExpiry: e.ExpiresAt, awsExpiry: e.AWSExpiresAt, signInEnd: e.SignInEndsAt} {
		if !t.IsZero() {
			gauge(d, float64(t.UnixMilli())/1000, e.Name)
		}
	}
}

// collectBudget repeats the numbers of an API for each of its environments, because no label
// is an address.
func collectBudget(b agent.APIBudget, to chan<- prometheus.Metric, gauge func(*prometheus.Desc, float64, ...string)) {
	for _, env := range b.Environments {
		if b.Limit > 0 {
			gauge(apiLimit, float64(b.Limit), env)
			gauge(apiRemaining, float64(b.Remaining), env)
		}
		if !b.ResetsAt.IsZero() {
			gauge(apiReset, float64(b.ResetsAt.UnixMilli())/1000, env)
		}
		gauge(apiWaiting, float64(b.Waiting), env)
		to <- prometheus.MustNewConstMetric(apiRefused, prometheus.CounterValue, float64(b.RefusedHere), env, "agent")
		to <- prometheus.MustNewConstMetric(apiRefused, prometheus.CounterValue, float64(b.RefusedByAPI), env, "api")
	}
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
