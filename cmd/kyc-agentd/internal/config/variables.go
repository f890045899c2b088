package config

import (
	"cmp"
	"encoding"
	"fmt"
	"slices"
	"strings"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// Environ is a process's environment: "NAME=value", as os.Environ gives it.
type Environ []string

// Get returns the value of name, or "". The last one counts, as in os/exec.
func (v Environ) Get(name string) string {
	for _, kv := range slices.Backward(v) {
		if n, value, ok := strings.Cut(kv, "="); ok && n == name {
			return value
		}
	}
	return ""
}

// NoColor reports whether the user wants no colours (no-color.org: NO_COLOR is set and not
// empty) or the terminal has none.
func (v Environ) NoColor() bool {
	return v.Get("NO_COLOR") != "" || v.Get("TERM") == "dumb"
}

// value is one key of an [Environment].
type value interface {
	encoding.TextUnmarshaler
	String() string
}

// environmentFields are the keys of an [Environment]. A variable ends with the key in upper
// case.
var environmentFields = []struct {
	key      string
	required bool
	own      bool // not inherited by `extends`
	class    *class
	in       func(*Environment) value
}{
	{"extends", false, true, harmless /* its values are */, func(e *Environment) value { return &e.Extends }},
	{"region", true, false, moves, func(e *Environment) value { return &e.Region }},
	{"user_pool_id", true, false, moves, func(e *Environment) value { return &e.UserPoolID }},
	{"client_id", true, false, moves, func(e *Environment) value { return &e.ClientID }},
	{"api_url", true, false, moves, func(e *Environment) value { return &e.APIURL }},
	{"allowed_hosts", false, true, adds, func(e *Environment) value { return commaList[hostKind]{(*[]Text[hostKind])(&e.AllowedHosts)} }},
	{"api_rate", false, false, harmless, func(e *Environment) value { return &e.APIRate }},
	{"auth_flow", false, false, flowClass, func(e *Environment) value { return &e.AuthFlow }},
	{"domain", false, false, moves, func(e *Environment) value { return &e.Domain }},
	{"redirect_uris", false, false, adds, func(e *Environment) value { return commaList[redirectKind]{(*[]Text[redirectKind])(&e.RedirectURIs)} }},
	{"identity_provider", false, false, moves, func(e *Environment) value { return &e.IdentityProvider }},
	{"scopes", false, false, adds, func(e *Environment) value { return commaList[scopeKind]{(*[]Text[scopeKind])(&e.Scopes)} }},
	{"client_secret_file", false, false, gives, func(e *Environment) value { return &e.ClientSecretFile }},
	{"refresh_token_validity", false, false, harmless, func(e *Environment) value { return &e.RefreshTokenValidity }},
	{"username", false, true, givesUnseen, func(e *Environment) value { return &e.Username }},
	{"password_file", false, true, givesUnseen, func(e *Environment) value { return &e.PasswordFile }},
	{"confirm", false, false, protects, func(e *Environment) value { return &e.Confirm }},
	{"fallback", false, true, givesUnseen, func(e *Environment) value { return &e.Fallback }},
	{"hand_out_access_tokens", false, true, permits, func(e *Environment) value { return &e.HandOutAccessTokens }},
	{"identity_pool_id", false, false, gives, func(e *Environment) value { return &e.IdentityPoolID }},
	{"role_arn", false, false, moves, func(e *Environment) value { return &e.RoleARN }},
	{"aws_role_arn", false, false, gives, func(e *Environment) value { return &e.AWSRoleARN }},
	{"endpoint", false, false, moves, func(e *Environment) value { return &e.Endpoint }},
	{"issuer", false, false, moves, func(e *Environment) value { return &e.Issuer }},
	{"jwks_url", false, false, moves, func(e *Environment) value { return &e.JWKSURL }},
	{"aws_endpoint", false, false, moves, func(e *Environment) value { return &e.AWSEndpoint }},
}

// environmentLists are the keys whose value is a list, each with an example of an item.
var environmentLists = map[string]string{
	"allowed_hosts": "files.kyc.example", "redirect_uris": "http://localhost:8765/callback", "scopes": "openid",
}

// A commaList is a list in a variable: separated by commas. The list itself must not have
// UnmarshalText, because go-toml would then refuse an array.
type commaList[K kind] struct{ list *[]Text[K] }

func (l commaList[K]) UnmarshalText(text []byte) error {
	*l.list = nil
	for part := range strings.SplitSeq(string(text), ",") {
		var item Text[K]
		if err := item.UnmarshalText([]byte(strings.TrimSpace(part))); err != nil {
			return err
		}
		if item.s != "" {
			*l.list = append(*l.list, item)
		}
	}
	return nil
}

func (l commaList[K]) String() string { return joined(*l.list) }

// texts returns the items of a list.
func texts[K kind](list []Text[K]) (items []string) {
	for _, item := range list {
		items = append(items, item.s)
	}
	return items
}

// secretKeys are what somebody may take for a key, and the key to use instead.
var secretKeys = map[string]string{"client_secret": "client_secret_file", "password": "password_file"}

// reservedVariables are the variables of the project that belong to no environment.
var reservedVariables = []string{"KYC_AGENT_SOCK", "KYC_ENV", "KYC_TOKEN", "KYC_API_URL", "KYC_TOKEN_EXPIRES_AT", postgresVariable}

// applyVariables overrides c with KYC_<NAME>_<KEY> from vars. warnings name variables that
// look like these but belong to no environment.
func (c Config) applyVariables(vars Environ) (warnings []string, err error) {
	for _, kv := range vars {
		variable, v, _ := strings.Cut(kv, "=")
		if v == "" || !strings.HasPrefix(variable, "KYC_") || slices.Contains(reservedVariables, variable) {
			continue
		}
		name, key := c.splitVariable(variable)
		if name == "" {
			if maybeOurVariable(variable) {
				warnings = append(warnings, sanitize.OneLine(variable)+" is ignored: no such environment is configured")
			}
			continue
		}
		e := c.Environments[name]
		if err := e.setVariable(variablePrefix(name), key, v); err != nil {
			return nil, Errorf("%s: %v", variable, err)
		}
		c.Environments[name] = e
	}
	return warnings, nil
}

// Variables returns the names of the variables that override keys of config.toml, sorted. An
// environment that is not configured is not told apart: the log names such a variable.
func Variables(vars Environ) (names []string) {
	for _, kv := range vars {
		name, value, _ := strings.Cut(kv, "=")
		if value != "" && strings.HasPrefix(name, "KYC_") && !slices.Contains(reservedVariables, name) && maybeOurVariable(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// splitVariable finds the environment of a variable. It is the longest name that fits:
// KYC_PROD_EU_REGION could belong to "prod-eu" and to "prod".
func (c Config) splitVariable(variable string) (name, key string) {
	names := c.Names()
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, name := range names {
		if key, ok := strings.CutPrefix(variable, variablePrefix(name)); ok {
			return name, key
		}
	}
	return "", ""
}

// setVariable sets the key of a variable that begins with prefix.
func (e *Environment) setVariable(prefix, key, v string) error {
	for _, f := range environmentFields {
		if strings.ToUpper(f.key) == key {
			return f.in(e).UnmarshalText([]byte(v))
		}
	}
	if file, ok := secretKeys[strings.ToLower(key)]; ok {
		return fmt.Errorf("a secret does not belong in a variable; write it to a file (mode 0600) and name that in %s%s",
			prefix, strings.ToUpper(file))
	}
	return fmt.Errorf("unknown variable; known endings: %s", strings.Join(variableKeys(), ", "))
}

// variablePrefix is the beginning of the variables that override environment name.
func variablePrefix(name string) string {
	return "KYC_" + strings.ReplaceAll(strings.ToUpper(name), "-", "_") + "_"
}

// maybeOurVariable reports whether variable could be meant for some environment.
func maybeOurVariable(variable string) bool {
	return slices.ContainsFunc(variableKeys(), func(key string) bool { return strings.HasSuffix(variable, "_"+key) })
}

func variableKeys() []string {
	keys := make([]string, len(environmentFields))
	for i, f := range environmentFields {
		keys[i] = strings.ToUpper(f.key)
	}
	return keys
}
