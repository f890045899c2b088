package cognitotest

import (
	"net/http"
	"sync"
	"time"
)

// A Fault is what happens to a call and not its proper answer. The functions that
// return one make it; After moves it behind the work.
type Fault struct {
	status      int
	contentType string
	code        string
	body        []byte
	drop        bool // close the connection without an answer
	hang        bool // wait for Release, then go on as if nothing had been
	after       bool // once the work is done
}

// Refuse answers with an error of Cognito's: HTTP 400, code and message.
func Refuse(code, message string) Fault { return RefuseStatus(http.StatusBadRequest, code, message) }

// RefuseStatus is Refuse with another HTTP status.
func RefuseStatus(status int, code, message string) Fault {
	return Fault{status: status, contentType: contentType, code: code, body: mustJSON(apiError{code, message})}
}

// Answer answers with any status, content type and body.
func Answer(status int, contentType, body string) Fault {
	return Fault{status: status, contentType: contentType, body: []byte(body)}
}

// Throttle is TooManyRequestsException, as over the account's quota.
func Throttle() Fault { return Refuse("TooManyRequestsException", "Too many requests") }

// Throttle429 is HTTP 429 with TooManyRequestsException.
func Throttle429() Fault {
	return RefuseStatus(http.StatusTooManyRequests, "TooManyRequestsException", "Too many requests")
}

// Bare429 is HTTP 429 without a code, as of something in front of Cognito.
func Bare429() Fault { return Answer(http.StatusTooManyRequests, "text/plain", "") }

// Internal is InternalErrorException with HTTP 500.
func Internal() Fault {
	return RefuseStatus(http.StatusInternalServerError, "InternalErrorException", "Internal error")
}

// BadGateway is HTTP 502 with a page of HTML.
func BadGateway() Fault {
	return Answer(http.StatusBadGateway, "text/html",
		"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n")
}

// Blocked is the pool's web firewall: ForbiddenException with HTTP 403.
func Blocked() Fault {
	return RefuseStatus(http.StatusForbidden, "ForbiddenException", "Request not allowed due to WAF block.")
}

// Drop closes the connection without an answer.
func Drop() Fault { return Fault{drop: true} }

// Hang keeps the call waiting until [Server.Release]; it then goes on as if nothing
// had been. Close, or the client's going away, ends it without an answer.
func Hang() Fault { return Fault{hang: true} }

// After returns f as of the moment when the work is done and the answer is due, so
// the state has changed: Drop().After() loses a rotated refresh token on the way.
func (f Fault) After() Fault {
	f.after = true
	return f
}

// faults are what is to happen to which calls.
type faults struct {
	mu      sync.Mutex
	rules   []rule
	latency map[string]time.Duration
	gate    chan struct{} // closed by Release
}

type rule struct {
	op    string
	left  int // below 0: for ever
	fault Fault
}

// FailNext has f happen to the next n calls of op; [Refresh] and its like work too.
// Below 0, n means all calls until ClearFaults. Several are used up in order.
func (s *Server) FailNext(op string, n int, f Fault) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.rules = append(s.faults.rules, rule{op, n, f})
}

// SetLatency has every call of op wait for d before the work; 0 takes it back. Of
// several that fit a call, the longest counts.
func (s *Server) SetLatency(op string, d time.Duration) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	if s.faults.latency == nil {
		s.faults.latency = map[string]time.Duration{}
	}
	s.faults.latency[op] = d
}

// Release lets all calls go on that hang now.
func (s *Server) Release() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	close(s.faults.gate)
	s.faults.gate = make(chan struct{})
}

// ClearFaults forgets all faults and latencies, and lets go on what hangs.
func (s *Server) ClearFaults() {
	s.faults.mu.Lock()
	s.faults.rules, s.faults.latency = nil, nil
	s.faults.mu.Unlock()
	s.Release()
}

// next takes the fault and the latency meant for c, and the gate it would hang at.
func (fs *faults) next(c Call) (f Fault, latency time.Duration, gate <-chan struct{}) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for op, d := range fs.latency {
		if c.is(op) {
			latency = max(latency, d)
		}
	}
	for i := range fs.rules {
		r := &fs.rules[i]
		if r.left == 0 || !c.is(r.op) {
			continue
		}
		r.left = max(r.left-1, -1)
		return r.fault, latency, fs.gate
	}
	return Fault{}, latency, fs.gate
}

// disturb answers a call: its work is done by work, unless a fault comes first.
func (s *Server) disturb(w http.ResponseWriter, r *http.Request, c Call, work func() (int, string, []byte)) {
	f, latency, gate := s.faults.next(c)
	s.pause(r, latency)
	if !f.after && f.strike(s, w, r, gate) {
		return
	}
	status, code, body := work()
	if f.after && f.strike(s, w, r, gate) {
		return
	}
	s.write(w, status, contentType, code, body)
}

// strike lets the fault happen and tells whether the call has had its answer.
func (f Fault) strike(s *Server, w http.ResponseWriter, r *http.Request, gate <-chan struct{}) bool {
	switch {
	case f.drop:
		panic(http.ErrAbortHandler)
	case f.hang:
		s.wait(r, gate)
	case f.status != 0:
		s.write(w, f.status, f.contentType, f.code, f.body)
		return true
	}
	return false
}

func (s *Server) pause(r *http.Request, d time.Duration) {
	if d <= 0 {
		return
	}
	done := make(chan struct{})
	timer := time.AfterFunc(d, func() { close(done) })
	defer timer.Stop()
	s.wait(r, done)
}

// wait returns when ch is closed; where the client goes away or the server is
// closed before, the call ends without an answer.
func (s *Server) wait(r *http.Request, ch <-chan struct{}) {
	select {
	case <-ch:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	case <-s.closed:
		panic(http.ErrAbortHandler)
	}
}
