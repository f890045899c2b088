package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/tomledit"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// A Setting is one key and its value, which is never a secret: config.toml has none.
type Setting struct {
	Key   string `json:"key"`   // "environments.prod.region"
	Value string `json:"value"` // a list has commas between its items; "" is not set
	From  string `json:"from"`  // "config.toml:3", "KYC_PROD_REGION", "default", or "prod", which it extends
}

// topKeys are the keys of config.toml that belong to no table.
var topKeys = []struct {
	key     string
	restart bool // a change needs one
	list    bool
	class   *class
	get     func(Config) string
}{
	{"default_environment", false, false, harmless, func(c Config) string { return c.DefaultEnvironment }},
	{"refresh_margin", false, false, harmless, func(c Config) string { return c.RefreshMargin.s }},
	{"store", true, false, moves, func(c Config) string { return c.Store.s }},
	{"store_key_file", true, false, moves, func(c Config) string { return c.StoreKeyFile.s }},
	{"fleet_member", true, false, harmless, func(c Config) string { return c.FleetMember.s }},
	{"kubernetes_secret", true, false, moves, func(c Config) string { return c.ofStore("kubernetes", c.KubernetesSecret.s) }},
	{"kubernetes_namespace", true, false, moves, func(c Config) string { return c.KubernetesNamespace.s }},
	{"kubernetes_credentials", true, false, moves, func(c Config) string { return c.KubernetesCredentials.s }},
	{"postgres_dsn_file", true, false, moves, func(c Config) string { return c.PostgresDSNFile.s }},
	{"postgres_table", true, false, moves, func(c Config) string { return c.ofStore("postgres", c.PostgresTable.s) }},
	{"forward_environments", true, true, harmless /* it is a socket */, func(c Config) string { return strings.Join(c.ForwardEnvironments, ",") }},
	{"log_level", false, false, logClass, func(c Config) string { return c.LogLevel.s }},
	{"audit", false, false, auditClass, func(c Config) string { return c.Audit.s }},
}

// autoLockKeys are the keys of auto_lock.
var autoLockKeys = []struct {
	key   string
	class *class
	get   func(AutoLock) string
}{
	{"idle", idleClass, func(a AutoLock) string { return a.Idle.s }},
	{"on_screen_lock", protects, func(a AutoLock) string { return a.OnScreenLock.s }},
	{"on_suspend", protects, func(a AutoLock) string { return a.OnSuspend.s }},
}

// constantDefaults are the defaults that the agent has, and not builtin.
var constantDefaults = map[string]string{"auth_flow": "password", "refresh_token_validity": "30d", "hand_out_access_tokens": "false", "confirm": "false"}

// FilePath returns the path of config.toml: file, the value of --config, else the default one.
func FilePath(file string, vars Environ) (string, error) {
	if file == "" {
		file = vars.configPath("config.toml")
	}
	if file == "" {
		return "", Errorf("there is no folder for config.toml; set XDG_CONFIG_HOME or HOME to an absolute path")
	}
	return file, nil
}

// Check returns the configuration if a daemon that starts now would accept it. It reads the
// secrets in the files that config.toml names, and not systemd credentials, which only the
// daemon sees.
func Check(file string, vars Environ) (c Config, warnings []string, err error) {
	c, warnings, err = Load(file, vars)
	if err == nil {
		warnings = append(warnings, c.needsCredential(vars)...)
		err = c.checkFiles(file, vars)
	}
	return c, warnings, err
}

// needsCredential warns of what no daemon accepts without a systemd credential.
func (c Config) needsCredential(vars Environ) (warnings []string) {
	if c.Store.s == "postgres" && !c.KnowsPostgres(vars) {
		warnings = append(warnings, "store is postgres and postgres_dsn_file is not set: the daemon starts only with the systemd credential "+postgresCredential+" or the variable "+postgresVariable)
	}
	for _, name := range c.Names() {
		if e := c.Environments[name]; e.Username.s != "" && e.PasswordFile.s == "" {
			warnings = append(warnings, fmt.Sprintf(
				"environments.%s: username is set and password_file is not: the daemon starts only with the systemd credential kyc-%[1]s.password", name))
		}
	}
	return warnings
}

func (c Config) checkFiles(file string, vars Environ) error {
	for _, name := range c.Names() {
		e := c.Environments[name]
		if e.ClientSecretFile.s != "" {
			if _, err := e.ClientSecret(name, vars); err != nil {
				return err
			}
		}
		if e.PasswordFile.s == "" {
			continue
		}
		if source, err := e.Unattended(name, vars); err != nil {
			return err
		} else if _, err := source.Credential(); err != nil {
			return err
		}
	}
	if c.Store.s == "postgres" && c.KnowsPostgres(vars) {
		if _, err := c.Postgres(vars); err != nil {
			return err
		}
	}
	_, err := c.ResolveSinks(vars, file, socket.Path(vars.Get))
	return err
}

// Settings returns every key that has a value, and where the value is from.
func Settings(file string, vars Environ) ([]Setting, error) {
	path, err := FilePath(file, vars)
	if err != nil {
		return nil, err
	}
	c, _, err := Load(file, vars)
	if err != nil {
		return nil, err
	}
	data, _ := readTrusted(path) // Load has read it, or it is not there
	return settings{c, path, data, vars}.all(), nil
}

// settings is a configuration, and what it was read from.
type settings struct {
	config Config
	path   string
	data   []byte
	vars   Environ
}

