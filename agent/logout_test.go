package agent_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/memory"
)

// TestLogoutBringsNothingBack checks that a request during the revocation, when the store still
// has the sign-in, does not read it again.
func TestLogoutBringsNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, st := agenttest.NewAuthenticator(), memory.New()
		a := agenttest.NewAgent(t, p, func(o *agent.Options) { o.Store = st })
		agenttest.Login(t, a, "prod")
		hold := make(chan struct{})
		p.Set(func(r *agenttest.Rules) { r.HoldRevoke = hold })
		var done error
		go func() { done = a.Logout(context.Background(), agent.LogoutRequest{Environment: "prod"}) }()
		for range 3 {
			time.Sleep(11 * time.Second) // longer than the pause before the store is read again
			wantSignedOut(t, a)
		}
		close(hold)
		synctest.Wait()
		if done != nil {
			t.Error(done)
		}
		wantSignedOut(t, a)
		if data, err := st.Get(t.Context(), "prod"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the store still has %d bytes (%v)", len(data), err)
		}
	})
}

// TestNoRefreshDuringALogout checks that a request does not start a refresh with a sign-in that
// is about to be revoked, also while the store is slow.
func TestNoRefreshDuringALogout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := agenttest.NewAuthenticator()
		a := agenttest.NewAgent(t, p, func(o *agent.Options) { o.Store = slowReads{o.Store} })
		agenttest.Login(t, a, "prod")
		done := make(chan error)
		go func() { done <- a.Logout(context.Background(), agent.LogoutRequest{Environment: "prod"}) }()
		time.Sleep(time.Second / 2)
		wantSignedOut(t, a)
		if err := <-done; err != nil || p.Refreshes() != 0 {
			t.Errorf("%d refreshes, %v", p.Refreshes(), err)
		}
		agenttest.Login(t, a, "prod")
		time.Sleep(2 * time.Hour)
		if _, err := a.Token(t.Context(), agent.TokenRequest{Environment: "prod"}); err != nil || p.Refreshes() != 1 {
			t.Errorf("after the next login: %d refreshes, %v", p.Refreshes(), err)
		}
	})
}

// slowReads is a store that needs a second to read.
type slowReads struct{ store.Store }

func (s slowReads) Get(ctx context.Context, key string) ([]byte, error) {
	time.Sleep(time.Second)
	return s.Store.Get(ctx, key)
}

// TestTokenDuringALogout checks that a request at the moment of the logout, as a token file
// makes one, leaves neither a token nor a sign-in.
func TestTokenDuringALogout(t *testing.T) {
	for range 300 {
		synctest.Test(t, func(t *testing.T) {
			changed, last := make(chan struct{}, 1), error(nil)
			a := agenttest.NewAgent(t, agenttest.NewAuthenticator(), func(o *agent.Options) {
				o.OnChange = func(string) {
					select {
					case changed <- struct{}{}:
					default:
					}
				}
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				for {
					select {
					case <-changed:
						_, last = a.Token(ctx, agent.TokenRequest{Environment: "prod"})
					case <-ctx.Done():
						return
					}
				}
			}()
			agenttest.Login(t, a, "prod")
			synctest.Wait()
			if err := a.Logout(t.Context(), agent.LogoutRequest{Environment: "prod"}); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			wantSignedOut(t, a)
			if !errors.Is(last, agent.CodeLoginRequired) {
				t.Errorf("after the last change: %v", last)
			}
		})
	}
}

func wantSignedOut(t *testing.T, a *agent.Agent) {
	t.Helper()
	if _, err := a.Token(context.Background(), agent.TokenRequest{Environment: "prod"}); !errors.Is(err, agent.CodeLoginRequired) {
		t.Errorf("after a logout: %v, want %s", err, agent.CodeLoginRequired)
	}
}
