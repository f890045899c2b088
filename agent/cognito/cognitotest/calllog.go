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

// Names that stand for several operations, wherever an operation's name is asked for.
const (
	AnyCall = ""        // every call, the JWK set's included
	SignIn  = "sign-in" // InitiateAuth in any flow but the refresh
	Refresh = "refresh" // GetTokensFromRefreshToken, and InitiateAuth with REFRESH_TOKEN_AUTH
	JWKS    = "jwks"    // a fetch of the JWK set
	APICall = "api"     // every call of the API, the JWK set's excluded
)

// A Call is one request that arrived.
type Call struct {
	Op       string    // "InitiateAuth", …, or JWKS
	Flow     string    // the AuthFlow or the ChallengeName, where there is one
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
	_ = json.Unmarshal(body, &in) // whatever it is, it is recorded
	c.Flow = in.AuthFlow + in.ChallengeName
	c.Username = in.Username + in.AuthParameters["USERNAME"] + in.ChallengeResponses["USERNAME"]
	return c
}

// is tells whether the call is one that op names.
func (c Call) is(op string) bool {
	refresh := c.Op == "GetTokensFromRefreshToken" || c.Op == "InitiateAuth" && strings.HasPrefix(c.Flow, "REFRESH_TOKEN")
	switch op {
	case AnyCall:
		return true
	case APICall:
		return c.Op != JWKS
	case Refresh:
		return refresh
	case SignIn:
		return c.Op == "InitiateAuth" && !refresh
	}
	return c.Op == op
}

// journal is the list of calls that arrived.
type journal struct {
	mu      sync.Mutex
	list    []Call
	hook    func(Call)
	changed chan struct{} // closed and replaced at each arrival
}

func (j *journal) arrive(s *Server, c Call) {
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
func (j *journal) count(op string) (int, <-chan struct{}) {
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

// Calls returns how many calls of op arrived; [AnyCall] and its like work too.
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

// OnCall has f called for each call on its arrival, before latency, faults and work;
// the call goes on when f returns. A nil f ends that.
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

// counts are of work done, not of calls: a call whose answer was dropped counts.
type counts struct{ signIns, refreshes int }

// SignIns returns how many sign-ins ended in tokens.
func (s *Server) SignIns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts.signIns
}

// Refreshes returns how many refreshes were granted, by either call and whether or
// not the answer reached the client.
func (s *Server) Refreshes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts.refreshes
}
