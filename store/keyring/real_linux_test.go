package keyring_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/keyring"
	"github.com/legaltalent/kyc-agent/store/keyring/keyringtest"
	"github.com/legaltalent/kyc-agent/store/storetest"
)

// storeOn returns a store whose child is this test binary on kr's bus. Its timeout is
// long, so that the tests pass on a busy machine.
func storeOn(kr *keyringtest.Keyring) *keyring.Store { return storeWithTimeout(time.Minute, kr) }

func storeWithTimeout(timeout time.Duration, kr *keyringtest.Keyring) *keyring.Store {
	return keyring.New(keyring.Options{
		Command: keyring.SelfCommand("keyring-child"), Getenv: kr.Getenv,
		Timeout: timeout, PromptTimeout: 2 * time.Minute,
	})
}

func TestConformance(t *testing.T) {
	testpeer.Slow(t)
	var kr *keyringtest.Keyring
	open := func(t *testing.T) store.Store {
		kr = keyringtest.Start(t, keyringtest.Unlocked)
		return storeOn(kr)
	}
	storetest.Run(t, open, storetest.Reopen(func(t *testing.T, _ store.Store) store.Store {
		kr.Stop()
		kr.Restart()
		return storeOn(kr)
	}))
}

// eachOperation runs all four operations and calls check with the error of each.
func eachOperation(ctx context.Context, st store.Store, check func(op string, err error)) {
	_, err := st.Get(ctx, "prod")
	check("Get", err)
	check("Put", st.Put(ctx, "prod", []byte("a value that no error may contain")))
	check("Delete", st.Delete(ctx, "prod"))
	_, err = st.Keys(ctx)
	check("Keys", err)
}

func TestKeyringThatCannotBeUsed(t *testing.T) {
	testpeer.Slow(t)
	for _, c := range []struct {
		mode keyringtest.Mode
		is   error
		want string
	}{
		{keyringtest.Locked, store.ErrLocked, "the keyring is locked; unlock it in your desktop's password manager; without a desktop run: "},
		{keyringtest.NoCollection, store.ErrUnavailable, "keyring unavailable: it has no default collection to keep sign-ins in; log in to your desktop once"},
		{keyringtest.NoService, store.ErrUnavailable, "keyring unavailable: no secret service on the session bus ("},
		{keyringtest.NoBus, store.ErrUnavailable, "keyring unavailable: no session bus ("},
		{keyringtest.Silent, store.ErrUnavailable, "keyring unavailable: no answer within 500ms: it or the session bus hangs; restart it"},
	} {
		t.Run(strings.ReplaceAll(string(c.mode), " ", "-"), func(t *testing.T) {
			kr := keyringtest.Start(t, c.mode)
			st := storeOn(kr)
			if c.mode == keyringtest.Silent {
				st = storeWithTimeout(500*time.Millisecond, kr)
			}
			eachOperation(t.Context(), st, func(op string, err error) {
				if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) || strings.ContainsAny(err.Error(), "\r\n") {
					t.Errorf("%s: %v; want %q", op, err, c.want)
				}
				if errors.Is(err, store.ErrNotFound) {
					t.Errorf("%s: %v wraps ErrNotFound: the sign-in would count as deleted", op, err)
				}
				if got := store.Describe(st).Advice; err != nil && got != err.Error() {
					t.Errorf("Describe advises %q after %q", got, err)
				}
			})
		})
	}
}

// A person is waiting, but the keyring cannot show its prompt anywhere.
func TestLockedWithoutAPrompter(t *testing.T) {
	st := storeOn(keyringtest.Start(t, keyringtest.Locked))
	eachOperation(store.WithPrompt(t.Context()), st, func(op string, err error) {
		if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), "still locked: its prompt was not answered, or could not be shown") {
			t.Errorf("%s: %v", op, err)
		}
	})
}

// A bus that does not answer fails after the short timeout: the two minutes are only for
// a person who has to answer a prompt.
func TestSilentBusWhilePromptIsAllowed(t *testing.T) {
	st := storeWithTimeout(500*time.Millisecond, keyringtest.Start(t, keyringtest.Silent))
	start := time.Now()
	_, err := st.Get(store.WithPrompt(t.Context()), "prod")
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "no answer within 500ms") {
		t.Errorf("Get: %v", err)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("took %v", took)
	}
}

func TestLockAndUnlock(t *testing.T) {
	kr := keyringtest.Start(t, keyringtest.Unlocked)
	st := storeOn(kr)
	mustPut(t, st, "prod", "value")
	kr.Lock()
	if _, err := st.Get(t.Context(), "prod"); !errors.Is(err, store.ErrLocked) {
		t.Fatalf("Get from a locked keyring: %v", err)
	}
	kr.Unlock()
	mustGet(t, st, "prod", "value")
	if advice := store.Describe(st).Advice; advice != "" {
		t.Errorf("Describe still advises %q", advice)
	}
}

func TestFrozenDaemon(t *testing.T) {
	testpeer.Slow(t)
	kr := keyringtest.Start(t, keyringtest.Unlocked)
	mustPut(t, storeOn(kr), "prod", "value")
	st := storeWithTimeout(time.Second, kr)
	thaw := kr.Freeze()
	eachOperation(t.Context(), st, func(op string, err error) {
		if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "no answer within 1s") {
			t.Errorf("%s of a frozen keyring: %v", op, err)
		}
	})
	thaw()
	mustPut(t, storeOn(kr), "prod", "after")
	mustGet(t, storeOn(kr), "prod", "after")
}

func TestDaemonGoneAndBack(t *testing.T) {
	kr := keyringtest.Start(t, keyringtest.Unlocked)
	st := storeOn(kr)
	mustPut(t, st, "prod", "value")
	kr.Stop()
	eachOperation(t.Context(), st, func(op string, err error) {
		if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "no secret service on the session bus") {
			t.Errorf("%s without the daemon: %v", op, err)
		}
	})
	kr.Restart()
	mustGet(t, st, "prod", "value")
}

func TestForeignItemsAreNotListed(t *testing.T) {
	kr := keyringtest.Start(t, keyringtest.Unlocked)
	st := storeOn(kr)
	mustPut(t, st, "prod", "value")
	kr.Store("other-program", "staging", "theirs")
	kr.Store("kyc-agent", "Not A Key", "odd")
	if keys, err := st.Keys(t.Context()); err != nil || !slices.Equal(keys, []string{"prod"}) {
		t.Errorf("Keys = %q, %v; want prod alone", keys, err)
	}
}

func mustPut(t *testing.T, st store.Store, key, value string) {
	t.Helper()
	if err := st.Put(t.Context(), key, []byte(value)); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

func mustGet(t *testing.T, st store.Store, key, want string) {
	t.Helper()
	if got, err := st.Get(t.Context(), key); err != nil || string(got) != want {
		t.Fatalf("Get = %q, %v; want %q", got, err, want)
	}
}
