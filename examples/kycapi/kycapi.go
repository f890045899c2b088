// Package kycapi simulates the KYC API for demonstrations and tests. It has the two calls
// of the API's guide and checks ID tokens as the API does.
//
// New makes one for a user pool; after serving it, look at Calls:
//
//	api := kycapi.New(kycapi.Pool{Issuer: pool.Issuer(), JWKSURL: pool.JWKSURL(), ClientID: pool.ClientID})
//	srv := httptest.NewServer(api)
//	defer srv.Close()
//
// Only the check of the token is real: a call is answered 200 only if it has an ID token
// that the pool signed for that client and that has not expired. The bodies are merely
// plausible: the API knows two names and stores nothing.
package kycapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
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

// An API answers POST /kyc and POST /kyc/watchlists. Errors are JSON objects with
// `error` and `message`: 400 bad_request, 401 unauthorized, 404 not_found,
// 405 method_not_allowed, 415 unsupported_media_type, 429 too_many_requests.
type API struct {
	pool Pool
	mux  *http.ServeMux

	mu         sync.Mutex // guards everything below
	calls      []Call
	throttle   int
	retryAfter time.Duration
	refuse     int
	before     func(*http.Request)
}

// A Call is one request that arrived, successful or not.
type Call struct {
	Path   string
	User   string // the signed-in user; empty when the token was refused
	Status int    // how it was answered
}

// New makes an API for pool's users.
func New(pool Pool) *API {
	a := &API{pool: pool, mux: http.NewServeMux()}
	a.mux.HandleFunc("POST /kyc", checkName)
	a.mux.HandleFunc("POST /kyc/watchlists", createWatchlist)
	a.mux.HandleFunc("/kyc", onlyPost)
	a.mux.HandleFunc("/kyc/watchlists", onlyPost)
	a.mux.HandleFunc("/", notFound)
	return a
}

// Handle registers h for a pattern of [http.ServeMux], behind the same check of the ID
// token, for tools with another protocol than the API's. Call it before the first
// request.
func (a *API) Handle(pattern string, h http.Handler) { a.mux.Handle(pattern, h) }

// ThrottleNext answers the next n calls 429, with a Retry-After of wait.
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
	if wait, now := a.takeThrottle(); now {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
		refuse(w, http.StatusTooManyRequests, "too_many_requests", "slow down")
		return ""
	}
	user, err := a.authenticate(r)
	if err != nil {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		refuse(w, http.StatusUnauthorized, "unauthorized", err.Error())
		return ""
	}
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	a.mux.ServeHTTP(w, r)
	return user
}

func (a *API) takeThrottle() (wait time.Duration, now bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.throttle == 0 {
		return 0, false
	}
	a.throttle--
	return a.retryAfter, true
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

// read decodes r's JSON body into v. If it cannot, it answers with the reason and returns
// false.
func read(w http.ResponseWriter, r *http.Request, v any) bool {
	if t, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); t != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "unsupported_media_type", "send Content-Type: application/json")
		return false
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		refuse(w, http.StatusBadRequest, "bad_request", fmt.Sprintf("the body is not as expected: %v", err))
		return false
	}
	return true
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // fails only if the client has disconnected
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]string{"error": code, "message": message})
}

func notFound(w http.ResponseWriter, r *http.Request) {
	refuse(w, http.StatusNotFound, "not_found", "no such path: "+r.URL.Path)
}

func onlyPost(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Allow", http.MethodPost)
	refuse(w, http.StatusMethodNotAllowed, "method_not_allowed", "send a POST")
}
