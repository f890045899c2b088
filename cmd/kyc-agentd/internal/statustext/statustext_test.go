package statustext

import (
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/store"
)

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 999 * time.Millisecond: "0s", 59 * time.Second: "59s", time.Minute: "1m00s", 59*time.Minute + 59*time.Second: "59m59s",
		time.Hour: "1h00m", 23*time.Hour + 59*time.Minute: "23h59m", 24 * time.Hour: "1d0h", 400 * 24 * time.Hour: "400d0h",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

func TestStore(t *testing.T) {
	tests := []struct {
		info store.Info
		want string
	}{
		{store.Info{Kind: "keyring", Lasting: true}, "in the keyring"},
		{store.Info{Kind: "file", Detail: "/home/ana/.local/state/kyc-agent", Lasting: true}, "in files (/home/ana/.local/state/kyc-agent)"},
		{store.Info{Kind: "memory"}, "in memory, only until the daemon stops"},
		{store.Info{Kind: "vault", Lasting: true}, "in vault"}, // of a newer daemon
	}
	for _, tt := range tests {
		if got := Store(tt.info); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.info, got, tt.want)
		}
	}
}
