package ipc

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// workTimeout bounds what one request may ask of the service. The service has
// deadlines of its own well below it.
const workTimeout = time.Minute

// tokenTimeout is the same for a token. It is below the 8 seconds after which
// kyc-token gives up, so that whoever waits hears why from the agent instead of a
// mere timeout. A refresh goes on regardless, for the next who asks.
const tokenTimeout = 7 * time.Second

// helperTimeout is the same where another program's tool waits: kyc-token gives up
// after 5 seconds there, the shortest time that a tool is known to allow.
const helperTimeout = 4500 * time.Millisecond

// writeTimeout is how long a client may take to read an answer.
const writeTimeout = 10 * time.Second

// api answers the requests of one [Server.Serve].
type api struct {
	service agent.Service
	reload  func(context.Context) error
	log     *slog.Logger
	base    context.Context // ends when requests in hand have had their time
	desk    *desk
	proxy   *proxy // nil forwards nothing

	version  string
	replaced func() bool
	figures  func(context.Context, http.Header) (string, []byte, error)
	observe  func(RequestInfo)
	failures failures
}

// A route is one method on one path.
type route struct {
	method, path string
	query        []string // the parameters it knows
	op           string   // what it is called in the log
	handle       func(a *api, x *exchange) (reply, error)
}

var routes = []route{
	{http.MethodGet, "/v1/token", []string{"env", "format", "min_valid"}, "token", (*api).token},
	{http.MethodPost, helperPath, []string{"env", "min_valid", "operation"}, "helper", (*api).helper},
	{http.MethodGet, "/v1/status", nil, "status", (*api).status},
	{http.MethodPost, "/v1/login", nil, "login", (*api).login},
	{http.MethodGet, loginPath, nil, "login-wait", (*api).watch},
	{http.MethodPost, loginPath, nil, "login-answer", (*api).answer},
	{http.MethodDelete, loginPath, nil, "login-cancel", (*api).giveUp},
	{http.MethodPost, "/v1/account", nil, "account", (*api).account},
	{http.MethodPost, "/v1/logout", nil, "logout", (*api).logout},
	{http.MethodPost, "/v1/reload", nil, "reload", (*api).reloadNow},
	{http.MethodGet, "/v1/metrics", nil, "metrics", (*api).metrics},
}

// loginPath is a sign-in, or a recovery, that waits for an answer.
const loginPath = "/v1/login/{id}"

// An exchange is a request taken apart.
type exchange struct {
	*http.Request
	query url.Values
	body  []byte
	id    string // the {…} of the path
	// environment is the one it is about, for the log, where the query does not name it.
	environment string
}

// A reply is an answer not yet written.
type reply struct {
	status     int // 0 means 200
	mediaType  string
	retryAfter string
	warning    string     // for the person at the other end
	code       agent.Code // of an error
	allow      string     // with 405
	body       []byte

	environment string // where the body has no place for it
}

func jsonReply(v any) reply { return reply{mediaType: mediaJSON, body: encode(v)} }

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.proxy.wants(r) {
		a.proxy.ServeHTTP(w, r)
		return
	}
	started := time.Now()
	a.sign(w.Header())
	out, op, env, err := a.serve(w, r)
	if err != nil {
		out = failure(r, a.withVersion(err))
	}
	a.note(r, op, env, started, err)
	write(w, out)
}

// sign marks an answer of the agent's own.
func (a *api) sign(h http.Header) {
	if a.version != "" {
		h.Set(headerVersion, a.version)
	}
}

// serve answers r; op and env are for the log, where the path itself must not go: it
// may hold the id of a sign-in.
func (a *api) serve(w http.ResponseWriter, r *http.Request) (out reply, op, env string, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = a.crashed(v)
		}
	}()
	if err := foreign(r); err != nil {
		return reply{}, "", "", err
	}
	if err := afterForwarded(w, r); err != nil {
		return reply{}, "", "", err
	}
	rt, id, err := routeOf(r)
	if err != nil {
		return reply{}, "", "", err
	}
	op = rt.op
	x, err := rt.takeApart(w, r)
	if err != nil {
		return reply{}, op, "", err
	}
	x.id = id
	out, err = rt.handle(a, x)
	return out, op, cmp.Or(x.environment, x.query.Get("env")), err
}

// crashed keeps a bug in one request from ending the others. The panic's value is
// logged only where it cannot quote a secret.
func (a *api) crashed(v any) error {
	what := fmt.Sprintf("%T", v)
	if e, ok := v.(runtime.Error); ok {
		what = e.Error()
	}
	a.log.Error("a request panicked", "panic", what, "stack", string(debug.Stack()))
	return &agent.Error{Code: agent.CodeInternal}
}