func (s settings) all() (all []Setting) {
	for _, k := range topKeys {
		all = append(all, s.setting([]string{k.key}, k.get(s.config), "default"))
	}
	for _, k := range autoLockKeys {
		all = append(all, s.setting([]string{"auto_lock", k.key}, k.get(s.config.AutoLock), "default"))
	}
	for _, name := range s.config.Names() {
		e := s.config.Environments[name]
		for _, f := range environmentFields {
			all = append(all, s.ofEnvironment(name, f.key, f.in(&e).String()))
		}
	}
	for i, x := range s.config.Sinks {
		all = append(all, s.ofTable("sinks", i,
			[2]string{"environment", x.Environment.s}, [2]string{"format", x.Format.s}, [2]string{"path", x.Path.s}, [2]string{"mode", x.Mode.s})...)
	}
	for i, x := range s.config.Sockets {
		all = append(all, s.ofTable("sockets", i,
			[2]string{"name", x.Name.s}, [2]string{"environments", strings.Join(x.Environments, ",")}, [2]string{"allow", joined(x.Allow)},
			[2]string{"methods", joined(x.Methods)}, [2]string{"paths", joined(x.Paths)}, [2]string{"rate", x.Rate.s})...)
	}
	return slices.DeleteFunc(all, func(x Setting) bool { return x.Value == "" })
}

// ofTable returns the settings of a [[table]]; i is its index.
func (s settings) ofTable(table string, i int, pairs ...[2]string) (all []Setting) {
	for _, pair := range pairs {
		all = append(all, s.setting([]string{table, strconv.Itoa(i + 1), pair[0]}, pair[1], "default"))
	}
	return all
}

// joined writes a list as Value has it.
func joined[K kind](list []Text[K]) string { return strings.Join(texts(list), ",") }

func (s settings) ofEnvironment(name, key, value string) Setting {
	from := "default"
	switch parent := s.config.Environments[name].Extends.s; {
	case value == "":
		value = constantDefaults[key]
	case parent != "" && key != "extends":
		from = parent
	}
	x := s.setting([]string{"environments", name, key}, value, from)
	if variable := variablePrefix(name) + strings.ToUpper(key); s.vars.Get(variable) != "" {
		x.From = variable
	}
	return x
}

// setting returns the setting of key; from is where its value is from if the file has none.
func (s settings) setting(key []string, value, from string) Setting {
	if line := tomledit.Line(s.data, key); line > 0 {
		from = fmt.Sprintf("%s:%d", filepath.Base(s.path), line)
	}
	return Setting{tomledit.Key(key), value, from}
}

// Get returns the value of one key, which is "" if it has none.
func Get(file string, vars Environ, key string) (string, error) {
	all, err := Settings(file, vars)
	if err != nil {
		return "", err
	}
	for _, s := range all {
		if s.Key == key {
			return s.Value, nil
		}
	}
	known, err := findKey(key)
	if err != nil || len(known.path) == 1 {
		return "", err
	}
	c, _, err := Load(file, vars)
	if _, ok := c.Environments[known.path[1]]; err == nil && !ok {
		err = Errorf("no environment %.63q is configured; configured: %s", known.path[1], strings.Join(c.Names(), ", "))
	}
	return "", err
}

// Words returns the words that the value of a key may be, or nil if it is no word.
func Words(key string) []string {
	return map[string][]string{
		"store":                  {"auto", "keyring", "file", "memory", "kubernetes", "postgres"},
		"fallback":               {"own"},
		"log_level":              {"debug", "info", "warn", "error"},
		"audit":                  {"on", "required", "off"},
		"auth_flow":              {"password", "srp", "choice", "custom", "browser"},
		"hand_out_access_tokens": {"true", "false"},
	}[key]
}

// Keys returns the keys that can be set, for the environments of c.
func (c Config) Keys() (keys []string) {
	for _, k := range topKeys {
		keys = append(keys, k.key)
	}
	for _, name := range c.Names() {
		for _, f := range environmentFields {
			keys = append(keys, tomledit.Key([]string{"environments", name, f.key}))
		}
	}
	return keys
}

// A knownKey is a key that a person has named.
type knownKey struct {
	path          []string
	list, restart bool
}

// variable returns the variable that overrides the key, or "".
func (k knownKey) variable() string {
	if len(k.path) < 3 {
		return ""
	}
	return variablePrefix(k.path[1]) + strings.ToUpper(k.path[2])
}

// findKey returns the key that name names. Its error never shows a value.
func findKey(name string) (knownKey, error) {
	parts := strings.Split(name, ".")
	if len(parts) == 1 {
		for _, k := range topKeys {
			if k.key == name {
				return knownKey{parts, k.list, k.restart}, nil
			}
		}
	}
	if len(parts) == 3 && parts[0] == "environments" {
		for _, f := range environmentFields {
			if f.key == parts[2] {
				return knownKey{parts, environmentLists[f.key] != "", false}, nil
			}
		}
	}
	if parts[0] == "auto_lock" {
		return knownKey{}, Errorf("auto_lock is a table, which this command does not change; write it into config.toml")
	}
	if parts[0] == "sinks" || parts[0] == "sockets" {
		return knownKey{}, Errorf("%s are tables, which this command does not change; write them into config.toml", parts[0])
	}
	return knownKey{}, Errorf("unknown key %.100q%s; run: kyc-agentd config show, or man kyc-agent.toml for all keys", name, secretHint(parts))
}
