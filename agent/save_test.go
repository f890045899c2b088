package agent_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/store"
)

// freeze makes every write of the store hang until thaw is called.
func (f *fixture) freeze() (thaw func()) {
	hold := make(chan struct{})
	f.store.set(func(s *flakyStore) { s.hold = hold })
	return func() {
		f.store.set(func(s *flakyStore) { s.hold = nil })
		close(hold)
		synctest.Wait()
	}
}

// TestHungStore checks that a store that hangs delays a request by three seconds at most, is
// named as the cause, and loses nothing when it comes back.
func TestHungStore(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Rotate = true }, func(f *fixture) {
		f.p.Set(func(r *agenttest.Rules) { r.Latency = time.Second })
		thaw := f.freeze()
		time.Sleep(2 * time.Hour)
		if _, took := f.must(); took > 4*time.Second {
			t.Errorf("a request waited %s", took)
		}
		f.state(agent.StateUnsaved)
		if e := f.status().LastError; !strings.Contains(e, "not saved") || !strings.Contains(e, "the store has not answered for 3s") {
			t.Errorf("status says %q", e)
		}
		time.Sleep(2 * time.Hour)
		if _, took := f.must(); took > 4*time.Second { // with the token from memory
			t.Errorf("a request waited %s", took)
		}
		thaw()
		f.state(agent.StateFresh)
		f.restart()
		f.must()
	})
}

func TestHungStoreBoundsStopAndLogout(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Rotate = true }, func(f *fixture) {
		thaw := f.freeze()
		time.Sleep(2 * time.Hour)
		f.must()
		took, err := f.logout(agent.LogoutHere)
		if took > 20*time.Second || !errors.Is(err, agent.CodeUnavailable) || !strings.Contains(err.Error(), "still in the store") {
			t.Errorf("logged out after %s: %v", took, err)
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 65*time.Second)
		defer cancel()
		_ = f.a.Close(ctx)
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("closed after %s", took)
		}
		thaw()
		if keys, _ := f.store.Keys(f.t.Context()); len(keys) != 0 || f.p.Live() != 0 {
			t.Errorf("left after the thaw: keys %v, %d live", keys, f.p.Live())
		}
	})
}

// What a refresh learned beside its refresh token is not worth a wait, nor an alarm.
func TestHungStoreAfterAnUnrotatedRefresh(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		f.restart()
		f.p.Set(func(r *agenttest.Rules) { r.RefreshAPI = "initiate-auth" })
		thaw := f.freeze()
		if _, took := f.must(); took > 0 {
			t.Errorf("a request waited %s for a save that changes nothing essential", took)
		}
		time.Sleep(10 * time.Second)
		if st := f.status(); st.State != agent.StateFresh || st.LastError != "" {
			t.Errorf("state %s, %q", st.State, st.LastError)
		}
		thaw()
	})
}

// The first rotation has two things to store, and a request waits for one of them.
func TestSlowStoreAtTheFirstRotation(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Rotate = true }, func(f *fixture) {
		f.store.set(func(s *flakyStore) { s.slow = 2 * time.Second })
		time.Sleep(2 * time.Hour)
		if _, took := f.must(); took != 2*time.Second {
			t.Errorf("a request waited %s for a store that takes 2s", took)
		}
		time.Sleep(10 * time.Second)
		if keys, _ := f.store.Keys(f.t.Context()); len(keys) != 2 {
			t.Errorf("keys %v, want the record and the first refresh token", keys)
		}
	})
}

func TestRestartedAgentWritesNothing(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.RefreshAPI = "initiate-auth" }, func(f *fixture) {
		time.Sleep(2 * time.Hour)
		f.must()
		synctest.Wait()
		before := f.store.puts
		f.restart()
		f.must()
		synctest.Wait()
		if f.store.puts != before {
			t.Errorf("%d writes for an unchanged record", f.store.puts-before)
		}
	})
}

// An older value that is late must not overwrite a newer one.
func TestLateWrites(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Rotate = true }, func(f *fixture) {
		thaw := f.freeze()
		for range 3 {
			time.Sleep(2 * time.Hour)
			f.must()
		}
		thaw()
		f.restart()
		f.must()
		thaw = f.freeze()
		time.Sleep(2 * time.Hour)
		f.must()
		_, _ = f.logout(agent.LogoutLocal)
		thaw()
		if keys, _ := f.store.Keys(f.t.Context()); len(keys) != 0 {
			t.Errorf("keys %v after a logout", keys)
		}
	})
}

