package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/strictmodes"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/store"
)

// Load reads the configuration: the file, then the environment variables. file is the
// value of --config, or "" for the default file. warnings are for the log.
func Load(file string, vars Environ) (c Config, warnings []string, err error) {
	data, err := readConfigFile(file, vars)
	if err != nil {
		return Config{}, nil, err
	}
	return load(cmp.Or(file, vars.configPath("config.toml")), data, vars)
}

// load is Load for the text of the file.
func load(file string, data []byte, vars Environ) (c Config, warnings []string, err error) {
	if c, err = parseConfig(file, data); err != nil {
		return Config{}, nil, err
	}
	c = c.withDefaults(builtin())
	if warnings, err = c.applyVariables(vars); err != nil {
		return Config{}, nil, err
	}
	if err := c.resolveExtends(); err != nil {
		return Config{}, nil, err
	}
	if err := c.check(); err != nil {
		return Config{}, nil, err
	}
	return c, warnings, nil
}

// maxConfig is the largest config.toml, in bytes. A real one has a few hundred.
const maxConfig = 1 << 20

// readConfigFile returns nothing if there is no file and --config names none.
func readConfigFile(file string, vars Environ) ([]byte, error) {
	named := file != ""
	if !named {
		if file = vars.configPath("config.toml"); file == "" {
			return nil, nil
		}
	}
	data, err := readTrusted(file)
	if !named && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if isPathError(err) {
		return nil, Errorf("cannot read %s: %s", file, PlainCause(err))
	}
	if err != nil {
		return nil, Errorf("%v", err)
	}
	return data, nil
}

// readTrusted reads a file that no other user can change.
func readTrusted(path string) ([]byte, error) {
	f, err := strictmodes.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err == nil && len(data) > maxConfig {
		err = &fs.PathError{Op: "read", Path: path, Err: errors.New("larger than 1 MiB")}
	}
	return data, err
}

// parseConfig parses the text of config.toml. Keys that are left out stay zero.
func parseConfig(file string, data []byte) (Config, error) {
	if what, filter := wideEncoding(string(data)); what != "" {
		return Config{}, Errorf("%s %s; write it as UTF-8, for example with: %s", file, what, filter)
	}
	data = bytes.TrimPrefix(data, []byte(byteOrderMark))
	var c Config
	if err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(&c); err != nil {
		return Config{}, tomlError(file, data, err)
	}
	c.locateSockets(file, data)
	for _, name := range c.Names() {
		if !store.ValidKey(name) {
			return Config{}, Errorf("%s: environment %q: a name is lower-case letters, digits, '-' and '_', at most 63 bytes", file, name)
		}
	}
	return c, nil
}

// withDefaults fills in what c leaves out.
func (c Config) withDefaults(d Config) Config {
	c.DefaultEnvironment = cmp.Or(c.DefaultEnvironment, d.DefaultEnvironment)
	c.RefreshMargin = cmp.Or(c.RefreshMargin, d.RefreshMargin)
	c.Store = cmp.Or(c.Store, d.Store)
	c.StoreKeyFile = cmp.Or(c.StoreKeyFile, d.StoreKeyFile)
	c.FleetMember = cmp.Or(c.FleetMember, d.FleetMember)
	c.KubernetesSecret = cmp.Or(c.KubernetesSecret, d.KubernetesSecret)
	c.PostgresTable = cmp.Or(c.PostgresTable, d.PostgresTable)
	c.LogLevel = cmp.Or(c.LogLevel, d.LogLevel)
	c.Audit = cmp.Or(c.Audit, d.Audit)
	all := maps.Clone(d.Environments)
	for name, e := range c.Environments {
		all[name] = e.withDefaults(d.Environments[name])
	}
	c.Environments = all
	return c
}

func (e Environment) withDefaults(d Environment) Environment {
	for _, f := range environmentFields {
		if to := f.in(&e); to.String() == "" {
			_ = to.UnmarshalText([]byte(f.in(&d).String())) // checked before
		}
	}
	return e
}

// check checks what depends on several keys.
func (c Config) check() error {
	if _, ok := c.Environments[c.DefaultEnvironment]; !ok {
		return Errorf("default_environment: no environment %q is configured; configured: %s",
			c.DefaultEnvironment, strings.Join(c.Names(), ", "))
	}
	byPrefix := map[string]string{}
	for _, name := range c.Names() {
		if other, taken := byPrefix[variablePrefix(name)]; taken {
			return Errorf("environments %s and %s share the variables %s*; rename one", other, name, variablePrefix(name))
		}
		byPrefix[variablePrefix(name)] = name
		if err := c.Environments[name].check(name); err != nil {
			return err
		}
	}
	for i, s := range c.Sinks {
		if err := s.check(i+1, c); err != nil {
			return err
		}
	}
	if err := c.checkConfirm(); err != nil {
		return err
	}
	if err := c.checkForwardEnvironments(); err != nil {
		return err
	}
	if err := c.checkSockets(); err != nil {
		return err
	}
	if err := c.checkFleet(); err != nil {
		return err
	}
	return c.checkHosts()
}

