package daemon

import (
	"cmp"
	"context"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/audit"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/exposition"
	"github.com/legaltalent/kyc-agent/ipc"
)

// The metrics of GET /v1/metrics. Names and units follow Prometheus' conventions. A label is
// an environment, an operation, a code, a state or a kind, and never a user, a token or an
// address. An expiry is a time: `kyc_agent_token_expiry_timestamp_seconds - time()` is the
// time that is left.
var (
	buildInfo        = gauge("build_info", "The version of the agent; always 1.", "goversion", "version")
	startTime        = gauge("start_time_seconds", "When the agent was started, in seconds since 1970.")
	storeInfo        = gauge("store_info", "Where sign-ins are kept; always 1.", "kind", "lasting")
	environmentState = gauge("environment_state", "1 for the state the environment is in, 0 for the others.", "env", "state")
	degraded         = gauge("environment_degraded", "1 when the last refresh failed for a reason that may pass.", "env")
	tokenExpiry      = gauge("token_expiry_timestamp_seconds", "When the ID token in memory ends, in seconds since 1970.", "env")
	awsExpiry        = gauge("aws_credentials_expiry_timestamp_seconds", "When the AWS credentials in memory end, in seconds since 1970.", "env")
	signInEnd        = gauge("sign_in_end_timestamp_seconds", "When the sign-in ends, in seconds since 1970.", "env")
	refreshTotal     = counter("refreshes_total", "Refreshes since the sign-in or the start.", "env", "outcome")
	clockSkew        = gauge("clock_skew_seconds", "How far Cognito's clock is ahead of this machine's.", "env")

	apiLimit     = gauge("api_limit_requests", "How many requests the API, or api_rate, allows in a window.", "env")
	apiRemaining = gauge("api_remaining_requests", "How many of them are left. Environments with one API share them.", "env")
	apiReset     = gauge("api_reset_timestamp_seconds", "When there will be more, in seconds since 1970.", "env")
	apiWaiting   = gauge("api_waiting_requests", "Requests that wait for their turn at the API.", "env")
	apiRefused   = counter("api_refused_requests_total", "Answers of 429 since the start, by who gave them.", "by", "env")

	socketRemaining = gauge("socket_rate_remaining_requests", "How many requests the rate of a socket with a policy leaves now.", "socket")
	socketRefused   = counter("socket_rate_refused_requests_total", "Requests refused because that rate was used up.", "socket")

	auditLines   = counter("audit_lines_total", "Lines that the agent has written to the audit log since the start.")
	auditDropped = counter("audit_dropped_events_total", "Events without a line since the start.")
	auditBroken  = gauge("audit_log_broken", "1 while the audit log cannot be written.")

	requestDurations = &exposition.Family{
		Name: "kyc_agent_request_duration_seconds", Kind: exposition.Histogram, Labels: []string{"code", "op"},
		Help: "Requests on the socket, by operation and code; \"ok\" is a success.",
	}
	socketRequests = counter("socket_requests_total",
		"Requests on the sockets with a policy, by operation and code; \"ok\" is a success, \"denied\" is what the policy refuses.", "code", "op", "socket")
)

// durationBounds go from a token in memory, over a refresh, to a person who signs in.
var durationBounds = []float64{.0005, .001, .0025, .01, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 300}

// gauge describes a metric; its labels are in alphabetical order.
func gauge(name, help string, labels ...string) *exposition.Family {
	return &exposition.Family{Name: "kyc_agent_" + name, Help: help, Kind: exposition.Gauge, Labels: labels}
}

func counter(name, help string, labels ...string) *exposition.Family {
	return &exposition.Family{Name: "kyc_agent_" + name, Help: help, Kind: exposition.Counter, Labels: labels}
}

var states = []agent.State{
	agent.StateUnknown, agent.StateAbsent, agent.StateIdle, agent.StateFresh, agent.StateRefreshing, agent.StateUnsaved, agent.StateRejected, agent.StateLocked,
}

// metrics has the durations of a daemon's requests and, at each scrape, its status.
type metrics struct {
	status   func(context.Context) (agent.Status, error)
	audit    func() audit.Status
	requests *exposition.Histograms // on the agent's own socket
	sockets  *exposition.Counters   // of requests on the sockets with a policy
}