// TestStoreNeedsAPerson checks the codes of what only a person can correct, and that an agent
// that signs in by itself does so nevertheless.
func TestStoreNeedsAPerson(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		code agent.Code
	}{
		"damaged":  {fmt.Errorf("prod.age is %w; sign in again: kyc-agentd login prod", store.ErrDamaged), agent.CodeLoginRequired},
		"unusable": {fmt.Errorf("prod.age is open to others (%w); run: chmod 600 prod.age", store.ErrUnusable), agent.CodeConfiguration},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(f *fixture) {
				f.restart()
				f.store.set(func(s *flakyStore) { s.get = c.err })
				for range 3 {
					if _, err := f.ask(); !errors.Is(err, c.code) || !strings.Contains(err.Error(), c.err.Error()) {
						t.Fatal(err)
					}
				}
				f.store.set(func(s *flakyStore) { s.get = nil })
				time.Sleep(11 * time.Second)
				f.must()
			})
		})
		t.Run(name+", unattended", func(t *testing.T) {
			unattended(t, agenttest.Password, func(f *fixture, _ *credential) {
				f.must()
				f.restart()
				f.store.set(func(s *flakyStore) { s.get = c.err })
				time.Sleep(10 * time.Minute)
				f.must()
				if n := f.logins(); n != 2 {
					t.Errorf("%d sign-ins", n)
				}
			})
		})
	}
}

// TestRejectedIsLeft checks that a refusal ends when there is another record: a person has put
// a newer one back, or another agent has signed in.
func TestRejectedIsLeft(t *testing.T) {
	for name, notice := range map[string]func(f *fixture){
		"a request": func(*fixture) { time.Sleep(11 * time.Second) },
		"a reload":  func(f *fixture) { f.configure(func(*agent.Environment) {}) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *agenttest.Rules) { r.Rotate = true }, func(f *fixture) {
				time.Sleep(2 * time.Hour)
				old, err := f.store.Get(f.t.Context(), "prod")
				if err != nil {
					t.Fatal(err)
				}
				f.must()
				newest, err := f.store.Get(f.t.Context(), "prod")
				if err != nil {
					t.Fatal(err)
				}
				if err := f.a.Close(f.t.Context()); err != nil {
					t.Fatal(err)
				}
				_ = f.store.Put(f.t.Context(), "prod", old)
				f.start()
				for range 100 {
					if _, err := f.ask(); !errors.Is(err, agent.CodeLoginRequired) {
						t.Fatal(err)
					}
					time.Sleep(time.Second)
				}
				f.refreshes(2)
				_ = f.store.Put(f.t.Context(), "prod", newest)
				notice(f)
				f.must()
				f.state(agent.StateFresh)
			})
		})
	}
}

func TestAbsentIsLeft(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		record, err := f.store.Get(f.t.Context(), "prod")
		if err != nil {
			t.Fatal(err)
		}
		_ = f.store.Delete(f.t.Context(), "prod")
		f.restart()
		for range 5 {
			if _, err := f.ask(); !errors.Is(err, agent.CodeLoginRequired) {
				t.Fatal(err)
			}
		}
		_ = f.store.Put(f.t.Context(), "prod", record) // a keyring that came late
		time.Sleep(11 * time.Second)
		f.must()
	})
}

// TestReplacedSignInOfAKilledAgent checks that a login which is cut off after its record is
// stored leaves no live sign-in that nobody has.
func TestReplacedSignInOfAKilledAgent(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Rotate = true }, func(f *fixture) {
		time.Sleep(2 * time.Hour)
		f.must()
		hold := make(chan struct{})
		f.p.Set(func(r *agenttest.Rules) { r.HoldRevoke = hold })
		agenttest.Login(t, f.a, "prod")
		synctest.Wait()
		if f.p.Live() != 2 {
			t.Fatalf("%d live", f.p.Live())
		}
		killed := f.a // as far as the store and the provider can tell
		f.p.Set(func(r *agenttest.Rules) { r.HoldRevoke = nil })
		f.start()
		synctest.Wait()
		if f.p.Live() != 1 {
			t.Errorf("%d sign-ins live at the provider after a kill in the middle of a login", f.p.Live())
		}
		f.must()
		synctest.Wait()
		if keys, _ := f.store.Keys(f.t.Context()); len(keys) != 1 {
			// the first refresh of the new sign-in stores its first token, too
			if len(keys) != 2 || keys[1] != "prod--first" {
				t.Errorf("keys %v", keys)
			}
		}
		close(hold)
		_ = killed.Close(context.Background())
	})
}

// A login that is cut off before its record is stored ends nothing: the previous sign-in is
// still the stored one.
func TestReplacedSignInThatIsStillThere(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Rotate = true }, func(f *fixture) {
		record, err := f.store.Get(f.t.Context(), "prod")
		if err != nil {
			t.Fatal(err)
		}
		if err := f.store.Put(f.t.Context(), "prod--replaced", record); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		f.must()
		f.restart()
		synctest.Wait()
		f.must()
		if n := len(f.p.Revoked()); n != 0 {
			t.Errorf("%d sign-ins revoked", n)
		}
	})
}

// A sign-in that could be stored only later ends the previous one then.
func TestReplacedSignInIsEndedLater(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		f.store.set(func(s *flakyStore) { s.put = errors.New("disk full") })
		agenttest.Login(t, f.a, "prod")
		synctest.Wait()
		if f.p.Live() != 2 {
			t.Error("the sign-in that the store still has was ended")
		}
		f.store.set(func(s *flakyStore) { s.put = nil })
		time.Sleep(time.Minute)
		if f.p.Live() != 1 {
			t.Errorf("%d live", f.p.Live())
		}
	})
}