func (e Environment) check(name string) error {
	for _, f := range environmentFields {
		if f.required && f.in(&e).String() == "" {
			return Errorf("environments.%s: %s is missing", name, f.key)
		}
	}
	if e.IdentityPoolID.s != "" && e.AWSRoleARN.s != "" {
		return Errorf("environments.%s: identity_pool_id and aws_role_arn are both set; "+
			"choose one: AWS credentials come from an identity pool or from a role at STS", name)
	}
	if e.RoleARN.s != "" && e.IdentityPoolID.s == "" {
		return Errorf("environments.%s: role_arn is set and identity_pool_id is not; set that, or aws_role_arn for a role at STS", name)
	}
	if e.PasswordFile.s != "" && e.Username.s == "" {
		return Errorf("environments.%s: password_file is set and username is not; the agent signs in by itself with both", name)
	}
	return cmp.Or(e.checkBrowser(name), e.checkFallback(name))
}

// Names returns the names of the environments in ascending order.
func (c Config) Names() []string { return slices.Sorted(maps.Keys(c.Environments)) }

// AgentConfig returns the part of c that the agent needs. It reads the client secrets.
func (c Config) AgentConfig(vars Environ) (agent.Config, error) {
	margin, _ := time.ParseDuration(c.RefreshMargin.s) // checked before
	a := agent.Config{DefaultEnvironment: c.DefaultEnvironment, RefreshMargin: margin}
	for _, name := range c.Names() {
		e, err := c.Environments[name].AgentEnvironment(name, vars)
		if err != nil {
			return agent.Config{}, err
		}
		a.Environments = append(a.Environments, e)
	}
	return a, nil
}

// AgentEnvironment returns e as the agent needs it. It reads the client secret.
func (e Environment) AgentEnvironment(name string, vars Environ) (agent.Environment, error) {
	secret, err := e.ClientSecret(name, vars)
	if err != nil {
		return agent.Environment{}, err
	}
	unattended, err := e.Unattended(name, vars)
	if err != nil {
		return agent.Environment{}, err
	}
	validity, _ := parseDays(e.RefreshTokenValidity.s) // checked before; 0 is the default
	rate, _ := agent.ParseRate(e.APIRate.s)            // the same
	return agent.Environment{
		Name:                 name,
		Region:               e.Region.s,
		UserPoolID:           e.UserPoolID.s,
		ClientID:             e.ClientID.s,
		APIURL:               withoutSlash(e.APIURL),
		AllowedHosts:         texts(e.AllowedHosts),
		APIRate:              rate,
		AuthFlow:             agent.AuthFlow(e.AuthFlow.s),
		Domain:               strings.TrimRight(e.Domain.s, "/"),
		RedirectURIs:         texts(e.RedirectURIs),
		IdentityProvider:     e.IdentityProvider.s,
		Scopes:               texts(e.Scopes),
		ClientSecret:         secret,
		RefreshTokenValidity: validity,
		Unattended:           unattended,
		FallbackOwn:          e.Fallback.s == "own",
		HandOutAccessTokens:  e.HandOutAccessTokens.s == "true",
		Endpoint:             withoutSlash(e.Endpoint),
		Issuer:               e.Issuer.s,
		JWKSURL:              e.JWKSURL.s,
		IdentityPoolID:       e.IdentityPoolID.s,
		RoleARN:              e.RoleARN.s,
		AWSRoleARN:           e.AWSRoleARN.s,
		AWSEndpoint:          withoutSlash(e.AWSEndpoint),
	}, nil
}

// configPath returns the path of name in the user's configuration folder, or "" if there is
// no home. A relative $XDG_CONFIG_HOME counts as unset (XDG base directory specification).
func (v Environ) configPath(name string) string {
	if dir := v.Get("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "kyc-agent", name)
	}
	if home := v.Get("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".config", "kyc-agent", name)
	}
	return ""
}

// Errorf returns an error about the configuration, in one line.
func Errorf(format string, args ...any) error {
	return &agent.Error{Code: agent.CodeConfiguration, Op: "config", Message: sanitize.OneLine(fmt.Sprintf(format, args...))}
}

// checkForwardEnvironments checks that forward_environments are configured.
func (c Config) checkForwardEnvironments() error {
	for i, name := range c.ForwardEnvironments {
		if _, ok := c.Environments[name]; !ok {
			return Errorf("forward_environments: no environment %q is configured; configured: %s", name, strings.Join(c.Names(), ", "))
		}
		if slices.Contains(c.ForwardEnvironments[:i], name) {
			return Errorf("forward_environments: %q is listed twice", name)
		}
	}
	return nil
}
