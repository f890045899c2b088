// Package kycapi simulates the KYC API for demonstrations and tests: list checks and
// watchlists with the bodies of the API's guide and reference.
//
// New makes one for a user pool; after serving it, look at Calls:
//
//	api := kycapi.New(kycapi.Pool{Issuer: pool.Issuer(), JWKSURL: pool.JWKSURL(), ClientID: pool.ClientID})
//	srv := httptest.NewServer(api)
//	defer srv.Close()
//
// The checks of tokens, bodies and permissions and the rate limit are real; the lists are
// not: two invented names are on them. Watchlists are in memory, one set for each user, and
// nothing is monitored by itself.
//
// The API's public pages do not agree about its answers: its migration guide has an
// envelope of status, data and meta, a sample reads result.is_match, and the pages about
// watchlists leave meta out. This package answers with the envelope everywhere, but for a
// 429, which the firewall in front of the API makes. What no page shows, such as the key
// data.results for several lists, was chosen here.
package kycapi

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Pool is the user pool and the client whose ID tokens are accepted.
type Pool struct {
	Issuer   string // the tokens' `iss`
	JWKSURL  string // the address of its signing keys
	ClientID string // the tokens' `aud`
}

// An API answers POST /kyc and the calls below /kyc/watchlists.
type API struct {
	pool Pool
	mux  *http.ServeMux

	mu         sync.Mutex // guards everything below
	calls      []Call
	throttle   int
	retryAfter time.Duration
	refuse     int
	before     func(*http.Request)
	limit      limit
	denied     []string
	watchlists map[string][]*watchlist // by user
}

// A Call is one request that arrived, successful or not.
type Call struct {
	Path   string
	User   string // the signed-in user; empty when the token was refused
	Status int    // how it was answered
}

// New makes an API for pool's users. They have every permission, and the rate limit is
// that of the API: 1,000 requests in 5 minutes.
func New(pool Pool) *API {
	a := &API{pool: pool, mux: http.NewServeMux(), watchlists: map[string][]*watchlist{}}
	a.Limit(1000, 5*time.Minute)
	for _, c := range []struct {
		pattern, permission string
		handle              func(*API, http.ResponseWriter, *http.Request)
	}{
		{"POST /kyc", "kyc:create", (*API).checkLists},
		{"POST /kyc/watchlists", "watchlist:create", (*API).createWatchlist},
		{"GET /kyc/watchlists", "watchlist:list", (*API).listWatchlists},
		{"GET /kyc/watchlists/{id}", "watchlist:read", (*API).readWatchlist},
		{"PATCH /kyc/watchlists/{id}", "watchlist:update", (*API).updateWatchlist},
		{"DELETE /kyc/watchlists/{id}", "watchlist:delete", (*API).deleteWatchlist},
		{"POST /kyc/watchlists/{id}/subjects", "watchlist:update", (*API).addSubject},
		{"POST /kyc/watchlists/{id}/monitor", "watchlist:run", (*API).runWatchlist},
	} {
		a.mux.HandleFunc(c.pattern, func(w http.ResponseWriter, r *http.Request) {
			if a.isDenied(c.permission) {
				refuse(w, http.StatusForbidden, "FORBIDDEN", "missing permission: "+c.permission)
				return
			}
			c.handle(a, w, r)
		})
	}
	for pattern, allow := range map[string]string{
		"/kyc": "POST", "/kyc/watchlists": "GET, POST", "/kyc/watchlists/{id}": "GET, PATCH, DELETE",
		"/kyc/watchlists/{id}/subjects": "POST", "/kyc/watchlists/{id}/monitor": "POST",
	} {
		a.mux.HandleFunc(pattern, onlyMethods(allow))
	}
	a.mux.HandleFunc("/", notFound)
	return a
}

// Handle registers h for a pattern of [http.ServeMux], behind the same check of the ID
// token, for tools with another protocol than the API's. Call it before the first
// request.
func (a *API) Handle(pattern string, h http.Handler) { a.mux.Handle(pattern, h) }

// Limit sets the rate limit: n requests in a window, for each source address. A window begins
// with the first request after the last one, and ends on a full second.
func (a *API) Limit(n int, window time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limit = limit{n: n, window: window, firewall: a.limit.firewall, used: map[string]*usage{}}
}

// Firewall makes the firewall itself answer what is over the limit, for the rest of the
// window: with the same 429, but without the X-RateLimit headers, which are the API's.
func (a *API) Firewall(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limit.firewall = on
}

// Deny takes permissions, such as "watchlist:create", from every user.
func (a *API) Deny(permissions ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.denied = append(a.denied, permissions...)
}

func (a *API) isDenied(permission string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Contains(a.denied, permission)
}

// ThrottleNext answers the next n calls 429, with a Retry-After header of wait. The API's
// own 429 has none, as far as its documentation says, nor has this one with [API.Firewall].
func (a *API) ThrottleNext(n int, wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.throttle, a.retryAfter = n, wait
}

// RefuseNext answers the next n calls 401 even if their token is valid, as an API does
// after a change of its clock or keys.
func (a *API) RefuseNext(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refuse = n
}

// Before makes the API call f with every request before it answers.
func (a *API) Before(f func(*http.Request)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.before = f
}

// Calls returns the calls so far, oldest first.
func (a *API) Calls() []Call {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

// ServeHTTP answers one call.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := &recorder{ResponseWriter: w, status: http.StatusOK}
	call := Call{Path: r.URL.Path}
	a.mu.Lock()
	before := a.before
	a.mu.Unlock()
	if before != nil {
		before(r)
	}
	call.User = a.serve(rec, r)
	call.Status = rec.status
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, call)
}

func (a *API) serve(w http.ResponseWriter, r *http.Request) (user string) {
	if wait, header, now := a.takeThrottle(); now {
		if header {
			w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
		}
		tooMany(w, wait)
		return ""
	}
	if wait, ok := a.admit(w.Header(), r, time.Now()); !ok {
		tooMany(w, wait)
		return ""
	}
	user, err := a.authenticate(r)
	if err != nil {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", err.Error())
		return ""
	}
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	a.mux.ServeHTTP(w, r.WithContext(withUser(r.Context(), user)))
	return user
}

func (a *API) takeThrottle() (wait time.Duration, header, now bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.throttle == 0 {
		return 0, false, false
	}
	a.throttle--
	return a.retryAfter, !a.limit.firewall, true
}

func (a *API) takeRefusal() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refuse == 0 {
		return false
	}
	a.refuse--
	return true
}

// authenticate returns the user whose valid ID token came with r.
func (a *API) authenticate(r *http.Request) (user string, err error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", errors.New("send an ID token: Authorization: Bearer …")
	}
	if a.takeRefusal() {
		return "", errors.New("the token is not accepted any more")
	}
	return a.pool.verify(r.Context(), token)
}

type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}
