// Package awstest emulates the parts of AWS that exchange ID tokens for credentials, a Cognito
// identity pool and STS, and misbehaves on demand. It is used like net/http/httptest, for
// tests, not for production.
//
// One call starts a server, for the user pool whose tokens it trusts:
//
//	pool := cognitotest.New()
//	srv := awstest.New(awstest.UserPool{Issuer: pool.Issuer(), JWKS: pool.Issuer() + "/.well-known/jwks.json", ClientID: pool.ClientID})
//	defer srv.Close()
//
// srv.URL is then the endpoint of both services, srv.IdentityPoolID names the identity pool
// and srv.RoleARN the role that trusts the user pool.
//
// # What it does
//
// GetId and GetCredentialsForIdentity in the JSON protocol of cognito-identity, and
// AssumeRoleWithWebIdentity in the query protocol of STS. Each checks the signature, expiry,
// issuer and audience of the ID token. GetCallerIdentity accepts the issued credentials and
// checks the AWS Signature Version 4 of the request, so a test can check that a real SDK signs
// with them. Error codes are those of AWS. Error messages quote the token, as messages of AWS
// have been seen to do.
//
// # Controls
//
//   - [Server.SetLifetime] and [Server.SetLatency] change the answers that follow.
//   - [Server.FailNext] makes the next calls fail: see [Fault].
//   - [Server.ForgetIdentities] deletes all identities, as an administrator can.
//
// [Server.Calls] counts the calls. All methods are safe for concurrent use.
package awstest

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"
)

// A UserPool is the user pool whose ID tokens are accepted.
type UserPool struct {
	Issuer   string // the iss of its tokens
	JWKS     string // the URL of its signing keys
	ClientID string // the app client: the aud of its tokens
}

// The operations, as Calls and FailNext name them.
const (
	GetID                     = "GetId"
	GetCredentials            = "GetCredentialsForIdentity"
	AssumeRoleWithWebIdentity = "AssumeRoleWithWebIdentity"
	GetCallerIdentity         = "GetCallerIdentity"
)

// A Server is an identity pool and an STS. New makes one. The exported fields are set
// by then and must not be changed.
type Server struct {
	URL            string // the endpoint of both, without a slash at the end
	IdentityPoolID string // "us-east-2:0f1c2a7e-…"
	RoleARN        string // trusts the user pool, at STS and at the identity pool
	Account        string // "123456789012"

	pool UserPool
	http *httptest.Server

	mu         sync.Mutex
	lifetime   time.Duration
	latency    time.Duration
	calls      map[string]int
	faults     map[string][]Fault
	identities map[string]string // by subject
	issued     map[string]issued // by access key id
	serial     int
}

// issued holds credentials that were issued.
type issued struct {
	secret, session string
	arn             string // of the session
	ends            time.Time
}

// A Fault is sent instead of the answer to a call.
type Fault struct {
	Status  int    // 0 means 400
	Code    string // AWS's error code; if empty, Body is sent instead
	Message string // the token is appended to it
	Body    string
}

// New starts a server on a free port of 127.0.0.1 that trusts pool. The caller calls Close.
func New(pool UserPool) *Server {
	s := &Server{
		IdentityPoolID: "us-east-2:0f1c2a7e-5b3d-4c8e-9a61-7d2b8e4f6a90",
		RoleARN:        "arn:aws:iam::123456789012:role/kyc-users",
		Account:        "123456789012",
		pool:           pool,
		lifetime:       time.Hour,
		calls:          map[string]int{}, faults: map[string][]Fault{},
		identities: map[string]string{}, issued: map[string]issued{},
	}
	s.http = httptest.NewServer(s)
	s.URL = s.http.URL
	return s
}

// Close ends every call in progress and stops listening.
func (s *Server) Close() {
	s.http.CloseClientConnections()
	s.http.Close()
}

// SetLifetime sets the lifetime of credentials that are issued from now on.
func (s *Server) SetLifetime(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lifetime = d
}

// SetLatency sets how long every answer takes.
func (s *Server) SetLatency(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency = d
}

// FailNext makes the next n calls of an operation fail with f.
func (s *Server) FailNext(operation string, n int, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.faults[operation] = append(s.faults[operation], f)
	}
}

// ForgetIdentities deletes every identity of the pool.
func (s *Server) ForgetIdentities() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.identities)
}

// Calls returns the number of calls of an operation.
func (s *Server) Calls(operation string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[operation]
}

const maxBody = 1 << 20

// ServeHTTP answers a call of either service.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return
	}
	if r.Header.Get("X-Amz-Target") != "" {
		s.serveIdentityPool(w, r, body)
		return
	}
	s.serveSTS(w, r, body)
}

// recordCall counts a call, waits for the latency, and returns the fault for the call, if any.
func (s *Server) recordCall(r *http.Request, operation string) (f Fault, fails bool) {
	s.mu.Lock()
	s.calls[operation]++
	latency := s.latency
	if waiting := s.faults[operation]; len(waiting) > 0 {
		f, fails = waiting[0], true
		s.faults[operation] = waiting[1:]
	}
	s.mu.Unlock()
	select {
	case <-time.After(latency):
	case <-r.Context().Done():
	}
	return f, fails
}

// issue returns new credentials for a session with that ARN.
func (s *Server) issue(arn string) (id string, c issued) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	id = fmt.Sprintf("ASIAKYCTEST%09d", s.serial)
	c = issued{
		secret: random(30), session: "IQoJ" + random(300), arn: arn,
		ends: time.Now().Add(s.lifetime).Truncate(time.Second),
	}
	s.issued[id] = c
	return id, c
}

// findCredentials returns credentials that have not expired.
func (s *Server) findCredentials(id string) (issued, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.issued[id]
	return c, ok && time.Now().Before(c.ends)
}

// random returns n random bytes as text, in the alphabet of AWS's secrets.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return base64.StdEncoding.EncodeToString(b)
}

// A refusal is an error answer.
type refusal struct {
	status  int
	code    string
	message string
}
