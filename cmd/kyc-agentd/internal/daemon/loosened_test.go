package daemon

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
)

// What a reload takes away needs the passphrase, and what it only forbids does not.
func TestNeedsPassphrase(t *testing.T) {
	const (
		confirm = "[environments.prod]\nconfirm = true\n"
		ai      = "[[sockets]]\nname = 'ai'\nenvironments = ['staging']\nallow = ['api']\nmethods = ['GET']\npaths = ['/kyc', '/kyc/*']\nrate = '60/1m'\nconfirm = true\n"
	)
	socket := func(environments, allow, rest string) string {
		return "[[sockets]]\nname = 'ai'\nenvironments = [" + environments + "]\nallow = [" + allow + "]\n" + rest
	}
	const get, paths, rate, ask = "methods = ['GET']\n", "paths = ['/kyc', '/kyc/*']\n", "rate = '60/1m'\n", "confirm = true\n"
	for _, test := range []struct {
		name, old, new string
		want           []string
	}{
		{"nothing", confirm + ai, confirm + ai, nil},
		{"confirm on", "", confirm, nil},
		{"confirm off", confirm, "", []string{"environments.prod.confirm"}},
		{"confirm written off", confirm, "[environments.prod]\nconfirm = false\n", []string{"environments.prod.confirm"}},
		{"a new socket", "", ai, []string{"sockets.ai"}},
		{"a socket less", ai, "", nil},
		{"another name", ai, "[[sockets]]\nname = 'bi'\nenvironments = ['staging']\nallow = ['api']\n", []string{"sockets.bi"}},
		{"another environment", ai, socket("'staging', 'prod'", "'api'", get+paths+rate+ask), []string{"sockets.ai"}},
		{"more is allowed", ai, socket("'staging'", "'api', 'token'", get+paths+rate+ask), []string{"sockets.ai"}},
		{"another method", ai, socket("'staging'", "'api'", "methods = ['GET', 'POST']\n"+paths+rate+ask), []string{"sockets.ai"}},
		{"all methods", ai, socket("'staging'", "'api'", paths+rate+ask), []string{"sockets.ai"}},
		{"another path", ai, socket("'staging'", "'api'", get+"paths = ['/kyc', '/*/*']\n"+rate+ask), []string{"sockets.ai"}},
		{"all paths", ai, socket("'staging'", "'api'", get+rate+ask), []string{"sockets.ai"}},
		{"a path less", ai, socket("'staging'", "'api'", get+"paths = ['/kyc']\n"+rate+ask), nil},
		{"a higher rate", ai, socket("'staging'", "'api'", get+paths+"rate = '61/1m'\n"+ask), []string{"sockets.ai"}},
		{"a shorter time", ai, socket("'staging'", "'api'", get+paths+"rate = '60/30s'\n"+ask), []string{"sockets.ai"}},
		{"no rate", ai, socket("'staging'", "'api'", get+paths+ask), []string{"sockets.ai"}},
		{"a lower rate", ai, socket("'staging'", "'api'", get+paths+"rate = '6/1m'\n"+ask), nil},
		{"the socket no longer asks", ai, socket("'staging'", "'api'", get+paths+rate), []string{"sockets.ai"}},
		{"forwarding", "", "forward_environments = ['prod']\n", []string{"sockets.extra"}},
		{"audit off", "", "audit = 'off'\n", []string{"audit"}},
		{"audit not required", "audit = 'required'\n", "audit = 'on'\n", []string{"audit"}},
		{"audit left out", "audit = 'required'\n", "", []string{"audit"}},
		{"audit required", "audit = 'on'\n", "audit = 'required'\n", nil},
		{"audit on", "audit = 'off'\n", "", nil},
		{"a longer idle time", "auto_lock = { idle = '1h' }\n", "auto_lock = { idle = '61m' }\n", []string{"auto_lock.idle"}},
		{"no idle time", "auto_lock = { idle = '1h' }\n", "auto_lock = { on_suspend = true }\n", []string{"auto_lock.idle"}},
		{"a shorter idle time", "auto_lock = { idle = '1h' }\n", "auto_lock = { idle = '59m' }\n", nil},
		{"the same idle time", "auto_lock = { idle = '1h' }\n", "auto_lock = { idle = '60m' }\n", nil},
		{"an idle time", "", "auto_lock = { idle = '720h' }\n", nil},
		{"no lock with the screen", "auto_lock = { on_screen_lock = true }\n", "auto_lock = { on_screen_lock = false }\n", []string{"auto_lock.on_screen_lock"}},
		{"no lock", "auto_lock = { on_screen_lock = true, on_suspend = true }\n", "", []string{"auto_lock.on_screen_lock", "auto_lock.on_suspend"}},
		{"more locks", "auto_lock = { on_suspend = true }\n", "auto_lock = { on_screen_lock = true, on_suspend = true }\n", nil},
		{"both", confirm, ai, []string{"environments.prod.confirm", "sockets.ai"}},
	} {
		if got := needsPassphrase(parsed(t, test.old), parsed(t, test.new)); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func parsed(t *testing.T, text string) config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, err := config.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
