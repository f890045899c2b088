package cognito

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

// A refreshMemory remembers of each environment how its last refresh ended, if that matters for
// the next one. It is safe for concurrent use.
type refreshMemory struct {
	mu         sync.Mutex
	unanswered map[string]unansweredRefresh
	unverified map[string]*unverifiedRefresh
}

// An unansweredRefresh is a refresh that was sent and whose answer did not arrive. Cognito may
// have rotated the refresh token; it then refuses the old one as used a second time.
type unansweredRefresh struct {
	token [sha256.Size]byte // hash of the refresh token
	late  bool              // the wait for the answer ended; otherwise the connection did
}

// An unverifiedRefresh is the answer to a refresh whose ID token could not be verified, because
// the signing keys were out of reach. The next refresh needs only the keys.
type unverifiedRefresh struct {
	clientID     string
	refreshToken agent.Secret // the one that is valid after the refresh
	refreshAPI   string
	idToken      agent.Secret
	accessToken  agent.Secret
	expiresIn    int32
	x            *awscall.Exchange
}

// answer is what Cognito answered, but for the refresh token.
func (r *unverifiedRefresh) answer() *types.AuthenticationResultType {
	return &types.AuthenticationResultType{
		IdToken: aws.String(r.idToken.Reveal()), AccessToken: aws.String(r.accessToken.Reveal()), ExpiresIn: r.expiresIn,
	}
}

// unverifiedLifetime is how long an ID token is kept without being verified.
const unverifiedLifetime = 10 * time.Minute

func (m *refreshMemory) init() {
	m.unanswered, m.unverified = map[string]unansweredRefresh{}, map[string]*unverifiedRefresh{}
}

// noteUnanswered remembers a refresh with token that failed, if its answer may have got lost.
func (m *refreshMemory) noteUnanswered(env string, token agent.Secret, f *failure) {
	if !f.Sent || f.Code != "" && f.Status < 500 || f.Status >= 300 && f.Status < 500 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unanswered[env] = unansweredRefresh{token: sha256.Sum256([]byte(token.Reveal())), late: f.Cause != nil}
}

// lostAnswer returns how the answer to the last refresh with token got lost, if it did.
func (m *refreshMemory) lostAnswer(env string, token agent.Secret) (lost unansweredRefresh, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	lost, ok = m.unanswered[env]
	return lost, ok && lost.token == sha256.Sum256([]byte(token.Reveal()))
}

// keepUnverified remembers the answer r to a refresh, which made s the sign-in.
func (m *refreshMemory) keepUnverified(env agent.Environment, s agent.SignIn, r *types.AuthenticationResultType, x *awscall.Exchange) {
	kept := &unverifiedRefresh{
		clientID: env.ClientID, refreshToken: s.RefreshToken, refreshAPI: s.RefreshAPI,
		idToken: agent.NewSecret(aws.ToString(r.IdToken)), accessToken: agent.NewSecret(aws.ToString(r.AccessToken)), expiresIn: r.ExpiresIn, x: x,
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unverified[env.Name] = kept
	time.AfterFunc(unverifiedLifetime, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.unverified[env.Name] == kept {
			delete(m.unverified, env.Name)
		}
	})
}

// findUnverified returns the answer that is kept for s, or nil.
func (m *refreshMemory) findUnverified(env agent.Environment, s agent.SignIn) *unverifiedRefresh {
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := m.unverified[env.Name]
	if kept == nil || kept.clientID != env.ClientID || !kept.refreshToken.Equal(s.RefreshToken) {
		return nil
	}
	return kept
}

// forgetUnverified drops the answer that is kept for an environment.
func (m *refreshMemory) forgetUnverified(env string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.unverified, env)
}

// forget drops everything about an environment.
func (m *refreshMemory) forget(env string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.unanswered, env)
	delete(m.unverified, env)
}
