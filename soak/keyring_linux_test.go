package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/store/keyring/keyringtest"
)

// TestSoakWithKeyring is a minute of soak with a real keyring, which sometimes does not answer.
func TestSoakWithKeyring(t *testing.T) {
	testpeer.Long(t)
	kr := keyringtest.Start(t, keyringtest.Unlocked)
	o := testOptions(t, time.Minute, time.Minute)
	o.keyring = &keyring{env: []string{"DBUS_SESSION_BUS_ADDRESS=" + kr.Getenv("DBUS_SESSION_BUS_ADDRESS")}, silence: kr.Freeze}
	var out bytes.Buffer
	if err := run(t.Context(), o, &out); err != nil {
		t.Errorf("%s%v", &out, err)
	}
	t.Log(&out)
}