// A replaced sign-in that the provider does not revoke at once, because it throttles, is revoked
// by and by.
func TestReplacedSignInIsRevokedAgain(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		f.p.Set(func(r *agenttest.Rules) { r.Revoke = agenttest.Unavailable("prod", "Cognito throttles") })
		agenttest.Login(t, f.a, "prod")
		time.Sleep(10 * time.Minute)
		calls := len(f.p.Sent())
		if f.p.Live() != 2 || calls > 30 { // one every 5 s would be 120
			t.Errorf("%d live after %d calls", f.p.Live(), calls)
		}
		f.p.Set(func(r *agenttest.Rules) { r.Revoke = nil })
		time.Sleep(5*time.Minute + time.Second)
		if f.p.Live() != 1 {
			t.Errorf("%d live", f.p.Live())
		}
		if _, err := f.store.Get(t.Context(), "prod--replaced"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the store still has it: %v", err)
		}
		before := len(f.p.Sent())
		time.Sleep(time.Hour)
		if after := len(f.p.Sent()); after != before {
			t.Errorf("%d more calls", after-before)
		}
	})
}

// A takenStore loses all that it has, and says so.
type takenStore struct {
	*flakyStore
	taken atomic.Bool
}

func (s *takenStore) Intact(context.Context) (bool, error) { return !s.taken.Swap(false), nil }

func (s *takenStore) take(t *testing.T) {
	keys, _ := s.Keys(t.Context())
	for _, key := range keys {
		if err := s.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	s.taken.Store(true)
}

// TestTakenRecords takes the records from the store, and nothing is rotated afterwards. The agent
// saves them again by itself within a minute, or when it ends.
func TestTakenRecords(t *testing.T) {
	for name, wait := range map[string]time.Duration{"within a minute": time.Minute, "at the end": 0} {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restarted %t", name, restarted), func(t *testing.T) {
				inBubble(t, nil, func(f *fixture) {
					taken := &takenStore{flakyStore: f.store}
					f.checked = taken
					f.restart()
					f.must()
					if !restarted { // the record was written by this agent, not read
						agenttest.Login(t, f.a, "prod")
					}
					taken.take(t)
					time.Sleep(wait)
					synctest.Wait()
					if keys, _ := f.store.Keys(t.Context()); wait > 0 && len(keys) != 1 {
						t.Errorf("the store has %v", keys)
					}
					f.state(agent.StateFresh)
					f.restart()
					f.must()
				})
			})
		}
	}
}

// What was signed out, or refused, is not saved again.
func TestTakenRecordsOfNobody(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		taken := &takenStore{flakyStore: f.store}
		f.checked = taken
		f.restart()
		f.must()
		if _, err := f.logout(agent.LogoutHere); err != nil {
			t.Fatal(err)
		}
		taken.take(t)
		time.Sleep(time.Minute)
		synctest.Wait()
		if keys, _ := f.store.Keys(t.Context()); len(keys) != 0 {
			t.Errorf("the store has %v", keys)
		}
	})
}

// A slowKeyStore takes a second for one key.
type slowKeyStore struct {
	*flakyStore
	key string
}

func (s *slowKeyStore) Put(ctx context.Context, key string, value []byte) error {
	if key == s.key {
		time.Sleep(time.Second)
	}
	return s.flakyStore.Put(ctx, key, value)
}

// TestLimitIsSaved: a login for a limited time returns when the store has the limit, too. The
// agent may be killed then, and the next one looks at a sign-in by itself only if it has one.
func TestLimitIsSaved(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		f.checked = &slowKeyStore{f.store, "prod--until"}
		f.restart()
		err := f.a.Login(context.Background(), agent.LoginRequest{
			Environment: "prod", Username: agenttest.User, Password: agent.NewSecret(agenttest.Password), For: time.Hour,
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if keys, _ := f.store.Keys(t.Context()); !slices.Contains(keys, "prod") || !slices.Contains(keys, "prod--until") {
			t.Errorf("the store has %v", keys)
		}
	})
}

// TestLimitOfAnEarlierSignIn kills an agent when it has stored a sign-in without a limit and not
// yet deleted the limit of the one before: that does not end the new one.
func TestLimitOfAnEarlierSignIn(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		login := func(limit time.Duration) {
			t.Helper()
			err := f.a.Login(context.Background(), agent.LoginRequest{
				Environment: "prod", Username: agenttest.User, Password: agent.NewSecret(agenttest.Password), For: limit,
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
		}
		login(time.Hour)
		stale, err := f.store.Get(t.Context(), "prod--until")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		login(0)
		if err := f.store.Put(t.Context(), "prod--until", stale); err != nil {
			t.Fatal(err)
		}
		f.restart()
		time.Sleep(2 * time.Hour)
		f.must()
		if keys, _ := f.store.Keys(t.Context()); slices.Contains(keys, "prod--until") {
			t.Errorf("the store has %v", keys)
		}
	})
}
