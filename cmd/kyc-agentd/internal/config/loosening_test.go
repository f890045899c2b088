package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// What a reload takes away needs the passphrase, and what it only forbids does not.
func TestLoosened(t *testing.T) {
	const (
		confirm = "[environments.prod]\nconfirm = true\n"
		ai      = "[[sockets]]\nname = 'ai'\nenvironments = ['staging']\nallow = ['api']\nmethods = ['GET']\npaths = ['/kyc', '/kyc/*']\nrate = '60/1m'\nconfirm = true\n"
	)
	const (
		prod = "[environments.prod]\n"
		eu   = "[environments.eu]\nextends = 'prod'\n"
		sink = "[[sinks]]\nenvironment = 'prod'\n"
	)
	keys := func(names ...string) (all []string) {
		for _, name := range names {
			all = append(all, "environments."+name)
		}
		return all
	}
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
		{"the API is elsewhere", "", prod + "api_url = 'https://evil.example'\n", keys("prod.api_url")},
		{"Cognito is elsewhere", "", prod + "endpoint = 'https://evil.example'\n", keys("prod.endpoint")},
		{"Cognito is AWS's again", prod + "endpoint = 'https://vpc.example'\n", "", keys("prod.endpoint")},
		{"another issuer", "", prod + "issuer = 'https://evil.example/p'\njwks_url = 'https://evil.example/k'\naws_endpoint = 'https://evil.example/a'\n", keys("prod.issuer", "prod.jwks_url", "prod.aws_endpoint")},
		{"another pool", "", prod + "region = 'eu-west-1'\nuser_pool_id = 'eu-west-1_abc'\nclient_id = 'abc'\n", keys("prod.region", "prod.user_pool_id", "prod.client_id")},
		{"inherited", eu, eu + "[environments.prod]\napi_url = 'https://evil.example'\n", keys("eu.api_url", "prod.api_url")},
		{"another host", "", prod + "allowed_hosts = ['evil.example']\n", keys("prod.allowed_hosts")},
		{"a host less", prod + "allowed_hosts = ['a.example', 'b.example']\n", prod + "allowed_hosts = ['b.example']\n", nil},
		{"access tokens", "", prod + "hand_out_access_tokens = true\n", keys("prod.hand_out_access_tokens")},
		{"no access tokens", prod + "hand_out_access_tokens = true\n", "", nil},
		{"the password is shown", prod + "auth_flow = 'srp'\n", "", keys("prod.auth_flow")},
		{"the password is not shown", "", prod + "auth_flow = 'srp'\n", nil},
		{"it signs in by itself", "", prod + "username = 'ana'\npassword_file = '/run/p'\n", keys("prod.username", "prod.password_file")},
		{"it no longer does", prod + "username = 'ana'\npassword_file = '/run/p'\n", "", nil},
		{"a new environment that signs in by itself", "", eu + "username = 'ana'\nhand_out_access_tokens = true\n", keys("eu.username", "eu.hand_out_access_tokens")},
		{"a new environment", "", eu, nil},
		{"an environment less", eu, "", keys("eu")},
		{"AWS credentials", "", prod + "aws_role_arn = 'arn:aws:iam::123456789012:role/kyc'\n", keys("prod.aws_role_arn")},
		{"a browser", "", prod + "domain = 'https://evil.example'\nredirect_uris = ['http://localhost:8765/callback']\nscopes = ['openid', 'aws.cognito.signin.user.admin']\n", keys("prod.domain", "prod.redirect_uris", "prod.scopes")},
		{"pace and time", "", "refresh_margin = '1m'\ndefault_environment = 'prod'\n" + prod + "api_rate = '900/5m'\nrefresh_token_validity = '3d'\n", nil},
		{"a token file", "", sink, []string{"sinks.prod"}},
		{"no token file", sink, "", nil},
		{"its group may read it", sink, sink + "mode = '0640'\n", []string{"sinks.prod"}},
		{"its group may not", sink + "mode = '0640'\n", sink + "mode = '0600'\n", nil},
		{"it is elsewhere", sink, sink + "path = '/mnt/share/prod.jwt'\n", []string{"sinks.prod"}},
		{"another store", "store = 'keyring'\n", "store = 'file'\nstore_key_file = '/k'\n", []string{"store", "store_key_file"}},
		{"another fleet", "store = 'kubernetes'\n", "store = 'kubernetes'\nkubernetes_secret = 'other'\nkubernetes_namespace = 'n'\n", []string{"kubernetes_secret", "kubernetes_namespace"}},
		{"another table", "store = 'postgres'\n", "store = 'postgres'\npostgres_table = 'other'\npostgres_dsn_file = '/d'\n", []string{"postgres_dsn_file", "postgres_table"}},
		{"the log hides the heads", "", "log_level = 'warn'\n", []string{"log_level"}},
		{"the log says more", "log_level = 'error'\n", "log_level = 'debug'\n", nil},
		{"both", confirm, ai, []string{"environments.prod.confirm", "sockets.ai"}},
	} {
		var got []string
		for _, l := range Loosened(parsed(t, test.old), parsed(t, test.new)) {
			got = append(got, l.Key)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// A key without a class would be loosened unasked, so that a new one cannot be forgotten.
func TestEveryKeyHasAClass(t *testing.T) {
	classes := map[string]*class{}
	for _, k := range topKeys {
		classes["Config."+k.key] = k.class
	}
	for _, k := range autoLockKeys {
		classes["AutoLock."+k.key] = k.class
	}
	for _, k := range environmentFields {
		classes["Environment."+k.key] = k.class
	}
	// These are compared as a whole, and TestLoosened has a row for each.
	whole := []string{
		"Config.auto_lock", "Config.environments", "Config.sinks", "Config.sockets",
		"Sink.environment", "Sink.format", "Sink.path", "Sink.mode",
		"Socket.name", "Socket.environments", "Socket.allow", "Socket.methods", "Socket.paths", "Socket.rate", "Socket.confirm",
	}
	for _, of := range []any{Config{}, AutoLock{}, Environment{}, Sink{}, Socket{}} {
		for field := range reflect.TypeOf(of).Fields() {
			key := reflect.TypeOf(of).Name() + "." + field.Tag.Get("toml")
			if field.IsExported() && classes[key] == nil && !slices.Contains(whole, key) {
				t.Errorf("%s has no class: say in its table which changes of it take a protection away, or that it is harmless", key)
			}
		}
	}
}

// What a person is shown has the values, and on one line.
func TestLooseningIsShown(t *testing.T) {
	changes := Loosened(parsed(t, ""), parsed(t, "[environments.prod]\napi_url = 'https://evil.example'\n[[sinks]]\nenvironment = 'prod'\npath = '/mnt/a\u202eb'\n"+
		"[[sockets]]\nname = 'ai'\nenvironments = ['prod']\nallow = ['api']\nrate = '60/1m'\n"))
	var got []string
	for _, c := range changes {
		got = append(got, c.String())
	}
	want := []string{
		`environments.prod.api_url: "https://kyc.legaltalent.ai" becomes "https://evil.example"`,
		`sinks.prod: unset becomes "format token, path /mnt/a` + `?b, mode 0600"`,
		`sockets.ai: unset becomes "allow api of prod, methods all, paths all, rate 60/1m0s"`,
	}
	if text := strings.Join(got, "\n"); text != strings.Join(want, "\n") {
		t.Errorf("%s", text)
	}
}

func parsed(t *testing.T, text string) Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
