package ipc

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/approval"
	"github.com/legaltalent/kyc-agent/agent/audit"
	"github.com/legaltalent/kyc-agent/internal/discard"
	"github.com/legaltalent/kyc-agent/internal/lazycontext"
	"github.com/legaltalent/kyc-agent/ipc/apiproxy"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

const (
	// workTimeout bounds what one request may ask of the service. Its longest work is a
	// sign-out everywhere: a refresh and a call, each of which Cognito may answer after a
	// minute.
	workTimeout = 3 * time.Minute

	// tokenTimeout is the same for a token. It is below the 8 seconds after which kyc-token
	// gives up, so that the client hears the agent's reason instead of a mere timeout. A
	// refresh goes on regardless, for the next request.
	tokenTimeout = 7 * time.Second

	// helperTimeout is the same if another program's tool waits: kyc-token then gives up
	// after 5 seconds, the shortest time that a tool is known to allow.
	helperTimeout = 4500 * time.Millisecond

	// writeTimeout is how long a client may take to read an answer.
	writeTimeout = 10 * time.Second

	// atOnce is how soon an answer goes by the deadline that net/http has set at the head of
	// the request, writeTimeout after it: setting that again is a twentieth of the handler's time.
	atOnce = 100 * time.Millisecond
)

// A handler answers the requests of one [Server.Serve].
type handler struct {
	service        agent.Service
	restricted     *agent.Restricted // nil on the agent's own socket; else it is service, too
	reload         func(ctx context.Context, p Passphrase, shown string) error
	daemon         Daemon
	metrics        http.Handler
	version        []string // the value of its header; nil omits that
	binaryReplaced func() bool
	onRequest      func(RequestInfo)
	audit          auditor
	approvals      *approval.Approvals // nil asks nobody
	prover         Prover              // nil if there is no passphrase
	socket         string              // its name, "" for the agent's own
	log            *slog.Logger

	// serving ends when requests that are still being answered have had their time.
	serving       context.Context
	conversations *conversations
	proxy         *apiproxy.Proxy // nil forwards nothing
	limit         *logLimit
}

// A route is one method on one path.
type route struct {
	method, path string
	query        []string   // the parameters that it has
	media        string     // of the body of a POST
	op           string     // its name in the log
	line         audit.Kind // in the audit log, of one that succeeded; "" has none
	open         bool       // on sockets with a policy, too, where what is behind it decides
	serve        func(h *handler, r *request) (response, error)
}

// The paths with a parameter: a sign-in or recovery that waits for an answer, a credential
// helper's protocol, and a request for an approval or a grant.
const (
	loginPath  = "/v1/login/{id}"
	helperPath = "/v1/helper/{protocol}"
	grantPath  = "/v1/approvals/{id}"
)

var routes = []route{
	{http.MethodGet, "/v1/token", []string{"env", "format", "min_valid", "type", "user"}, "", "token", audit.Token, true, (*handler).serveToken},
	{http.MethodPost, helperPath, []string{"env", "min_valid", "operation", "user"}, wire.MediaBytes, "helper", audit.Helper, true, (*handler).serveHelper},
	{http.MethodGet, "/v1/status", nil, "", "status", "", true, (*handler).serveStatus},
	{http.MethodPost, "/v1/login", nil, wire.MediaJSON, "login", "", false, (*handler).serveLogin},
	{http.MethodGet, loginPath, nil, "", "login-wait", "", false, (*handler).serveLoginWait},
	{http.MethodPost, loginPath, nil, wire.MediaJSON, "login-answer", "", false, (*handler).serveLoginAnswer},
	{http.MethodDelete, loginPath, nil, "", "login-cancel", "", false, (*handler).serveLoginCancel},
	{http.MethodPost, "/v1/account", nil, wire.MediaJSON, "account", "", false, (*handler).serveAccount},
	{http.MethodPost, "/v1/logout", nil, wire.MediaJSON, "logout", audit.Logout, false, (*handler).serveLogout},
	{http.MethodPost, "/v1/reload", nil, wire.MediaJSON, "reload", audit.Reload, true, (*handler).serveReload},
	{http.MethodGet, "/v1/approvals", nil, "", "approvals", "", false, (*handler).serveApprovals},
	{http.MethodPost, "/v1/approvals", nil, wire.MediaJSON, "approve", "", false, (*handler).serveApproveUnit},
	{http.MethodDelete, "/v1/approvals", nil, "", "revoke", "", false, (*handler).serveRevokeAll},
	{http.MethodPost, grantPath, nil, wire.MediaJSON, "approve", "", false, (*handler).serveApprove},
	{http.MethodDelete, grantPath, nil, "", "revoke", "", false, (*handler).serveRevoke},
	{http.MethodPost, "/v1/restart", nil, wire.MediaJSON, "restart", "", false, (*handler).serveRestart},
	{http.MethodPost, "/v1/lock", nil, wire.MediaJSON, "lock", "", false, (*handler).serveLock},
	{http.MethodPost, "/v1/unlock", nil, wire.MediaJSON, "unlock", "", false, (*handler).serveUnlock},
	{http.MethodPost, "/v1/passphrase", nil, wire.MediaJSON, "passphrase", "", false, (*handler).servePassphrase},
	{http.MethodGet, "/v1/metrics", nil, "", "metrics", "", true, (*handler).serveMetrics},
}

