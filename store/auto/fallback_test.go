package auto_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/auto"
	"github.com/legaltalent/kyc-agent/store/keyring"
	"github.com/legaltalent/kyc-agent/store/memory"
	"github.com/legaltalent/kyc-agent/store/storetest"
)

var (
	errNoBus  = fmt.Errorf("keyring %w: no session bus", store.ErrUnavailable)
	errLocked = fmt.Errorf("the keyring is %w", store.ErrLocked)
	errSilent = fmt.Errorf("keyring %w: %w", store.ErrUnavailable, keyring.ErrTimeout)
)

const interval = 2 * time.Second

// A fakeStore is a store of some kind whose operations fail while err is set.
type fakeStore struct {
	*memory.Store
	info  store.Info
	err   error
	asked atomic.Int32
}

func newKeyring(err error) *fakeStore {
	return &fakeStore{Store: memory.New(), info: store.Info{Kind: "keyring", Lasting: true}, err: err}
}

func newFile() *fakeStore {
	return &fakeStore{Store: memory.New(), info: store.Info{Kind: "file", Detail: "/state", Lasting: true}}
}

func (f *fakeStore) Describe() store.Info { return f.info }

func (f *fakeStore) Get(ctx context.Context, key string) ([]byte, error) {
	if f.asked.Add(1); f.err != nil {
		return nil, f.err
	}
	return f.Store.Get(ctx, key)
}

func (f *fakeStore) Put(ctx context.Context, key string, value []byte) error {
	if f.asked.Add(1); f.err != nil {
		return f.err
	}
	return f.Store.Put(ctx, key, value)
}

func (f *fakeStore) Delete(ctx context.Context, key string) error {
	if f.asked.Add(1); f.err != nil {
		return f.err
	}
	return f.Store.Delete(ctx, key)
}

func (f *fakeStore) Keys(ctx context.Context) ([]string, error) {
	if f.asked.Add(1); f.err != nil {
		return nil, f.err
	}
	return f.Store.Keys(ctx)
}

func put(t *testing.T, st store.Store, key, value string) {
	t.Helper()
	if err := st.Put(t.Context(), key, []byte(value)); err != nil {
		t.Fatalf("Put(%s): %v", key, err)
	}
}

func want(t *testing.T, st store.Store, key, value string) {
	t.Helper()
	if got, err := st.Get(t.Context(), key); err != nil || string(got) != value {
		t.Fatalf("Get(%s) = %q, %v; want %q", key, got, err, value)
	}
}

func wantMissing(t *testing.T, st store.Store, key string, final bool) {
	t.Helper()
	got, err := st.Get(t.Context(), key)
	if !errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrUnavailable) == final {
		t.Fatalf("Get(%s) = %q, %v; want a miss, final: %v", key, got, err, final)
	}
}

func wantUnknown(t *testing.T, st store.Store, key string, kind error) {
	t.Helper()
	got, err := st.Get(t.Context(), key)
	if !errors.Is(err, kind) || errors.Is(err, store.ErrNotFound) {
		t.Fatalf("Get(%s) = %q, %v; want %v alone", key, got, err, kind)
	}
}

func wantKeys(t *testing.T, st store.Store, want string) {
	t.Helper()
	if keys, err := st.Keys(t.Context()); err != nil || strings.Join(keys, " ") != want {
		t.Fatalf("Keys = %q, %v; want %s", keys, err, want)
	}
}

func wantInfo(t *testing.T, st store.Store, want store.Info) {
	t.Helper()
	if got := store.Describe(st); got != want {
		t.Fatalf("Describe = %+v, want %+v", got, want)
	}
}

// With a keyring that came late both fallbacks are stores like any other.
func TestFallbackConformance(t *testing.T) {
	lasting := storetest.Reopen(func(_ *testing.T, old store.Store) store.Store { return old })
	t.Run("memory", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store {
			st := auto.FallbackForTest(newKeyring(nil), nil, nil, 0)
			wantKeys(t, st, "")
			return st
		}, lasting)
	})
	t.Run("asked for", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store { return openStore(t, auto.Options{Kind: auto.Memory}) })
	})
	t.Run("file", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store {
			return auto.FallbackForTest(memory.New(), newFile(), nil, 0)
		}, lasting)
	})
}

// A sign-in in a keyring that comes after the daemon is found at the next miss.
func TestKeyringComesLate(t *testing.T) {
	for name, file := range map[string]store.Store{"memory": nil, "file": newFile()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kr := newKeyring(errNoBus)
				put(t, kr.Store, "prod", "in the keyring")
				st := auto.FallbackForTest(kr, file, errNoBus, interval)
				for range 3 {
					wantMissing(t, st, "prod", false)
				}
				if n := kr.asked.Load(); n != 0 {
					t.Errorf("the keyring was asked %d times just after the start", n)
				}
				time.Sleep(interval)
				for range 3 {
					wantMissing(t, st, "prod", false)
				}
				if n := kr.asked.Load(); n != 1 {
					t.Errorf("the keyring was asked %d times, want once in %v", n, interval)
				}
				kr.err = nil
				time.Sleep(interval)
				want(t, st, "prod", "in the keyring")
				wantMissing(t, st, "staging", true)
				wantKeys(t, st, "prod")
			})
		})
	}
}

