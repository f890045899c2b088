package fakecognito

import (
	"context"
	"time"
)

// The calls that a [Call] can be.
const (
	Login    = "InitiateAuth USER_PASSWORD_AUTH"
	Fallback = "InitiateAuth REFRESH_TOKEN_AUTH" // always refused: the app client rotates
	Refresh  = "GetTokensFromRefreshToken"
	Revoke   = "RevokeToken"
	Keys     = "JWKS"
)

// A Call is one call and what became of it.
type Call struct {
	Op        string
	Begun     time.Time
	Processed time.Time // when the pool acted on it; zero if it did not
	Ended     time.Time // when it was answered or the connection ended; zero before
	Family    int       // the sign-in, from 1
	Presented int       // the generation of the refresh token that was sent, from 1
	Issued    int       // the generation of the refresh token that was issued, or 0
	Status    int       // of the answer; 0 if there was none
	Code      string    // of a refusal
	Fault     string    // that happened to it
	Delivered bool      // the answer was written and the client was still there
}

// Good reports whether the client has got what it asked for.
func (c Call) Good() bool { return c.Delivered && c.Status == 200 }

// IsRefresh accepts a call that sends a refresh token to rotate it.
func IsRefresh(c Call) bool { return c.Op == Refresh }

// Calls returns a copy of the log, oldest first.
func (p *Pool) Calls() []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Call(nil), p.calls...)
}

// Mark returns a place in the log, for [Pool.Await].
func (p *Pool) Mark() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.calls)
}

// Await waits for a call after mark that match accepts.
func (p *Pool) Await(ctx context.Context, mark int, match func(Call) bool) (Call, error) {
	for {
		p.mu.Lock()
		changed := p.changed
		for _, c := range p.calls[mark:] {
			if match(c) {
				p.mu.Unlock()
				return c, nil
			}
		}
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return Call{}, context.Cause(ctx)
		}
	}
}

// begin logs a call and returns its place and the fault that happens to it.
func (p *Pool) begin(op string) (int, Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.takeFault(op)
	p.calls = append(p.calls, Call{Op: op, Begun: time.Now(), Fault: f.Name})
	p.broadcast()
	return len(p.calls) - 1, f
}

func (p *Pool) update(n int, f func(*Call)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.calls[n])
	p.broadcast()
}

func (p *Pool) broadcast() {
	close(p.changed)
	p.changed = make(chan struct{})
}
