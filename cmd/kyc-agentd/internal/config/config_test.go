package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// writeFile writes text to a new file and returns its path.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// loadText loads text as the file that --config names.
func loadText(t *testing.T, text string, vars ...string) (c Config, warnings []string, err error) {
	t.Helper()
	return Load(writeFile(t, "config.toml", text), vars)
}

func agentConfig(t *testing.T, c Config) agent.Config {
	t.Helper()
	a, err := c.AgentConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

var (
	stagingBuiltIn = agent.Environment{
		Name: "staging", Region: "us-east-2", UserPoolID: "us-east-2_oGu06xbPS",
		ClientID: "2raj3isqgeivk0m4b94858hice", APIURL: "https://stg.kyc.legaltalent.ai",
	}
	prodBuiltIn = agent.Environment{
		Name: "prod", Region: "us-east-2", UserPoolID: "us-east-2_L37NAaTbI",
		ClientID: "17motn53rgao4bk26ojguv0ldu", APIURL: "https://kyc.legaltalent.ai",
	}
)

func TestConfigBuiltIn(t *testing.T) {
	c, warnings, err := Load("", Environ{"HOME=" + t.TempDir()})
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	want := agent.Config{
		DefaultEnvironment: "staging", RefreshMargin: 5 * time.Minute,
		Environments: []agent.Environment{prodBuiltIn, stagingBuiltIn},
	}
	if got := agentConfig(t, c); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if c.Store.String() != "auto" || c.LogLevel.String() != "info" || c.StoreKeyFile.String() != "" {
		t.Errorf("store %s, level %s, key %s", c.Store.s, c.LogLevel.s, c.StoreKeyFile.s)
	}
}

func TestConfigFile(t *testing.T) {
	eu := agent.Environment{
		Name: "prod-eu", Region: "eu-west-1", UserPoolID: "eu-west-1_abc", ClientID: "c",
		APIURL: "https://eu.example.com", Endpoint: "http://127.0.0.1:9229",
		Issuer: "https://issuer.example.com/", JWKSURL: "http://[::1]:8080/keys",
	}
	c, _, err := loadText(t, `
		default_environment = "prod-eu"
		refresh_margin = "90s"
		store = "file"
		store_key_file = "~/key"
		log_level = "debug"
		[environments.staging]
		api_url = "https://other.example.com/base/"
		[environments.prod-eu]
		region = "eu-west-1"
		user_pool_id = "eu-west-1_abc"
		client_id = "c"
		api_url = "https://eu.example.com/"
		endpoint = "http://127.0.0.1:9229/"
		issuer = "https://issuer.example.com/"
		jwks_url = "http://[::1]:8080/keys"
	`)
	if err != nil {
		t.Fatal(err)
	}
	staging := stagingBuiltIn
	staging.APIURL = "https://other.example.com/base"
	want := agent.Config{
		DefaultEnvironment: "prod-eu", RefreshMargin: 90 * time.Second,
		Environments: []agent.Environment{prodBuiltIn, eu, staging},
	}
	if got := agentConfig(t, c); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if c.Store.s != "file" || c.LogLevel.s != "debug" || underHome(c.StoreKeyFile.s, "/home/ana") != "/home/ana/key" {
		t.Errorf("store %s, level %s, key %s", c.Store.s, c.LogLevel.s, c.StoreKeyFile.s)
	}
}

// An inline table replaces what the decoder has so far; the built-in keys must survive it.
func TestConfigInlineTableKeepsBuiltIn(t *testing.T) {
	c, _, err := loadText(t, `environments = { prod = { api_url = "https://x.example.com" } }`)
	if err != nil {
		t.Fatal(err)
	}
	want := prodBuiltIn
	want.APIURL = "https://x.example.com"
	if got := agentConfig(t, c).Environments; !reflect.DeepEqual(got, []agent.Environment{want, stagingBuiltIn}) {
		t.Errorf("got %+v", got)
	}
}

func TestHandOutAccessTokens(t *testing.T) {
	c, _, err := loadText(t, "[environments.prod]\nhand_out_access_tokens = true\n[environments.ci]\nextends = 'prod'", "KYC_STAGING_HAND_OUT_ACCESS_TOKENS=false")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range agentConfig(t, c).Environments {
		if e.HandOutAccessTokens != (e.Name == "prod") {
			t.Errorf("%s: %t", e.Name, e.HandOutAccessTokens)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	const whole = "region='r-1'\nuser_pool_id='r-1_p'\nclient_id='c'\napi_url='https://x.example.com'\n"
	tests := []struct{ name, text, want string }{
		{"unknown key", "\nrefresh_margn = '5m'", ":2: unknown key refresh_margn"},
		{"unknown key of an environment", "[environments.staging]\n\nclientid = 'x'", ":3: unknown key environments.staging.clientid"},
		{"unknown table", "[environment.staging]\nregion = 'x'", ":1: unknown key environment.staging"},
		{"unknown key that needs quotes", "\"a b\\u001b\" = 1", `:1: unknown key "a b\x1b"`},
		{"client secret", "[environments.prod]\nclient_secret = 'hunter2'", ":2: unknown key environments.prod.client_secret"},
		{"twice", "store = 'file'\nstore = 'file'", ":2: store: key store is already defined"},
		{"syntax", "store = \n", ":1: unexpected character"},
		{"not UTF-8", "store = '\xff'", ":1: invalid UTF-8"},
		{"duration without unit", "refresh_margin = '5'", `:1: refresh_margin: bad duration "5"; want one such as "5m" or "90s"`},
		{"duration as a number", "refresh_margin = 5", `: bad duration "5"; want one such as "5m" or "90s"`},
		{"duration in words", "refresh_margin = '5 min'", `bad duration "5 min"`},
		{"duration 0", "refresh_margin = '0s'", "want more than 0 and at most 24h"},
		{"duration below 0", "refresh_margin = '-5m'", "want more than 0 and at most 24h"},
		{"duration above a day", "refresh_margin = '25h'", "want more than 0 and at most 24h"},
		{"store", "store = 'disk'", `:1: store: unknown store "disk"; want auto, keyring, file, memory, kubernetes or postgres`},
		{"store of the wrong kind", "store = ['file']", ":1: store: not a value for this key (array); want text in quotes"},
		{"environment of the wrong kind", "default_environment = 1", ":1: default_environment: not a value for this key (integer); want text in quotes"},
		{"key file", "store_key_file = 'key'", `bad path "key"; want an absolute one, or one that begins with ~/`},
		{"level", "log_level = 'loud'", `unknown log level "loud"; want debug, info, warn or error`},
		{"environments", "environments = 1", ":1: environments: not a value for this key (integer); want a table [environments.NAME]"},
		{"an environment", "[environments]\nprod = 1", ":2: environments.prod: not a value for this key (integer); want a table [environments.NAME]"},
		{"array of tables", "[[environments]]\nregion = 'x'", "array table"},
		{"name in capitals", "[environments.Prod]\n" + whole, `environment "Prod": a name is lower-case letters, digits, '-' and '_', at most 63 bytes`},
		{"name of a path", "[environments.\"../x\"]\n" + whole, `environment "../x": a name is`},
		{"empty name", "[environments.\"\"]\n" + whole, `environment "": a name is`},
		{"forwarding what is not there", "forward_environments = ['dev']", `forward_environments: no environment "dev" is configured; configured: prod, staging`},
		{"forwarding twice", "forward_environments = ['prod', 'prod']", `forward_environments: "prod" is listed twice`},
		{"default not there", "default_environment = 'dev'", `default_environment: no environment "dev" is configured; configured: prod, staging`},
		{"names that share variables", "[environments.a-b]\n" + whole + "[environments.a_b]\n" + whole, "environments a-b and a_b share the variables KYC_A_B_*; rename one"},
		{"no region", "[environments.dev]\nuser_pool_id='x_y'\nclient_id='c'\napi_url='https://x'", "environments.dev: region is missing"},
		{"no pool", "[environments.dev]\nregion='x'\nclient_id='c'\napi_url='https://x'", "environments.dev: user_pool_id is missing"},
		{"no client", "[environments.dev]\nregion='x'\nuser_pool_id='x_y'\napi_url='https://x'", "environments.dev: client_id is missing"},
		{"no API", "[environments.dev]\nregion='x'\nuser_pool_id='x_y'\nclient_id='c'", "environments.dev: api_url is missing"},
		{"region", "[environments.prod]\nregion = 'evil.example.com/'", `:2: environments.prod.region: bad region "evil.example.com/"; want one such as "us-east-2"`},
		{"pool", "[environments.prod]\nuser_pool_id = 'L37NAaTbI'", `bad user pool id "L37NAaTbI"`},
		{"long pool", "[environments.prod]\nuser_pool_id = 'us-east-2_" + strings.Repeat("x", 50) + "'", "bad user pool id"},
		{"access tokens", "[environments.prod]\nhand_out_access_tokens = 'yes'", `:2: environments.prod.hand_out_access_tokens: bad value "yes"; want true or false`},
		{"rate without a time", "[environments.prod]\napi_rate = '900'", `:2: environments.prod.api_rate: bad rate "900"; want requests in a time, such as "60/1m"`},
		{"rate of none", "[environments.prod]\napi_rate = '0/5m'", `bad rate "0/5m"`},
		{"rate below none", "[environments.prod]\napi_rate = '-1/5m'", `bad rate "-1/5m"`},
		{"rate in no time", "[environments.prod]\napi_rate = '900/0s'", `bad rate "900/0s"`},
		{"rate in years", "[environments.prod]\napi_rate = '900/8760h'", `bad rate "900/8760h"`},
		{"rate in words", "[environments.prod]\napi_rate = '900 per 5m'", `bad rate "900 per 5m"`},
		{"rate as a number", "[environments.prod]\napi_rate = 900", `: bad rate "900"; want requests in a time`},
		{"client", "[environments.prod]\nclient_id = 'a b'", `bad client id "a b"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantConfigError(t, tt.text, tt.want) })
	}
}

func wantConfigError(t *testing.T, text, want string) {
	t.Helper()
	_, _, err := loadText(t, text)
	if err == nil {
		t.Fatalf("no error; want %q", want)
	}
	if !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "\n\x1b") {
		t.Errorf("got %q\nwant one line with %q", err, want)
	}
	if agent.CodeOf(err) != agent.CodeConfiguration {
		t.Errorf("code %q", agent.CodeOf(err))
	}
}

func TestConfigURLs(t *testing.T) {
	tests := []struct{ url, want string }{
		{"https://cognito.example.com/base", ""},
		{"http://127.0.0.1:9229", ""},
		{"http://127.1.2.3", ""},
		{"http://[::1]:9229/x", ""},
		{"http://localhost:9229", ""},
		{"http://cognito.example.com", "plain http to cognito.example.com, which is not this machine; want https://"},
		{"http://10.0.0.1:80", "plain http to 10.0.0.1:80"},
		{"http://localhost.example.com", "plain http to localhost.example.com"},
		{"http://[::ffff:10.0.0.1]", "plain http to [::ffff:10.0.0.1]"},
		{"ftp://127.0.0.1", "not a URL that begins with https://"},
		{"cognito.example.com", "not a URL that begins with https://"},
		{"https://", "not a URL that begins with https://"},
		{"https:/x", "not a URL that begins with https://"},
		{"https://x.example.com:port", "not a URL; want one such as"},
		{"https://user:hunter2@x.example.com", "a user or password in a URL"},
		{"https://x.example.com?a=b", "a URL with a query or fragment"},
		{"https://x.example.com?", "a URL with a query or fragment"},
		{"https://x.example.com#a", "a URL with a query or fragment"},
	}
	for _, tt := range tests {
		for _, key := range []string{"api_url", "endpoint", "issuer", "jwks_url"} {
			text := "[environments.staging]\n" + key + " = '" + tt.url + "'"
			if tt.want != "" {
				wantConfigError(t, text, ":2: environments.staging."+key+": "+tt.want)
			} else if _, _, err := loadText(t, text); err != nil {
				t.Error(err)
			}
		}
	}
}

// A password that somebody wrote into a URL is not shown.
func TestConfigErrorsHideURLPasswords(t *testing.T) {
	for _, url := range []string{"https://u:hunter2@x.example.com", "https://u:hunter2@x.example.com:port", "http://u:hunter2@x.example.com"} {
		_, _, err := loadText(t, "[environments.staging]\nendpoint = '"+url+"'")
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
	}
}

func TestConfigVariables(t *testing.T) {
	c, warnings, err := loadText(t, `
		[environments.prod-eu]
		region = "eu-west-1"
		user_pool_id = "eu-west-1_abc"
		client_id = "fromfile"
		api_url = "https://eu.example.com"`,
		"KYC_STAGING_CLIENT_ID=override", "KYC_STAGING_ENDPOINT=http://127.0.0.1:1", "KYC_STAGING_REGION=", "KYC_STAGING_API_URL=https://a.example.com",
		"KYC_STAGING_ISSUER=https://i.example.com", "KYC_STAGING_JWKS_URL=https://j.example.com", "KYC_STAGING_USER_POOL_ID=local_x",
		"KYC_PROD_EU_REGION=eu-west-2", "KYC_PROD_EU_USER_POOL_ID=eu-west-2_abc",
		"KYC_AGENT_SOCK=/run/x", "KYC_ENV=prod", "KYC_TOKEN=x", "KYC_API_URL=https://x", "KYC_TOKEN_EXPIRES_AT=x", "KYC_DEV_CLIENT_ID=x", "KYC_DEV_REGION=", "KYC_SOMETHING=else", "XKYC_STAGING_REGION=x",
	)
	if err != nil {
		t.Fatal(err)
	}
	want := []agent.Environment{
		prodBuiltIn,
		{Name: "prod-eu", Region: "eu-west-2", UserPoolID: "eu-west-2_abc", ClientID: "fromfile", APIURL: "https://eu.example.com"},
		{
			Name: "staging", Region: "us-east-2", UserPoolID: "local_x", ClientID: "override", APIURL: "https://a.example.com",
			Endpoint: "http://127.0.0.1:1", Issuer: "https://i.example.com", JWKSURL: "https://j.example.com",
		},
	}
	if got := agentConfig(t, c).Environments; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if want := []string{"KYC_DEV_CLIENT_ID is ignored: no such environment is configured"}; !reflect.DeepEqual(warnings, want) {
		t.Errorf("warnings %q", warnings)
	}
}

// An environment may be called "agent"; the socket's variable is still no setting of it.
func TestConfigVariablesOfOurOwn(t *testing.T) {
	_, warnings, err := loadText(t, "[environments.agent]\nregion='r'\nuser_pool_id='r_p'\nclient_id='c'\napi_url='https://x.example.com'", "KYC_AGENT_SOCK=/x")
	if err != nil || len(warnings) > 0 {
		t.Error(warnings, err)
	}
}

func TestConfigVariableErrors(t *testing.T) {
	tests := []struct{ variable, want string }{
		{"KYC_STAGING_CLIENTID=x", "KYC_STAGING_CLIENTID: unknown variable; known endings: EXTENDS, REGION, USER_POOL_ID, CLIENT_ID, API_URL, ALLOWED_HOSTS, API_RATE, AUTH_FLOW, DOMAIN, REDIRECT_URIS, IDENTITY_PROVIDER, SCOPES, CLIENT_SECRET_FILE, REFRESH_TOKEN_VALIDITY, USERNAME, PASSWORD_FILE, CONFIRM, FALLBACK, HAND_OUT_ACCESS_TOKENS, IDENTITY_POOL_ID, ROLE_ARN, AWS_ROLE_ARN, ENDPOINT, ISSUER, JWKS_URL, AWS_ENDPOINT"},
		{"KYC_STAGING_ENDPOINT=http://example.com", "KYC_STAGING_ENDPOINT: plain http to example.com, which is not this machine; want https://"},
		{"KYC_PROD_USER_POOL_ID=x", `KYC_PROD_USER_POOL_ID: bad user pool id "x"`},
	}
	for _, tt := range tests {
		_, _, err := loadText(t, "", tt.variable)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v\nwant %s", tt.variable, err, tt.want)
		}
	}
}

func TestConfigFileIsLookedFor(t *testing.T) {
	home := t.TempDir()
	for _, dir := range []string{"xdg/kyc-agent", ".config/kyc-agent"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
		text := "log_level = 'warn'"
		if dir == "xdg/kyc-agent" {
			text = "log_level = 'error'"
		}
		if err := os.WriteFile(filepath.Join(home, dir, "config.toml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		vars Environ
		want string
	}{
		{Environ{"HOME=" + home}, "warn"},
		{Environ{"HOME=" + home, "XDG_CONFIG_HOME=" + home + "/xdg"}, "error"},
		{Environ{"HOME=" + home, "XDG_CONFIG_HOME=xdg"}, "warn"}, // relative: as if unset
		{Environ{"HOME=/nowhere"}, "info"},
		{nil, "info"},
	}
	for _, tt := range tests {
		c, _, err := Load("", tt.vars)
		if err != nil || c.LogLevel.String() != tt.want {
			t.Errorf("%s: level %s, %v; want %s", tt.vars, c.LogLevel.s, err, tt.want)
		}
	}
}

func TestConfigFileCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	large := writeFile(t, "large.toml", "#"+strings.Repeat("x", maxConfig))
	tests := []struct{ file, want string }{
		{filepath.Join(dir, "none.toml"), "cannot read " + dir + "/none.toml: no such file or directory"},
		{dir, "cannot read " + dir + ": not a regular file"},
		{large, "cannot read " + large + ": larger than 1 MiB"},
	}
	if os.Getuid() != 0 { // root reads everything
		closed := writeFile(t, "closed.toml", "")
		if err := os.Chmod(closed, 0); err != nil {
			t.Fatal(err)
		}
		tests = append(tests, struct{ file, want string }{closed, "cannot read " + closed + ": permission denied"})
	}
	for _, tt := range tests {
		_, _, err := Load(tt.file, nil)
		if err == nil || err.Error() != tt.want {
			t.Errorf("got %v\nwant %s", err, tt.want)
		}
	}
}

// FuzzConfig holds that no file makes the program panic, that an error is one line
// of printable text, and that what is accepted is a configuration that means the
// same when it is written and read again.
func FuzzConfig(f *testing.F) {
	for _, text := range []string{
		"", "store = 'file'", "refresh_margin = 5", "[environments.staging]\nendpoint = 'http://[::1]:1'",
		"environments = { a = { region = 'r', user_pool_id = 'r_p', client_id = 'c', api_url = 'https://x' } }",
		"[[environments]]\nx = 1", "\"\\u0000\" = 1", "log_level = 'debug'\nstore_key_file = '~/x'",
		"[environments.prod]\nauth_flow = 'browser'\ndomain = 'https://a.example'\nredirect_uris = ['http://[::1]:1/']\nscopes = ['openid']",
		"[environments.prod]\nallowed_hosts = ['a.example', '[::1]:8443']", "[environments.prod]\nallowed_hosts = [[], 1]",
		"[[sinks]]\nenvironment = 'prod'\npath = 'a/b'\nformat = 'curl'\nmode = '0440'\n[[sinks]]\nenvironment = 'staging'", "sinks = [1]",
		"[environments.ci]\nextends = 'prod'\n[environments.eu]\nextends = 'ci'\nclient_id = 'c'",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseConfig("config.toml", data)
		if err != nil {
			if s := err.Error(); s != sanitize.OneLine(s) || agent.CodeOf(err) != agent.CodeConfiguration {
				t.Fatalf("error %q", s)
			}
			return
		}
		c = c.withDefaults(builtin())
		if c.resolveExtends() != nil || c.check() != nil {
			return
		}
		c.Sinks = append([]Sink{}, c.Sinks...) // as an empty list is read
		text, err := toml.Marshal(plain(c))
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseConfig("again.toml", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		got := again.withDefaults(builtin())
		if err := got.resolveExtends(); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, c) {
			t.Fatalf("got %+v\nwant %+v", got, c)
		}
	})
}

// plain is c as a table of text.
func plain(c Config) map[string]any {
	environments := map[string]any{}
	for name, e := range c.Environments {
		table := map[string]any{}
		for _, f := range environmentFields {
			table[f.key] = f.in(&e).String()
		}
		table["allowed_hosts"] = append([]string{}, texts(e.AllowedHosts)...)
		table["redirect_uris"] = append([]string{}, texts(e.RedirectURIs)...)
		table["scopes"] = append([]string{}, texts(e.Scopes)...)
		environments[name] = table
	}
	sinks := []map[string]string{}
	for _, s := range c.Sinks {
		sinks = append(sinks, map[string]string{"environment": s.Environment.s, "path": s.Path.s, "format": s.Format.s, "mode": s.Mode.s})
	}
	return map[string]any{
		"sinks": sinks, "default_environment": c.DefaultEnvironment, "refresh_margin": c.RefreshMargin.s, "store": c.Store.s,
		"store_key_file": c.StoreKeyFile.s, "log_level": c.LogLevel.s, "environments": environments,
	}
}

// What editors and shells of Windows, word processors and web pages make of a file, and nobody sees.
func TestCharactersThatNobodySees(t *testing.T) {
	const hidden = "; there is U+00A0, which nobody can see: write an ordinary space, or nothing"
	for text, want := range map[string]string{
		"\ufefflog_level = 'warn'\r\n":            "",
		"\ufefflog_level = 'loud'":                ":1: log_level: unknown log level \"loud\"; want debug, info, warn or error",
		"log_level = “warn”":                      ":1: unexpected character U+201C '“' at start of value; write straight quotes: \"",
		"# é\nlog_level = ‘warn’":                 ":2: unexpected character U+2018 '‘' at start of value; write straight quotes: \"",
		"log_level\u00a0= 'warn'":                 ":1: expected '=' after key" + hidden,
		"log_level =\u00a0'warn'":                 ":1: unexpected character U+00A0 at start of value" + hidden,
		"log_level = 'warn'\u00a0":                ":1: expected newline but got U+00A0" + hidden,
		"[environments.prod]\nregion = us-east-2": ":2: strings must be quoted",
		"\xff\xfel\x00o\x00":                      " is UTF-16; write it as UTF-8, for example with: iconv -f UTF-16 -t UTF-8",
		"l\x00o\x00g\x00":                         " has NUL bytes in it, as UTF-16 has; write it as UTF-8, for example with: iconv -f UTF-16LE -t UTF-8",
	} {
		path := writeFile(t, "config.toml", text)
		c, _, err := Load(path, nil)
		if want == "" && (err != nil || c.LogLevel.String() != "warn") || want != "" && (err == nil || err.Error() != path+want) {
			t.Errorf("%q: got %v\nwant %s", text, err, want)
		}
	}
}
