package keyring_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/keyring"
	"github.com/legaltalent/kyc-agent/store/keyring/keyringtest"
)

func fakeKeyring(t *testing.T, f *fakeService) *keyring.Store {
	t.Helper()
	kr := keyringtest.Start(t, keyringtest.NoService)
	f.serve(t, kr)
	return storeOn(kr)
}

func wantError(t *testing.T, err, is error, text string) {
	t.Helper()
	if err == nil || is != nil && !errors.Is(err, is) || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v; want one that wraps %v and has %q", err, is, text)
	}
}

// A request for a token must never open a dialog, so a locked keyring is not even asked
// to unlock.
func TestNoPromptWithoutAPerson(t *testing.T) {
	for name, f := range map[string]*fakeService{
		"collection": {locked: true, value: "v"},
		"item":       {itemLocked: true, value: "v"},
	} {
		t.Run(name, func(t *testing.T) {
			f.onPrompt = func(func(bool)) { t.Error("a prompt was shown") }
			_, err := fakeKeyring(t, f).Get(t.Context(), "prod")
			wantError(t, err, store.ErrLocked, "the keyring is locked; unlock it")
			if n := f.unlockCalls(); n != 0 {
				t.Errorf("%d calls of Unlock", n)
			}
		})
	}
}

func TestPromptAnswered(t *testing.T) {
	f := &fakeService{locked: true, value: "kept", onPrompt: func(complete func(bool)) { complete(false) }}
	st, ctx := fakeKeyring(t, f), store.WithPrompt(t.Context())
	if keys, err := st.Keys(ctx); err != nil || !slices.Equal(keys, []string{"prod"}) {
		t.Errorf("Keys = %q, %v", keys, err)
	}
	f.lock()
	if value, err := st.Get(ctx, "prod"); err != nil || string(value) != "kept" {
		t.Errorf("Get = %q, %v", value, err)
	}
}

func TestPromptDismissed(t *testing.T) {
	f := &fakeService{locked: true, value: "kept", onPrompt: func(complete func(bool)) { complete(true) }}
	eachOperation(store.WithPrompt(t.Context()), fakeKeyring(t, f), func(op string, err error) {
		wantError(t, err, store.ErrLocked, "the keyring is still locked: its prompt was not answered")
	})
}

func TestPromptIgnored(t *testing.T) {
	testpeer.Slow(t)
	kr := keyringtest.Start(t, keyringtest.NoService)
	f := &fakeService{locked: true, value: "kept", onPrompt: func(func(bool)) {}}
	f.serve(t, kr)
	st := keyring.New(keyring.Options{
		Command: keyring.SelfCommand("keyring-child"), Getenv: kr.Getenv, PromptTimeout: 5 * time.Second,
	})
	_, err := st.Get(store.WithPrompt(t.Context()), "prod")
	wantError(t, err, store.ErrLocked, "the keyring is still locked: its prompt was not answered")
}

// go-keyring treats a dismissed prompt of CreateItem or Delete as success.
func TestDismissedChangesAreNoticed(t *testing.T) {
	dismiss := func(complete func(bool)) { complete(true) }
	ask := func(string) (prompt, answerFor) { return thePrompt, nil }
	for name, f := range map[string]*fakeService{
		"new value":   {onPrompt: dismiss, createItem: ask},
		"other value": {onPrompt: dismiss, createItem: ask, value: "old"},
	} {
		t.Run(name, func(t *testing.T) {
			err := fakeKeyring(t, f).Put(t.Context(), "prod", []byte("new"))
			wantError(t, err, nil, "keyring: it reported success for put prod, but did not do it: its prompt may have been dismissed")
		})
	}
	f := &fakeService{onPrompt: dismiss, deleteAsks: true, value: "old"}
	err := fakeKeyring(t, f).Delete(t.Context(), "prod")
	wantError(t, err, nil, "keyring: it reported success for delete prod, but did not do it")
}

// go-keyring panics when the bus ends while it waits for the end of a prompt. If the bus
// ends before it waits, it gets an error instead.
func TestBusDiesDuringAPrompt(t *testing.T) {
	kr := keyringtest.Start(t, keyringtest.NoService)
	f := &fakeService{locked: true, value: "v"}
	f.onPrompt = func(func(bool)) {
		for range 100 { // enough time for go-keyring to begin waiting
			_ = f.conn.BusObject().Call("org.freedesktop.DBus.GetId", 0).Err
		}
		kr.StopBus()
	}
	f.serve(t, kr)
	_, err := storeOn(kr).Get(store.WithPrompt(t.Context()), "prod")
	if err == nil || strings.Contains(err.Error(), "no session bus (") {
		wantError(t, err, store.ErrUnavailable, "EOF")
		return
	}
	wantError(t, err, store.ErrUnavailable, "its helper crashed (runtime error: invalid memory address or nil pointer dereference); the session bus may have gone away: try again")
}

func TestOddAnswersOfTheService(t *testing.T) {
	f := &fakeService{collections: "none"}
	err := fakeKeyring(t, f).Put(t.Context(), "prod", []byte("v"))
	wantError(t, err, store.ErrUnavailable, "it failed (org.freedesktop.Secret.Service.Collections is of another type than the Secret Service API says)")
}

// If a service quotes the value in its error, the store's error does not contain it.
func TestErrorThatQuotesTheValue(t *testing.T) {
	const value = "a refresh token"
	f := &fakeService{createItem: func(v string) (prompt, answerFor) {
		return none, dbus.NewError("com.example.Refused", []any{"cannot store " + v})
	}}
	err := fakeKeyring(t, f).Put(t.Context(), "prod", []byte(value))
	wantError(t, err, store.ErrUnavailable, "it failed (com.example.Refused); try again")
	if strings.Contains(err.Error(), value) {
		t.Errorf("the value is in the message: %v", err)
	}
}

func TestLockedAsAnError(t *testing.T) {
	f := &fakeService{createItem: func(string) (prompt, answerFor) {
		return none, dbus.NewError("org.freedesktop.Secret.Error.IsLocked", nil)
	}}
	err := fakeKeyring(t, f).Put(t.Context(), "prod", []byte("v"))
	wantError(t, err, store.ErrLocked, "the keyring is locked")
}
