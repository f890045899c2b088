package auto_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/auto"
	"github.com/legaltalent/kyc-agent/store/keyring"
	"github.com/legaltalent/kyc-agent/store/keyring/keyringtest"
)

func TestChoiceWithARealKeyring(t *testing.T) {
	for mode, want := range map[keyringtest.Mode]string{
		keyringtest.Unlocked:     "keyring",
		keyringtest.Locked:       "keyring",
		keyringtest.NoCollection: "file",
		keyringtest.NoService:    "file",
		keyringtest.NoBus:        "file",
		keyringtest.Silent:       "keyring",
	} {
		timeout := time.Minute
		if mode == keyringtest.Silent {
			timeout = 500 * time.Millisecond
		}
		st := openStore(t, auto.Options{
			KeyFile: newKey(t), Getenv: keyringtest.Start(t, mode).Getenv,
			KeyringCommand: keyring.SelfCommand("keyring-child"), KeyringTimeout: timeout,
		})
		if info := store.Describe(st); info.Kind != want {
			t.Errorf("%s: chose %+v, want %s", mode, info, want)
		}
	}
}

// A keyring that the daemon did not find at its start, for want of a bus or of a keyring
// on it, is found later; one that was silent is used as soon as it answers.
func TestRealKeyringComesLate(t *testing.T) {
	testpeer.Slow(t)
	for name, begin := range map[string]func(k *keyringtest.Keyring, bus *atomic.Bool) (later func()){
		"no bus": func(_ *keyringtest.Keyring, bus *atomic.Bool) func() {
			bus.Store(false)
			return func() { bus.Store(true) }
		},
		"no keyring": func(k *keyringtest.Keyring, _ *atomic.Bool) func() { k.Stop(); return k.Restart },
		"silent":     func(k *keyringtest.Keyring, _ *atomic.Bool) func() { return k.Freeze() },
	} {
		for _, keyFile := range []string{"", newKey(t)} {
			t.Run(name, func(t *testing.T) {
				k, bus := keyringtest.Start(t, keyringtest.Unlocked), new(atomic.Bool)
				bus.Store(true)
				timeout := time.Minute
				if name == "silent" {
					timeout = 2 * time.Second
				}
				o := auto.Options{
					KeyFile: keyFile, KeyringInterval: time.Nanosecond, KeyringTimeout: timeout,
					KeyringCommand: keyring.SelfCommand("keyring-child"),
					Getenv: func(name string) string {
						if !bus.Load() && (name == "DBUS_SESSION_BUS_ADDRESS" || name == "XDG_RUNTIME_DIR") {
							return "/nonexistent"
						}
						return k.Getenv(name)
					},
				}
				put(t, openStore(t, o), "prod", "value")
				later := begin(k, bus)
				st := openStore(t, o)
				if got, err := st.Get(t.Context(), "prod"); !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("Get = %q, %v; want ErrUnavailable", got, err)
				}
				later()
				want(t, st, "prod", "value")
			})
		}
	}
}