// patternOf is the path of a route that path fits, and what stands for its {…}.
func patternOf(path string) (pattern, id string) {
	for _, pattern := range []string{loginPath, helperPath} {
		prefix, _, _ := strings.Cut(pattern, "{")
		if rest, ok := strings.CutPrefix(path, prefix); ok && rest != "" && !strings.Contains(rest, "/") {
			return pattern, rest
		}
	}
	return path, ""
}

func routeOf(r *http.Request) (route, string, error) {
	path, id := patternOf(r.URL.Path)
	var allow []string
	for _, rt := range routes {
		if rt.path != path {
			continue
		}
		if rt.method == r.Method {
			return rt, id, nil
		}
		allow = append(allow, rt.method)
	}
	if allow == nil {
		err := usageStatus(http.StatusNotFound, "no such path: %s; this agent speaks /v1", quoted(r.URL.Path))
		err.err.Err = errUnknown
		return route{}, "", err
	}
	err := usageStatus(http.StatusMethodNotAllowed, "method %s does not work on %s; use %s", quoted(r.Method), path, strings.Join(allow, " or "))
	err.allow, err.err.Err = strings.Join(allow, ", "), errUnknown
	return route{}, "", err
}

// bodyMedia is the media type of the body it takes.
func (rt route) bodyMedia() string {
	if rt.path == helperPath {
		return mediaBytes
	}
	return mediaJSON
}

// takeApart reads the request to its end. Until then the server's deadlines hold.
// Then net/http lifts the one for reading, and write sets a new one for writing, so
// that the answer may take as long as a sign-in does.
func (rt route) takeApart(w http.ResponseWriter, r *http.Request) (*exchange, error) {
	x := &exchange{Request: r}
	var err error
	if x.query, err = parseQuery(r.URL.RawQuery, rt.query); err != nil {
		return nil, err
	}
	if rt.method == http.MethodPost {
		if x.body, err = readBody(w, r, rt.bodyMedia()); err != nil {
			return nil, err
		}
	} else if r.ContentLength != 0 {
		return nil, usage("a %s request has no body", rt.method)
	}
	return x, nil
}

func write(w http.ResponseWriter, out reply) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if out.status != http.StatusNoContent {
		h.Set("Content-Type", out.mediaType)
		h.Set("Content-Length", strconv.Itoa(len(out.body)))
	}
	if out.retryAfter != "" {
		h.Set("Retry-After", out.retryAfter)
	}
	if out.warning != "" {
		h.Set(headerWarning, out.warning)
	}
	if out.code != "" {
		h.Set(headerError, string(out.code))
	}
	if out.allow != "" {
		h.Set("Allow", out.allow)
	}
	if out.environment != "" {
		h.Set(headerEnvironment, out.environment)
	}
	w.WriteHeader(max(out.status, http.StatusOK))
	_, _ = w.Write(out.body) // a client that is gone needs no answer
}

// causeOf is what an [agent.Error] wraps, in words.
func causeOf(err error) string {
	if e, ok := err.(*agent.Error); ok {
		if e.Err == nil {
			return ""
		}
		err = e.Err
	}
	return sanitize.OneLine(err.Error())
}

// work is the context of a request's work. It is the server's, not the
// connection's: net/http takes a client that closed its sending half (`nc -N`,
// socat) for one that is gone, and such a client still wants its token.
func (a *api) work(limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(a.base, limit)
}

func (a *api) status(*exchange) (reply, error) {
	ctx, cancel := a.work(workTimeout)
	defer cancel()
	st, err := a.service.Status(ctx)
	if err != nil {
		return reply{}, err
	}
	if st.Environments == nil {
		st.Environments = []agent.EnvironmentStatus{}
	}
	return jsonReply(st), nil
}

func (a *api) logout(x *exchange) (reply, error) {
	var environment, scope string
	if err := (fields{"environment": &environment, "scope": &scope}).decode(x.body); err != nil {
		return reply{}, err
	}
	ctx, cancel := a.work(workTimeout)
	defer cancel()
	if err := a.service.Logout(ctx, agent.LogoutRequest{Environment: environment, Scope: agent.LogoutScope(scope)}); err != nil {
		return reply{}, err
	}
	return jsonReply(loginBody{State: stateDone}), nil
}

func (a *api) reloadNow(x *exchange) (reply, error) {
	if len(x.body) > 0 {
		if err := (fields{}).decode(x.body); err != nil {
			return reply{}, err
		}
	}
	if a.reload == nil {
		return reply{}, usage("this agent has no configuration to read again")
	}
	ctx, cancel := a.work(workTimeout)
	defer cancel()
	if err := a.reload(ctx); err != nil {
		return reply{}, err
	}
	return jsonReply(loginBody{State: stateDone}), nil
}
