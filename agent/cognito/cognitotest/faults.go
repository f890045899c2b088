package cognitotest

import (
	"net/http"
	"sync"
	"time"
)

// A Fault happens to a call instead of its normal answer. It is made by one of the functions that
// follow, and happens before the call is processed; see After.
type Fault struct {
	status      int
	contentType string
	code        string
	body        []byte
	drop        bool // close the connection without an answer
	hang        bool // wait for Release, then continue normally
	after       bool // happens after the call was processed
}

// Refuse answers with a Cognito error: HTTP 400, code and message.
func Refuse(code, message string) Fault { return RefuseStatus(http.StatusBadRequest, code, message) }

// RefuseStatus is Refuse with another HTTP status.
func RefuseStatus(status int, code, message string) Fault {
	return Fault{status: status, contentType: contentType, code: code, body: mustJSON(apiError{code, message})}
}

// Answer answers with any status, content type and body.
func Answer(status int, contentType, body string) Fault {
	return Fault{status: status, contentType: contentType, body: []byte(body)}
}

// Throttle is TooManyRequestsException, as if the account's quota is exceeded.
func Throttle() Fault { return Refuse("TooManyRequestsException", "Too many requests") }

// Throttle429 is HTTP 429 with TooManyRequestsException.
func Throttle429() Fault {
	return RefuseStatus(http.StatusTooManyRequests, "TooManyRequestsException", "Too many requests")
}

// Bare429 is HTTP 429 without a code, as from a proxy in front of Cognito.
func Bare429() Fault { return Answer(http.StatusTooManyRequests, "text/plain", "") }

// Internal is InternalErrorException with HTTP 500.
func Internal() Fault {
	return RefuseStatus(http.StatusInternalServerError, "InternalErrorException", "Internal error")
}

// BadGateway is HTTP 502 with an HTML page.
func BadGateway() Fault {
	return Answer(http.StatusBadGateway, "text/html",
		"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n")
}

// Blocked is the answer of the pool's web firewall: ForbiddenException with HTTP 403.
func Blocked() Fault {
	return RefuseStatus(http.StatusForbidden, "ForbiddenException", "Request not allowed due to WAF block.")
}

// Drop closes the connection without an answer.
func Drop() Fault { return Fault{drop: true} }

// Hang makes the call wait until [Server.Release], and then continue normally. If the server is
// closed or the client disconnects, the call ends without an answer.
func Hang() Fault { return Fault{hang: true} }

// After returns f for the moment after the call was processed and before it is answered. The
// state of the pool has changed by then: Drop().After() loses a rotated refresh token.
func (f Fault) After() Fault {
	f.after = true
	return f
}

// faults holds the faults and latencies of future calls.
type faults struct {
	mu      sync.Mutex
	rules   []rule
	latency map[string]time.Duration
	gate    chan struct{} // closed by Release
}

type rule struct {
	op    string
	left  int // calls still to fail; below 0: all
	fault Fault
}

// FailNext makes the next n calls of op fail with f. op can be a group such as [Refresh]. A
// negative n means all calls until ClearFaults. Several faults are used in the order of their
// calls of FailNext.
func (s *Server) FailNext(op string, n int, f Fault) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.rules = append(s.faults.rules, rule{op, n, f})
}

// SetLatency makes every call of op wait for d before it is processed; 0 removes the latency. If
// several latencies match a call, the longest applies.
func (s *Server) SetLatency(op string, d time.Duration) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	if s.faults.latency == nil {
		s.faults.latency = map[string]time.Duration{}
	}
	s.faults.latency[op] = d
}

// Release continues all calls that hang now.
func (s *Server) Release() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	close(s.faults.gate)
	s.faults.gate = make(chan struct{})
}

// ClearFaults removes all faults and latencies, and continues hanging calls.
func (s *Server) ClearFaults() {
	s.faults.mu.Lock()
	s.faults.rules, s.faults.latency = nil, nil
	s.faults.mu.Unlock()
	s.Release()
}

// next takes the fault for c, and returns it with the latency and the gate at which c may hang.
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

// answerWithFaults answers a call with the result of work, unless a fault prevents that.
func (s *Server) answerWithFaults(w http.ResponseWriter, r *http.Request, c Call, work func() (int, string, []byte)) {
	f, latency, gate := s.faults.next(c)
	s.pause(r, latency)
	if !f.after && f.apply(s, w, r, gate) {
		return
	}
	status, code, body := work()
	if f.after && f.apply(s, w, r, gate) {
		return
	}
	s.write(w, status, c.answerType(), code, body)
}

// answerType returns the Content-Type of an answer.
func (c Call) answerType() string {
	if c.Op == TokenEndpoint {
		return "application/json;charset=UTF-8"
	}
	return contentType
}

// apply makes the fault happen, and reports whether it has answered the call.
func (f Fault) apply(s *Server, w http.ResponseWriter, r *http.Request, gate <-chan struct{}) bool {
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

// wait returns when ch is closed. If the client disconnects or the server is closed before, the
// call ends without an answer.
func (s *Server) wait(r *http.Request, ch <-chan struct{}) {
	select {
	case <-ch:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	case <-s.closed:
		panic(http.ErrAbortHandler)
	}
}