// newMetrics returns metrics of the agent whose status is status.
func newMetrics(status func(context.Context) (agent.Status, error), auditStatus func() audit.Status) *metrics {
	return &metrics{status, auditStatus, exposition.NewHistograms(requestDurations, durationBounds), exposition.NewCounters(socketRequests)}
}

// observe counts a request. It is OnRequest of [ipc.Server].
func (m *metrics) observe(c ipc.RequestInfo) {
	m.requests.Observe(c.Duration.Seconds(), cmp.Or(string(c.Code), "ok"), c.Op)
}

// observer returns what counts a request on the socket with a policy that has this name.
func (m *metrics) observer(socket string) func(ipc.RequestInfo) {
	return func(c ipc.RequestInfo) { m.sockets.Inc(cmp.Or(string(c.Code), "ok"), c.Op, socket) }
}

// forget removes the metrics of a socket that is closed.
func (m *metrics) forget(socket string) { m.sockets.Forget("socket", socket) }

// handler answers with all metrics, in the format that the request asks for. Nothing is
// compressed: the socket is on this machine.
func (m *metrics) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var s exposition.Scrape
		if err := m.collect(r.Context(), &s); err != nil {
			http.Error(w, "no metrics: "+err.Error(), http.StatusInternalServerError)
			return
		}
		format := exposition.Negotiate(strings.Join(r.Header.Values("Accept"), ","))
		w.Header().Set("Content-Type", string(format))
		_, _ = w.Write(s.Text(format))
	})
}

// collect adds all metrics to a scrape. Those of the status are made of what the agent has in memory.
func (m *metrics) collect(ctx context.Context, to *exposition.Scrape) error {
	st, err := m.status(ctx)
	if err != nil {
		return err
	}
	m.requests.Collect(to)
	m.sockets.Collect(to)
	to.Add(buildInfo, 1, runtime.Version(), st.Version)
	to.Add(startTime, float64(st.StartedAt.Unix()))
	to.Add(storeInfo, 1, st.Store.Kind, strconv.FormatBool(st.Store.Lasting))
	log := m.audit()
	to.Add(auditLines, float64(log.Lines))
	to.Add(auditDropped, float64(log.Dropped))
	to.Add(auditBroken, oneIf(log.Error != ""))
	for _, b := range st.APIBudgets {
		collectBudget(b, to)
	}
	for _, s := range st.Sockets {
		if s.RateRemaining != nil {
			to.Add(socketRemaining, float64(*s.RateRemaining), s.Name)
			to.Add(socketRefused, float64(s.RateRefused), s.Name)
		}
	}
	for _, e := range st.Environments {
		collectEnvironment(e, to)
	}
	return nil
}

func collectEnvironment(e agent.EnvironmentStatus, to *exposition.Scrape) {
	for _, s := range states {
		to.Add(environmentState, oneIf(e.State == s), e.Name, string(s))
	}
	to.Add(degraded, oneIf(e.Degraded), e.Name)
	to.Add(clockSkew, e.SkewSeconds, e.Name)
	addTime(to, tokenExpiry, e.ExpiresAt, e.Name)
	addTime(to, awsExpiry, e.AWSExpiresAt, e.Name)
	addTime(to, signInEnd, e.SignInEndsAt, e.Name)
	to.Add(refreshTotal, float64(e.Refreshes), e.Name, "success")
	to.Add(refreshTotal, float64(e.RefreshFailures), e.Name, "failure")
}

// addTime adds a time, unless there is none.
func addTime(to *exposition.Scrape, f *exposition.Family, t time.Time, env string) {
	if !t.IsZero() {
		to.Add(f, float64(t.UnixMilli())/1000, env)
	}
}

// collectBudget repeats the numbers of an API for each of its environments, because no label
// is an address.
func collectBudget(b agent.APIBudget, to *exposition.Scrape) {
	for _, env := range b.Environments {
		if b.Limit > 0 {
			to.Add(apiLimit, float64(b.Limit), env)
			to.Add(apiRemaining, float64(b.Remaining), env)
		}
		addTime(to, apiReset, b.ResetsAt, env)
		to.Add(apiWaiting, float64(b.Waiting), env)
		to.Add(apiRefused, float64(b.RefusedHere), "agent", env)
		to.Add(apiRefused, float64(b.RefusedByAPI), "api", env)
	}
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
