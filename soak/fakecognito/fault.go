package fakecognito

import (
	"net"
	"net/http"
	"time"
)

// An End is how a call ends.
type End int

// The ends. Those with After lose the answer to a call that was processed.
const (
	Answered    End = iota
	ServerError     // HTTP 500, not processed
	Throttled       // TooManyRequestsException, not processed
	LostBefore      // connection reset, not processed
	LostAfter       // processed, connection reset
	CutAfter        // processed, half of the answer, connection reset
	Revoked         // the sign-in is revoked, then the call is processed
)

// A Fault happens to calls instead of the normal answer.
type Fault struct {
	Name   string
	Keys   bool          // to the signing keys and not to the API
	Before time.Duration // how long until the call is processed
	After  time.Duration // and from then until it is answered
	End    End
	Times  int // to how many calls of Refresh; 0 means to all calls until Heal
}

// Fail makes later calls fail with f; it replaces the fault before.
func (p *Pool) Fail(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.faulty, p.left = f, true, f.Times
	if f.Times == 0 {
		p.left = -1
	}
}

// Heal ends the fault for later calls.
func (p *Pool) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faulty = false
}

// usual is how long a call takes without a fault. Cognito needs longer.
const usual = 20 * time.Millisecond

// takeFault returns the fault of the next call of op. The caller holds mu.
func (p *Pool) takeFault(op string) Fault {
	if !p.faulty || p.left == 0 || p.fault.Keys != (op == Keys) || p.left > 0 && op != Refresh {
		return Fault{Before: usual}
	}
	p.left = max(p.left-1, -1)
	return p.fault
}

// reset ends a connection without an answer, after the first bytes of one.
func reset(w http.ResponseWriter, first []byte) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = conn.Write(first)
	if tcp, ok := conn.(*net.TCPConn); ok && len(first) == 0 {
		_ = tcp.SetLinger(0) // RST instead of FIN; it would also discard what was written
	}
	_ = conn.Close()
}
