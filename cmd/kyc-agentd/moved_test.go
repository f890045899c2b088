package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// A thief is a server that wants to be taken for Cognito, and counts the bytes that it gets.
type thief struct {
	url string
	got atomic.Int64
}

func newThief(t *testing.T) *thief {
	th := &thief{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		th.got.Add(n + int64(len(r.URL.Path)))
		w.WriteHeader(http.StatusBadRequest)
	}))
	t.Cleanup(srv.Close)
	th.url = srv.URL
	return th
}

// configure writes config.toml: an environment for each name, with keys in the place of those
// of ci, which signs in by itself with SRP. An empty value leaves a key out.
func (h *fixture) configure(environments tables) {
	h.t.Helper()
	var text strings.Builder
	text.WriteString("default_environment = 'ci'\n")
	for name, keys := range environments {
		all := map[string]string{
			"region": "us-east-2", "user_pool_id": h.cognito.PoolID, "client_id": h.cognito.ClientID, "api_url": "https://" + name + ".example",
			"endpoint": h.cognito.URL, "auth_flow": "srp", "username": "ana", "password_file": filepath.Join(h.dir, "password"),
		}
		maps.Copy(all, keys)
		fmt.Fprintf(&text, "[environments.%s]\n", name)
		for key, value := range all {
			if value != "" {
				fmt.Fprintf(&text, "%s = %q\n", key, value)
			}
		}
	}
	path := filepath.Join(h.dir, ".config", "kyc-agent", "config.toml")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// tables are the keys of environments.
type tables = map[string]map[string]string

// ci is the only environment of a configuration, with other keys.
func ci(keys map[string]string) tables {
	return tables{"ci": keys}
}

// What a reload may not change where the agent signs in by itself. THIEF is the thief's URL
// and REAL is that of Cognito.
var moves = map[string]struct {
	steps []tables
	says  string // at the last step
	asks  string // the environment; ci by default
}{
	"endpoint": {
		[]tables{ci(map[string]string{"endpoint": "THIEF"})},
		"ci, which signs in by itself, needs a restart to take endpoint THIEF", "",
	},
	"endpoint, issuer and a weaker flow": {
		[]tables{ci(map[string]string{"endpoint": "THIEF", "issuer": "REAL/pool", "auth_flow": "password"})},
		"needs a restart to take auth_flow password, endpoint THIEF, issuer REAL/pool", "",
	},
	"issuer":    {[]tables{ci(map[string]string{"issuer": "THIEF/x"})}, "to take issuer THIEF/x", ""},
	"jwks_url":  {[]tables{ci(map[string]string{"jwks_url": "THIEF/x"})}, "to take jwks_url THIEF/x", ""},
	"client_id": {[]tables{ci(map[string]string{"client_id": "another"})}, "to take client_id another", ""},
	"user_pool_id": {
		[]tables{ci(map[string]string{"user_pool_id": "us-east-2_other"})}, "to take user_pool_id us-east-2_other", "",
	},
	"password":      {[]tables{ci(map[string]string{"auth_flow": "password"})}, "to take auth_flow password", ""},
	"no flow":       {[]tables{ci(map[string]string{"auth_flow": ""})}, "to take auth_flow password", ""},
	"choice":        {[]tables{ci(map[string]string{"auth_flow": "choice"})}, "to take auth_flow choice", ""},
	"AWS's own one": {[]tables{ci(map[string]string{"endpoint": ""})}, "to take endpoint https://cognito-idp.us-east-2.amazonaws.com", ""},
	"in two steps": {
		[]tables{
			ci(map[string]string{"endpoint": "THIEF", "username": "", "password_file": ""}),
			ci(map[string]string{"endpoint": "THIEF"}),
		}, "to take endpoint THIEF", "",
	},
	"a new environment with this password": {
		[]tables{{"ci": nil, "evil": {"endpoint": "THIEF"}}},
		"evil, which signs in by itself, needs a restart to take username ana", "evil",
	},
	"removed and back": {
		[]tables{
			{"ci": {"username": "", "password_file": ""}},
			{"ci": nil, "evil": {"endpoint": "THIEF", "auth_flow": "password"}},
		}, "evil, which signs in by itself, needs a restart to take username ana", "evil",
	},
	"what it extends": {
		[]tables{{
			"base": {"endpoint": "THIEF", "username": "", "password_file": ""},
			"ci":   {"extends": "base", "endpoint": "", "auth_flow": ""},
		}}, "ci, which signs in by itself, needs a restart to take endpoint THIEF", "",
	},
}

func TestReloadDoesNotMoveAnUnattendedSignIn(t *testing.T) {
	testpeer.Slow(t)
	for name, move := range moves {
		t.Run(name, func(t *testing.T) {
			h, th := newFixture(t), newThief(t)
			h.writeSecret(filepath.Join(h.dir, "password"), "correct horse")
			h.configure(ci(nil))
			d := h.daemon("--store", "memory")
			real := strings.NewReplacer("THIEF", th.url, "REAL", h.cognito.URL)
			var got outcome
			for _, step := range move.steps {
				for _, keys := range step {
					for key, value := range keys {
						keys[key] = real.Replace(value)
					}
				}
				h.configure(step)
				got = h.run("", kycAgentd("reload"))
			}
			says := real.Replace(move.says)
			if got.exit != exitConfiguration || !strings.HasPrefix(got.errOut, "kyc-agentd: configuration reloaded, but ") ||
				!strings.Contains(got.errOut, says) || !strings.HasSuffix(got.errOut, "; run: systemctl --user restart kyc-agentd.service\n") {
				t.Errorf("%+v\nwant %s", got, says)
			}
			_, changes, _ := strings.Cut(says, "to take ")
			if st := h.run("", kycAgentd("status")); !strings.Contains(st.out, ": restart to take "+changes) {
				t.Errorf("status does not show %s:\n%s", changes, st.out)
			}
			if r := h.run("", kycAgentd("doctor", "--offline")); !strings.Contains(r.out, "takes this at a restart: "+changes) {
				t.Errorf("doctor does not show %s:\n%s", changes, r.out)
			}
			asked := h.run("", exec.Command(testpeer.Build(t, "kyc-token"), cmp.Or(move.asks, "ci")))
			if signedIn := asked.exit == exitOK; signedIn != (move.asks == "") {
				t.Errorf("%+v", asked)
			}
			if n := th.got.Load(); n != 0 {
				t.Errorf("the thief got %d bytes", n)
			}
			if !strings.Contains(says, "ci, ") || !strings.Contains(says, "endpoint "+th.url) {
				return
			}
			h.stop(d)
			h.daemon("--store", "memory")
			h.run("", exec.Command(testpeer.Build(t, "kyc-token")))
			if th.got.Load() == 0 {
				t.Error("a restart did not take the endpoint")
			}
		})
	}
}

// What a reload may change there.
func TestReloadOfAnUnattendedSignIn(t *testing.T) {
	h := newFixture(t)
	h.writeSecret(filepath.Join(h.dir, "password"), "correct horse")
	h.writeSecret(filepath.Join(h.dir, "again"), "correct horse")
	h.configure(tables{"ci": nil, "weak": {"auth_flow": "password"}})
	h.daemon("--store", "memory")
	for _, step := range []tables{
		{"ci": {"api_url": "https://other.example"}, "weak": nil},
		{"ci": {"password_file": filepath.Join(h.dir, "again")}},
		{"ci": {"username": "", "password_file": ""}},
		{"ci": nil, "second": {"username": "ben"}},
		{"ci": {"username": "", "password_file": "", "endpoint": "http://127.0.0.1:1"}},
	} {
		h.configure(step)
		if got := h.run("", kycAgentd("reload")); got.exit != exitOK || got.errOut != "kyc-agentd: configuration reloaded\n" {
			t.Errorf("%v: %+v", slices.Sorted(maps.Keys(step)), got)
		}
	}
	if st := h.run("", kycAgentd("status")); strings.Contains(st.out, "restart to take") {
		t.Errorf("%s", st.out)
	}
}
