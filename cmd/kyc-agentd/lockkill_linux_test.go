package main

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/agent/lock"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/file"
	"github.com/legaltalent/kyc-agent/store/keyring"
	"github.com/legaltalent/kyc-agent/store/keyring/keyringtest"
)

// TestKillInMidLock kills the daemon somewhere in a lock, and now and then somewhere in an unlock. The next one
// has finished the lock, or is not locked; nothing is left unwrapped, and no sign-in is lost.
func TestKillInMidLock(t *testing.T) {
	for kind, prepare := range map[string]func(*testing.T, *binaries) (open func() store.Store){
		"file": func(t *testing.T, s *binaries) func() store.Store {
			s.fileStore()
			return func() store.Store {
				identities, _, err := file.FindIdentity(func(string) string { return "" }, s.dir+"/store.key")
				if err != nil {
					t.Fatal(err)
				}
				st, err := file.Open(s.dir+"/.local/state/kyc-agent", identities...)
				if err != nil {
					t.Fatal(err)
				}
				return st
			}
		},
		"keyring": func(t *testing.T, s *binaries) func() store.Store {
			k := keyringtest.Start(t, keyringtest.Unlocked)
			s.env = append(s.env, k.Env()...)
			s.env = append(s.env, "HOME="+s.dir, "XDG_RUNTIME_DIR="+s.dir+"/run")
			return func() store.Store {
				return keyring.New(keyring.Options{Command: []string{testpeer.Build(t, "kyc-agentd"), keyringVerb}, Getenv: k.Getenv})
			}
		},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel() // most of the time goes into scrypt
			s, srv := newSignedIn(t, cognitotest.Rotation(time.Minute))
			open := prepare(t, s)
			p := s.start("--store", kind)
			s.setPassphrase()
			s.login("prod", "ada", "Plum-stone-41")
			s.login("staging", "ada", "Plum-stone-41")
			usual, unlockTime := 60*time.Millisecond, time.Second
			counts := map[string]int{}
			for round := range testpeer.Rounds(4, 100) {
				s.must("kyc-token", "prod")
				done := make(chan struct{})
				go func() {
					defer close(done)
					_ = s.client().Lock(within(t, 10*time.Second), 0)
				}()
				<-time.After(rand.N(usual))
				p.kill()
				<-done
				halves := wrappedIn(t, open())
				if halves[true] > 0 && halves[false] > 0 {
					counts["half"]++
				}
				p = s.start("--store", kind)
				st := s.status()
				if !st.Lock.Locked {
					counts["not locked"]++
				} else {
					counts["locked"]++
					p.kill()
					if left := wrappedIn(t, open())[false]; left > 0 {
						t.Errorf("%d values are left unwrapped", left)
					}
					p = s.start("--store", kind)
					if round%4 == 0 { // scrypt of one that is killed goes on for seconds
						unlocked := make(chan struct{})
						go func() {
							defer close(unlocked)
							_ = s.client().Unlock(within(t, 10*time.Second), agent.NewSecret(lockPassphrase))
						}()
						select {
						case <-unlocked:
						case <-time.After(rand.N(unlockTime)):
						}
						p.kill()
						<-unlocked
						p = s.start("--store", kind)
					}
					if s.status().Lock.Locked {
						s.unlock()
					} else {
						counts["unlocked"]++
					}
				}
				for _, env := range []string{"prod", "staging"} {
					if _, err := s.client().Token(within(t, time.Minute), agent.TokenRequest{Environment: env}); err != nil {
						t.Fatalf("%s is lost: %v", env, err)
					}
				}
			}
			t.Logf("%v", counts)
			if n := srv.SignIns(); n != 2 {
				t.Errorf("%d sign-ins", n)
			}
		})
	}
}

// wrappedIn counts the values of a store that are wrapped, and those that are not.
func wrappedIn(t *testing.T, st store.Store) map[bool]int {
	t.Helper()
	ctx := context.Background()
	keys, err := st.Keys(ctx)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[bool]int{}
	for _, key := range keys {
		value, err := st.Get(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		counts[lock.IsWrapped(value)]++
	}
	if c, ok := st.(interface{ Close() error }); ok {
		_ = c.Close()
	}
	return counts
}
