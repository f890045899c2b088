package cognitotest

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Names for groups of operations. They can be used instead of the name of an operation.
const (
	AnyCall = ""        // every call, including fetches of the JWK set
	SignIn  = "sign-in" // InitiateAuth in any flow except the refresh
	Refresh = "refresh" // GetTokensFromRefreshToken, and InitiateAuth with REFRESH_TOKEN_AUTH
	JWKS    = "jwks"    // a fetch of the JWK set
	APICall = "api"     // every call of the API, without fetches of the JWK set and requests of the domain
)

// The requests of the domain, by their paths.
const (
	AuthorizeEndpoint = "/oauth2/authorize"
	TokenEndpoint     = "/oauth2/token"
	LogoutEndpoint    = "/logout"
)

// A Call is one request that arrived.
type Call struct {
	Op       string    // "InitiateAuth", …, JWKS, or TokenEndpoint, …
	Flow     string    // the AuthFlow or the ChallengeName, if there is one
	Username string    // as sent
	Time     time.Time // of its arrival
	Header   http.Header
	Body     []byte // as sent, secrets included
}

func newCall(op string, r *http.Request, body []byte) Call {
	c := Call{Op: op, Header: r.Header.Clone(), Body: body}
	var in struct {
		AuthFlow, ChallengeName, Username  string
		AuthParameters, ChallengeResponses map[string]string
	}
	_ = json.Unmarshal(body, &in) // malformed calls are recorded, too
	c.Flow = in.AuthFlow + in.ChallengeName
	c.Username = in.Username + in.AuthParameters["USERNAME"] + in.ChallengeResponses["USERNAME"]
	return c
}

// is reports whether op names the call, or a group that contains it.
func (c Call) is(op string) bool {
	refresh := c.Op == "GetTokensFromRefreshToken" || c.Op == "InitiateAuth" && strings.HasPrefix(c.Flow, "REFRESH_TOKEN")
	switch op {
	case AnyCall:
		return true
	case APICall:
		return c.Op != JWKS && !strings.HasPrefix(c.Op, "/")
	case Refresh:
		return refresh
	case SignIn:
		return c.Op == "InitiateAuth" && !refresh
	}
	return c.Op == op
}

// callLog is the list of calls that arrived.
type callLog struct {
	mu      sync.Mutex
	list    []Call
	hook    func(Call)
	changed chan struct{} // closed and replaced at each arrival
}

func (j *callLog) record(s *Server, c Call) {
	c.Time = s.now()
	j.mu.Lock()
	j.list = append(j.list, c)
	close(j.changed)
	j.changed = make(chan struct{})
	hook := j.hook
	j.mu.Unlock()
	if hook != nil {
		hook(c)
	}
}

// count returns how many calls of op arrived, and a channel closed at the next arrival.
func (j *callLog) count(op string) (int, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, c := range j.list {
		if c.is(op) {
			n++
		}
	}
	return n, j.changed
}

// Calls returns how many calls of op arrived. op can be a group such as [AnyCall].
func (s *Server) Calls(op string) int {
	n, _ := s.calls.count(op)
	return n
}

// Log returns the calls that arrived, oldest first.
func (s *Server) Log() []Call {
	s.calls.mu.Lock()
	defer s.calls.mu.Unlock()
	return slices.Clone(s.calls.list)
}

// ForgetCalls empties the log and the counts of Calls.
func (s *Server) ForgetCalls() {
	s.calls.mu.Lock()
	defer s.calls.mu.Unlock()
	s.calls.list = nil
}

// OnCall sets a function that is called when a call arrives, before latency, faults and
// processing. The call continues when f returns. A nil f removes the function.
func (s *Server) OnCall(f func(Call)) {
	s.calls.mu.Lock()
	defer s.calls.mu.Unlock()
	s.calls.hook = f
}

// WaitCalls returns when n calls of op have arrived since the start (or since
// ForgetCalls), or with ctx's error.
func (s *Server) WaitCalls(ctx context.Context, op string, n int) error {
	for {
		got, changed := s.calls.count(op)
		if got >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// counts counts completed operations, not calls: a call whose answer was dropped counts.
type counts struct{ signIns, refreshes int }

// SignIns returns how many sign-ins ended in tokens.
func (s *Server) SignIns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts.signIns
}

// LiveSignIns returns how many sign-ins can be refreshed: those that were neither revoked nor
// expired, whether or not their tokens reached the client.
func (s *Server) LiveSignIns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, f := range s.families {
		if !f.revoked && s.now().Before(f.expires) {
			n++
		}
	}
	return n
}

// Refreshes returns how many refreshes were granted, by either call and whether or
// not the answer reached the client.
func (s *Server) Refreshes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts.refreshes
}