// noRoute is the route of a request that matches none.
var noRoute = &route{}

// patterns are the paths with a parameter, and what comes before it.
var patterns = []struct{ prefix, path string }{{"/v1/login/", loginPath}, {"/v1/helper/", helperPath}, {"/v1/approvals/", grantPath}}

// A request is a parsed request, until its route has returned.
type request struct {
	http  *http.Request
	query query
	body  []byte
	param string // the {…} of the path

	conn    *connection // nil in some tests
	started time.Time
}

// ServeHTTP answers a request to the agent, or forwards one whose host is an environment.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Host = lowerASCII(r.Host)
	if h.proxy != nil && r.Host != "" && r.Host != wire.Host {
		h.serveProxy(w, r)
		return
	}
	started := time.Now()
	h.setVersion(w.Header())
	c, _ := connectionOf(r)
	res, rt, env, err := h.serve(w, r, c, started)
	ended := time.Now()
	if err == nil {
		err = h.audit.issued(c, started, ended, rt.line, &res)
		if h.audit.waits() {
			ended = time.Now()
		}
	}
	if err != nil {
		discard.Request(w, r)
		h.audit.refused(r, rt.op, rt.line, h.configured, err)
		res = renderError(r, h.withVersion(err))
		ended = time.Now()
	}
	took := ended.Sub(started)
	if r.Close && err == nil {
		// A client that asks once does not wait until it is counted. One that stays would, with its
		// next request.
		res.answer(w, took)
		_ = http.NewResponseController(w).Flush()
		h.logRequest(r, rt.op, env, res.user, took, nil)
		return
	}
	h.logRequest(r, rt.op, env, res.user, took, err)
	res.answer(w, took)
}

// lowerASCII returns a host name without capitals: host names have no case (RFC 3986, 3.2.2).
// [strings.ToLower] would take the Kelvin sign for a k.
func lowerASCII(host string) string {
	if !strings.ContainsFunc(host, func(r rune) bool { return 'A' <= r && r <= 'Z' }) {
		return host
	}
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, host)
}

// serve returns the answer to r. rt and env are for the log, which must not have the path:
// it may hold the id of a sign-in. rt is noRoute of a request that matches none.
func (h *handler) serve(w http.ResponseWriter, r *http.Request, c *connection, started time.Time) (res response, rt *route, env string, err error) {
	rt = noRoute
	req := c.newRequest(r, started)
	defer func() {
		if v := recover(); v != nil {
			err = h.logPanic(v)
		}
		*req = request{}
	}()
	if err := checkHost(r); err != nil {
		return response{}, noRoute, "", err
	}
	if err := checkNotForwarded(w, c); err != nil {
		return response{}, noRoute, "", err
	}
	found, param, err := routeOf(r)
	if err != nil {
		return response{}, noRoute, "", err
	}
	rt, req.param = found, param
	if err := h.checkOpen(rt); err != nil {
		return response{}, rt, "", err
	}
	if err := rt.parse(w, req); err != nil {
		return response{}, rt, "", err
	}
	res, err = rt.serve(h, req)
	return res, rt, req.query.Get("env"), err
}

