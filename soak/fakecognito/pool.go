// Package fakecognito is a Cognito user pool that rotates refresh tokens and fails on
// demand. It is written after Cognito's documentation alone and shares no code with
// package cognitotest, so that a mistake in one of them is not in the other, too.
//
//	pool, err := fakecognito.New(fakecognito.Options{Name: "staging", Grace: time.Minute, Life: 20 * time.Second})
//	defer pool.Close()
//	pool.Fail(fakecognito.Fault{Name: "lost", End: fakecognito.LostAfter, Times: 1})
//	call, err := pool.Await(ctx, pool.Mark(), fakecognito.IsRefresh)
//	pool.Heal()
//
// It has one user and one app client with the flow USER_PASSWORD_AUTH and rotation on. A
// refresh token works once, and for the grace period again; then it is refused with
// RefreshTokenReuseException, and the newest one still works. A call that was received is
// processed to its end whether or not the client is still there. [Pool.Calls] lists every
// call with what became of it: package soak finds out from that why a sign-in is lost.
package fakecognito

import (
	"crypto/rsa"
	"net"
	"net/http"
	"sync"
	"time"
)

// The user of every pool.
const (
	User     = "ada"
	Password = "Correct-horse-9"
)

// Options configures a [Pool].
type Options struct {
	Name  string        // of the environment; it is part of the ids
	Grace time.Duration // how long a refresh token works after it was rotated
	Life  time.Duration // of ID tokens, whole seconds
}

// A Pool is a user pool with its server. It is safe for concurrent use.
type Pool struct {
	opts Options
	addr string
	key  *rsa.PrivateKey

	mu       sync.Mutex
	server   *http.Server // nil while the network is cut
	families []*family
	tokens   map[string]*refreshToken
	calls    []Call
	changed  chan struct{} // closed when calls change
	fault    Fault
	faulty   bool
	left     int // calls that fault still happens to; below 0: all
}

// New starts a pool on a loopback address.
func New(o Options) (*Pool, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Pool{opts: o, addr: l.Addr().String(), key: key, tokens: map[string]*refreshToken{}, changed: make(chan struct{})}
	p.serve(l)
	return p, nil
}

func (p *Pool) serve(l net.Listener) {
	server := &http.Server{Handler: http.HandlerFunc(p.handle), ErrorLog: discard}
	p.mu.Lock()
	p.server = server
	p.mu.Unlock()
	go func() { _ = server.Serve(l) }()
}

// Cut closes the listener and every connection, until [Pool.Restore].
func (p *Pool) Cut() {
	p.mu.Lock()
	server := p.server
	p.server = nil
	p.mu.Unlock()
	if server != nil {
		_ = server.Close()
	}
}

// Restore listens again after [Pool.Cut], on the same address.
func (p *Pool) Restore() error {
	p.mu.Lock()
	up := p.server != nil
	p.mu.Unlock()
	if up {
		return nil
	}
	l, err := net.Listen("tcp", p.addr)
	if err == nil {
		p.serve(l)
	}
	return err
}

// Close ends the server.
func (p *Pool) Close() { p.Cut() }

// URL is the endpoint.
func (p *Pool) URL() string { return "http://" + p.addr }

// ID is the user pool's id.
func (p *Pool) ID() string { return "us-east-2_" + p.opts.Name }

// ClientID is the app client.
func (p *Pool) ClientID() string { return "client" + p.opts.Name }

// Issuer is the `iss` of the ID tokens.
func (p *Pool) Issuer() string { return p.URL() + "/" + p.ID() }

// A family is a sign-in with its refresh tokens, oldest first.
type family struct {
	number  int
	tokens  []*refreshToken
	revoked bool
}

type refreshToken struct {
	family     *family
	generation int
	value      string
	rotated    time.Time // when it was first exchanged; zero before
	dead       bool      // a replay of an older token has replaced it
}

func (f *family) newest() *refreshToken { return f.tokens[len(f.tokens)-1] }

// newFamily makes a sign-in. The caller holds mu.
func (p *Pool) newFamily() *refreshToken {
	f := &family{number: len(p.families) + 1}
	p.families = append(p.families, f)
	return p.addToken(f)
}

func (p *Pool) addToken(f *family) *refreshToken {
	t := &refreshToken{family: f, generation: len(f.tokens) + 1, value: newRefreshToken()}
	f.tokens = append(f.tokens, t)
	p.tokens[t.value] = t
	return t
}

// rotate exchanges t. A replay within the grace period makes a fork, which ends the branch
// that it replaces. The caller holds mu.
func (p *Pool) rotate(t *refreshToken) *refreshToken {
	if t.rotated.IsZero() {
		t.rotated = time.Now()
	}
	for _, later := range t.family.tokens[t.generation:] {
		later.dead = true
	}
	return p.addToken(t.family)
}

// usable reports whether t may be exchanged. The caller holds mu.
func (p *Pool) usable(t *refreshToken) bool {
	return t == t.family.newest() || !t.dead && time.Since(t.rotated) < p.opts.Grace
}

// Live returns how many sign-ins are not revoked.
func (p *Pool) Live() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, f := range p.families {
		if !f.revoked {
			n++
		}
	}
	return n
}

// SignOut revokes every sign-in, as an administrator can.
func (p *Pool) SignOut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.families {
		f.revoked = true
	}
}