// A keyring that is locked or silent may have the value: its absence is not known.
func TestKeyringComesLateAndLocked(t *testing.T) {
	for name, file := range map[string]store.Store{"memory": nil, "file": newFile()} {
		for _, reason := range []error{errLocked, errSilent} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					kr := newKeyring(reason)
					put(t, kr.Store, "prod", "in the keyring")
					st := auto.FallbackForTest(kr, file, errNoBus, interval)
					time.Sleep(interval)
					wantUnknown(t, st, "prod", reason)
					kr.err = nil
					time.Sleep(interval)
					want(t, st, "prod", "in the keyring")
				})
			})
		}
	}
}

// Sign-ins that were made before the keyring came are moved to it by the first operation
// that it answers, and Describe follows.
func TestMemoryIsMovedToTheKeyring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kr := newKeyring(errNoBus)
		st := auto.FallbackForTest(kr, nil, errNoBus, interval)
		put(t, st, "prod", "early")
		want(t, st, "prod", "early")
		wantInfo(t, st, store.Info{Kind: "memory", Advice: "sign-ins end with the daemon: " + errNoBus.Error()})
		kr.err = nil
		time.Sleep(interval)
		put(t, st, "staging", "late")
		want(t, kr.Store, "prod", "early")
		want(t, kr.Store, "staging", "late")
		wantKeys(t, st, "prod staging")
		wantInfo(t, st, store.Info{Kind: "keyring", Lasting: true})
		kr.err = errLocked // and it stays the keyring, whatever becomes of it
		wantUnknown(t, st, "prod", store.ErrLocked)
	})
}

// What the keyring does not take stays in memory, as new as it is, and is moved later.
func TestMemoryIsKeptUntilTheKeyringTakesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kr := newKeyring(errNoBus)
		st := auto.FallbackForTest(kr, nil, errNoBus, interval)
		put(t, st, "prod", "1")
		kr.err = errLocked
		time.Sleep(interval)
		if err := st.Put(t.Context(), "prod", []byte("2")); !errors.Is(err, store.ErrLocked) {
			t.Errorf("Put = %v, want ErrLocked", err)
		}
		want(t, st, "prod", "2")
		if info := store.Describe(st); info.Kind != "memory" || info.Lasting {
			t.Errorf("Describe = %+v, but a sign-in is in memory only", info)
		}
		kr.err = nil
		wantMissing(t, st, "staging", true)
		want(t, kr.Store, "prod", "2")
		wantInfo(t, st, store.Info{Kind: "keyring", Lasting: true})
		put(t, st, "prod", "3")
		want(t, kr.Store, "prod", "3")
		if err := st.Delete(t.Context(), "prod"); err != nil {
			t.Fatal(err)
		}
		wantMissing(t, kr.Store, "prod", true)
	})
}

// Between files and keyring nothing is moved: each value is read, replaced and removed
// where it is, and a keyring that goes away is no reason to use another place.
func TestFilesAndKeyringKeepWhatTheyHave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kr, files := newKeyring(nil), newFile()
		put(t, kr.Store, "prod", "1")
		put(t, files, "staging", "1")
		st := auto.FallbackForTest(kr, files, errNoBus, interval)
		time.Sleep(interval)
		put(t, st, "prod", "2")
		put(t, st, "staging", "2")
		put(t, st, "ci", "2")
		wantKeys(t, kr.Store, "prod")
		wantKeys(t, files, "ci staging")
		wantKeys(t, st, "ci prod staging")
		wantInfo(t, st, store.Info{
			Kind: "file", Detail: "/state", Lasting: true,
			Advice: "kept in the keyring, which could not be reached when the agent started: prod",
		})
		kr.err = errNoBus
		wantUnknown(t, st, "prod", store.ErrUnavailable)
		if err := st.Put(t.Context(), "prod", []byte("3")); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Put = %v, want the keyring's error", err)
		}
		if err := st.Delete(t.Context(), "prod"); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Delete = %v, want the keyring's error", err)
		}
		put(t, st, "staging", "3")
		wantKeys(t, files, "ci staging")
		kr.err = nil
		time.Sleep(interval)
		want(t, st, "prod", "2")
		for _, key := range []string{"prod", "staging", "ci"} {
			if err := st.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		wantKeys(t, st, "")
		wantInfo(t, st, store.Info{Kind: "file", Detail: "/state", Lasting: true})
	})
}
