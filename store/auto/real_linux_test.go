package auto_test

import (
	"testing"
	"time"

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
		keyringtest.Silent:       "file",
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