// logPanic keeps a bug in one request from ending the others, and returns the error for
// its client. It logs the value of the panic only if that cannot quote a secret.
func (h *handler) logPanic(v any) error {
	what := fmt.Sprintf("%T", v)
	if e, ok := v.(runtime.Error); ok {
		what = e.Error()
	}
	level := h.limit.level(slog.LevelError, logKey{op: "panic", cause: what})
	h.log.Log(h.serving, level, "a request panicked", "panic", what, "stack", string(debug.Stack()))
	return &agent.Error{Code: agent.CodeInternal}
}

// routeOf returns the route of r and the parameter in its path.
func routeOf(r *http.Request) (rt *route, param string, err error) {
	path := r.URL.Path
	for _, p := range patterns {
		if rest, ok := strings.CutPrefix(path, p.prefix); ok && rest != "" && !strings.Contains(rest, "/") {
			path, param = p.path, rest
		}
	}
	var allow []string
	for i := range routes {
		rt := &routes[i]
		if rt.path != path {
			continue
		}
		if rt.method == r.Method {
			return rt, param, nil
		}
		allow = append(allow, rt.method)
	}
	if allow == nil {
		return nil, "", unknownPath(r.URL.Path)
	}
	return nil, "", unknownMethod(r.Method, path, allow)
}

// parse reads the request to its end. Until then the server's deadlines apply. Then
// net/http lifts the one for reading, and response.write sets a new one for writing, so
// that the answer may take as long as a sign-in does.
func (rt *route) parse(w http.ResponseWriter, req *request) (err error) {
	if err := req.query.read(req.http.URL.RawQuery, rt.query); err != nil {
		return err
	}
	if rt.method == http.MethodPost {
		req.body, err = readBody(w, req.http, rt.media)
		return err
	}
	if req.http.ContentLength != 0 {
		return wire.UsageError("a %s request has no body", rt.method)
	}
	return nil
}

// withTimeout returns a context for a request's work. It is the server's, not the
// connection's: net/http takes a client that closed its sending half (`nc -N`, socat) for
// one that is gone, and such a client still wants its token.
func (h *handler) withTimeout(limit time.Duration) (context.Context, context.CancelFunc) {
	return lazycontext.WithTimeout(h.serving, limit)
}

func (h *handler) serveStatus(*request) (response, error) {
	ctx, cancel := h.withTimeout(workTimeout)
	defer cancel()
	st, err := h.service.Status(ctx)
	if err != nil {
		return response{}, err
	}
	if st.Environments == nil {
		st.Environments = []agent.EnvironmentStatus{}
	}
	return jsonResponse(st), nil
}

func (h *handler) serveLogout(r *request) (response, error) {
	var environment, scope string
	if err := (fields{"environment": &environment, "scope": &scope}).decode(r.body); err != nil {
		return response{}, err
	}
	ctx, cancel := h.withTimeout(workTimeout)
	defer cancel()
	if err := h.service.Logout(ctx, agent.LogoutRequest{Environment: environment, Scope: agent.LogoutScope(scope)}); err != nil {
		return response{}, err
	}
	res := jsonResponse(wire.LoginBody{State: wire.StateDone})
	res.issued.environment = h.named(environment)
	return res, nil
}

func (h *handler) serveReload(r *request) (response, error) {
	var passphrase, shown string
	if len(r.body) > 0 {
		if err := (fields{"passphrase": &passphrase, "shown": &shown}).decode(r.body); err != nil {
			return response{}, err
		}
	}
	if h.reload == nil {
		return response{}, wire.UsageError("this agent has no configuration to reload")
	}
	ctx, cancel := h.withTimeout(workTimeout)
	defer cancel()
	if err := h.reload(ctx, Passphrase{agent.NewSecret(passphrase), peerOf(r.http).PID}, shown); err != nil {
		return response{}, err
	}
	return jsonResponse(wire.LoginBody{State: wire.StateDone}), nil
}
