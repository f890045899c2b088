package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/agent/lock"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/file"
	"github.com/legaltalent/kyc-agent/store/keyring"
	"github.com/legaltalent/kyc-agent/store/keyring/keyringtest"
)

// TestKillInMidLock kills the daemon somewhere in a lock, and somewhere in an unlock. The next one
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
			s.env = append(s.env, "HOME="+s.dir, "XDG_RUNTIME_DIR="+s.dir+"/run", "XDG_STATE_HOME="+s.dir+"/.local/state")
			return func() store.Store {
				return keyring.New(keyring.Options{Command: []string{testpeer.Build(t, "kyc-agentd"), keyringVerb}, Getenv: k.Getenv})
			}
		},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s, srv := newSignedIn(t, cognitotest.Rotation(time.Minute))
			open := prepare(t, s)
			s.cheapPassphrase()
			p := s.start("--store", kind)
			s.login("prod", "ada", "Plum-stone-41")
			s.login("staging", "ada", "Plum-stone-41")
			lockTime, unlockTime := 60*time.Millisecond, 200*time.Millisecond
			rounds := testpeer.Rounds(4, 100)
			if kind == "keyring" { // a process reads each value, and another one writes it
				lockTime, unlockTime = 5*lockTime, 5*unlockTime
				rounds = testpeer.Rounds(4, 60)
			}
			counts := map[string]int{}
			for range rounds {
				s.must("kyc-token", "prod")
				done := make(chan struct{})
				go func() {
					defer close(done)
					_ = s.client().Lock(within(t, 10*time.Second), 0)
				}()
				<-time.After(rand.N(lockTime))
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

// cheapPassphrase sets the passphrase of an agent that has not been started, so that an unlock
// takes milliseconds of scrypt, and not a second: kills would all come before it writes anything.
func (s *binaries) cheapPassphrase() {
	s.t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		s.t.Fatal(err)
	}
	to, err := age.NewScryptRecipient(lockPassphrase)
	if err != nil {
		s.t.Fatal(err)
	}
	to.SetWorkFactor(10)
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, to)
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = io.WriteString(w, id.String())
	if err := errors.Join(err, w.Close()); err != nil {
		s.t.Fatal(err)
	}
	dir := filepath.Join(s.dir, ".local/state/kyc-agent")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := lock.New(dir).SetPassphrase(id.Recipient().String(), sealed.Bytes()); err != nil {
		s.t.Fatal(err)
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
