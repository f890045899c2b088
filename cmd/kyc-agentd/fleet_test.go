package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testpeer/engine"
	"github.com/legaltalent/kyc-agent/internal/testpeer/enginetest"
)

// newMembers returns two machines with one key, whose config.toml has the keys of more.
func newMembers(t *testing.T, srv *cognitotest.Server, more string) (a, b *binaries) {
	t.Helper()
	key := filepath.Join(testpeer.PublicDir(t), "store.key")
	members := []*binaries{newBinaries(t, srv.URL, srv.PoolID, srv.ClientID), newBinaries(t, srv.URL, srv.PoolID, srv.ClientID)}
	members[0].must("kyc-agentd", "keygen", key)
	for i, s := range members {
		config := filepath.Join(s.dir, ".config", "kyc-agent", "config.toml")
		if err := os.MkdirAll(filepath.Dir(config), 0o700); err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("default_environment = \"prod\"\nstore_key_file = %q\nfleet_member = \"machine-%d\"\n%s", key, i+1, more)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return members[0], members[1]
}

func newFleetCognito(t *testing.T) *cognitotest.Server {
	srv := cognitotest.New(cognitotest.Rotation(time.Minute))
	t.Cleanup(srv.Close)
	srv.AddUser(cognitotest.User{Name: "ada", Password: "Fleet-horse-8"})
	return srv
}

// share signs in on one machine, and does on the other what a person would.
func share(t *testing.T, srv *cognitotest.Server, a, b *binaries, dump func() ([]byte, error)) {
	t.Helper()
	a.start()
	b.start()
	a.login("prod", "ada", "Fleet-horse-8")
	token := a.must("kyc-token", "prod")
	if got := b.must("kyc-token", "prod"); got != token {
		t.Error("the other machine has another token")
	}
	if n := srv.Calls(cognitotest.Refresh); n != 0 {
		t.Errorf("%d refreshes", n)
	}
	// A refresh for all: what one machine asks for, the other has as well.
	got := token
	for began := time.Now(); got == token && time.Since(began) < 40*time.Second; { // at first it is young enough
		got = b.must("kyc-token", "-min-valid", "59m45s", "prod")
	}
	if got == token {
		t.Error("no new token")
	}
	if shown := a.must("kyc-token", "-min-valid", "59m45s", "prod"); shown != got || srv.Refreshes() != 1 {
		t.Errorf("each machine refreshes: %d calls", srv.Refreshes())
	}
	status := b.must("kyc-agentd", "status")
	for _, want := range []string{"shared with other machines", "prod: shared: revision ", "seen: machine-"} {
		if !strings.Contains(status, want) {
			t.Errorf("status does not say %q\n%s", want, status)
		}
	}
	if _, out, _ := b.run("", "kyc-agentd", "doctor", "--offline"); !strings.Contains(out, "revision") {
		t.Errorf("doctor says nothing of the fleet\n%s", out)
	}
	const value = `{"v":1,"env":"prod","rev":`
	stored, err := dump()
	if err != nil || !bytes.Contains(stored, []byte(value)) && !bytes.Contains(stored, fmt.Appendf(nil, "%x", value)) {
		t.Fatalf("the dump is not one: %d bytes, %v", len(stored), err)
	}
	secrets := []string{token, "Fleet-horse-8", token[:20]} // any token begins so; "eyJ" alone is in much base64
	for _, call := range srv.Log() {
		for _, sent := range regexp.MustCompile(`"(?:RefreshToken|Token)":"([^"]+)"`).FindAllSubmatch(call.Body, -1) {
			secrets = append(secrets, string(sent[1]))
		}
	}
	if len(secrets) < 4 {
		t.Error("no refresh token was sent")
	}
	for _, secret := range secrets {
		for _, form := range []string{secret, fmt.Sprintf("%x", secret)} {
			if bytes.Contains(stored, []byte(form)) {
				t.Errorf("the engine has a secret in clear text: %.8s…", secret)
			}
		}
	}
	_, _, said := a.run("", "kyc-agentd", "logout", "prod")
	if !regexp.MustCompile(`prod: signed out, on every machine that shares this sign-in; seen: machine-`).MatchString(said) {
		t.Errorf("logout says %q", said)
	}
	exit := 0
	for began := time.Now(); exit == 0 && time.Since(began) < 40*time.Second; {
		exit, _, _ = b.run("", "kyc-token", "-min-valid", "59m45s", "prod")
	}
	if exit != exitDenied {
		t.Errorf("after a logout elsewhere kyc-token ends with %d", exit)
	}
}

func TestFleetOnPostgres(t *testing.T) {
	testpeer.Long(t)
	pg := enginetest.Postgres(t)
	srv := newFleetCognito(t)
	dsn := filepath.Join(testpeer.PublicDir(t), "dsn")
	a, b := newMembers(t, srv, fmt.Sprintf("store = \"postgres\"\npostgres_dsn_file = %q\n", dsn))
	write := func(role string) {
		if err := os.WriteFile(dsn, []byte(pg.DSN(role, 0)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("agent")
	for _, c := range []struct{ role, want string }{
		{"agent", "permission denied"},
		{"owner", "GRANT SELECT, INSERT, UPDATE ON kyc_agent TO ROLE"},
		{"owner", "GRANT SELECT, INSERT, UPDATE ON kyc_agent TO ROLE"}, // again
	} {
		write(c.role)
		if _, _, said := a.run("", "kyc-agentd", "store", "init"); !strings.Contains(said, c.want) || strings.Contains(said, engine.PostgresPassword) {
			t.Errorf("store init as %s: %s", c.role, said)
		}
	}
	if err := pg.Grant("kyc_agent"); err != nil {
		t.Fatal(err)
	}
	write("agent")
	share(t, srv, a, b, pg.Dump)
	for _, s := range []*binaries{a, b} {
		if out := s.must("kyc-agentd", "config", "show"); strings.Contains(out, engine.PostgresPassword) {
			t.Error("config show shows the connection string")
		}
	}
}

func TestFleetOnKubernetes(t *testing.T) {
	testpeer.Long(t)
	k := enginetest.Kubernetes(t)
	srv := newFleetCognito(t)
	pod := testpeer.PublicDir(t)
	if err := k.Credentials(pod); err != nil {
		t.Fatal(err)
	}
	a, b := newMembers(t, srv, fmt.Sprintf("store = \"kubernetes\"\nkubernetes_credentials = %q\n", pod))
	for _, s := range []*binaries{a, b} {
		s.env = append(s.env, k.Environ(0)...)
	}
	if _, _, said := a.run("", "kyc-agentd", "store", "init"); !strings.Contains(said, "the Secret is there") {
		t.Errorf("store init: %s", said)
	}
	share(t, srv, a, b, k.Dump)
}

// A fleet that cannot be set up is one line with what to do.
func TestFleetConfiguration(t *testing.T) {
	srv := newFleetCognito(t)
	dsn := filepath.Join(testpeer.PublicDir(t), "dsn")
	if err := os.WriteFile(dsn, []byte("postgres://agent:Hidden-password-6@127.0.0.1:x/kyc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := dsn + ".open"
	if err := os.WriteFile(open, []byte("postgres://127.0.0.1/kyc\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	plain, odd := dsn+".plain", dsn+".odd"
	for path, text := range map[string]string{
		plain: "postgres://agent:Hidden-password-6@db.example/kyc?sslmode=require\n",
		odd:   "postgres://agent:4711/Hidden-password-6@127.0.0.1/kyc\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ name, keys, want string }{
		{"one without a check of the server", fmt.Sprintf("store = \"postgres\"\npostgres_dsn_file = %q", plain), "postgres_dsn_file: PostgreSQL at db.example is another machine, and the sslmode of its connection string does not check whose server it is (require); write sslmode=verify-full"},
		{"a password with a slash", fmt.Sprintf("store = \"postgres\"\npostgres_dsn_file = %q", odd), "write the characters / ? # @ % of a password as %2F %3F %23 %40 %25"},
		{"no connection string", `store = "postgres"`, "set postgres_dsn_file, the systemd credential kyc-agentd.postgres, or KYC_POSTGRES_DSN"},
		{"a bad one", fmt.Sprintf("store = \"postgres\"\npostgres_dsn_file = %q", dsn), "it looks like postgres://USER@HOST/DATABASE?sslmode=verify-full"},
		{"one that others can read", fmt.Sprintf("store = \"postgres\"\npostgres_dsn_file = %q", open), "chmod 600"},
		{"a bad table", "postgres_table = \"x;y\"", "postgres_table: bad table"},
		{"a bad Secret", "kubernetes_secret = \"A_B\"", "kubernetes_secret: bad name"},
		{"a bad member", "fleet_member = \"a b\"", "fleet_member: bad name"},
		{"no cluster", `store = "kubernetes"`, "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set"},
		{"a fallback without a user", "[environments.prod]\nfallback = \"own\"", "fallback is set and username is not"},
		{"an unknown fallback", "[environments.prod]\nfallback = \"other\"", "want own, or leave it out"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, _ := newMembers(t, srv, strings.Replace(c.keys, "fleet_member", "# \nfleet_member", 1))
			if strings.Contains(c.keys, "fleet_member") {
				config := filepath.Join(a.dir, ".config", "kyc-agent", "config.toml")
				if err := os.WriteFile(config, []byte(c.keys+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			exit, out, said := a.run("", "kyc-agentd", "serve", "--socket", a.socket())
			if exit != exitConfiguration || !strings.Contains(said, c.want) || strings.Contains(said+out, "Hidden-password") {
				t.Errorf("exit %d: %s", exit, said)
			}
			if !strings.Contains(c.keys, "postgres_dsn_file") {
				return // the rest depends on where the agent runs
			}
			exit, out, said = a.run("", "kyc-agentd", "config", "check")
			if exit != exitConfiguration || !strings.Contains(said, c.want) || strings.Contains(said+out, "Hidden-password") {
				t.Errorf("config check: exit %d: %s", exit, said)
			}
		})
	}
}

// A command that is run has no use for the connection string.
func TestRunHasNoConnectionString(t *testing.T) {
	srv := newFleetCognito(t)
	s := newBinaries(t, srv.URL, srv.PoolID, srv.ClientID)
	s.env = append(s.env, "KYC_POSTGRES_DSN=postgres://agent:Hidden-password-6@127.0.0.1/kyc", "OTHER=kept")
	exit, out, said := s.run("sk_live_fleet\n", "kyc-agentd", "run", "--api-key-stdin", "prod", "--", "env")
	if exit != 0 || !strings.Contains(out, "OTHER=kept\n") || strings.Contains(out+said, "Hidden-password") {
		t.Errorf("exit %d, %s: %s", exit, said, out)
	}
}

// An agent without a shared store opens no connection but Cognito's.
func TestNoFleetNoConnection(t *testing.T) {
	srv := newFleetCognito(t)
	s := newBinaries(t, srv.URL, srv.PoolID, srv.ClientID)
	s.fileStore()
	trap, err := engine.NewLink("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer trap.Close()
	s.env = append(s.env, "KUBERNETES_SERVICE_HOST=127.0.0.1", fmt.Sprint("KUBERNETES_SERVICE_PORT=", trap.Port()),
		fmt.Sprintf("KYC_POSTGRES_DSN=postgres://a:b@127.0.0.1:%d/kyc", trap.Port()), "PGHOST=127.0.0.1", fmt.Sprint("PGPORT=", trap.Port()))
	s.start()
	s.login("prod", "ada", "Fleet-horse-8")
	s.must("kyc-token", "-min-valid", "59m", "prod")
	if n := trap.Accepted(); n != 0 {
		t.Errorf("%d connections", n)
	}
	if entries, _ := os.ReadDir(filepath.Join(s.dir, ".local", "state", "kyc-agent")); slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		return strings.Contains(e.Name(), "seen") || strings.Contains(e.Name(), "pending")
	}) {
		t.Errorf("files of a fleet: %v", entries)
	}
}
