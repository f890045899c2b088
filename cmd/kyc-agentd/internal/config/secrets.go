package config

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/lazyregexp"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/store/file"
)

// clientSecretShape is Cognito's ClientSecretType.
var clientSecretShape = lazyregexp.New(`^[\w+]{1,64}$`)

// ClientSecret reads the app client's secret; it is nil if there is none.
func (e Environment) ClientSecret(name string, vars Environ) (*agent.ClientSecret, error) {
	var file secretFile
	for _, name := range append([]string{name}, e.clientOf...) {
		if file.path == "" {
			file = findSecretFile(e.ClientSecretFile, "kyc-"+name+".client-secret", vars)
		}
	}
	if file.path == "" {
		return nil, nil
	}
	read := func() (agent.Secret, error) { return readClientSecret(name, file) }
	secret, err := read()
	if err != nil {
		return nil, err
	}
	return agent.NewClientSecret(secret, read), nil
}

// readClientSecret reads the client secret of the environment name.
func readClientSecret(name string, file secretFile) (agent.Secret, error) {
	secret, _, err := file.read()
	if err != nil {
		return agent.Secret{}, Errorf("environments.%s: %s: %v", name, file.label("client_secret_file"), err)
	}
	if !clientSecretShape.MatchString(secret.Reveal()) {
		return agent.Secret{}, Errorf("environments.%s: client_secret_file: %s does not hold a client secret; copy it from the app client's page",
			name, file.path)
	}
	return secret, nil
}

// Unattended returns what the agent signs in with by itself, or nil if a person signs in.
func (e Environment) Unattended(name string, vars Environ) (agent.CredentialSource, error) {
	if e.Username.s == "" {
		return nil, nil
	}
	credential := "kyc-" + name + ".password"
	file := findSecretFile(e.PasswordFile, credential, vars)
	if file.path == "" {
		return nil, Errorf("environments.%s: username is set, and there is no password for it; set password_file, or the systemd credential %s",
			name, credential)
	}
	return passwordFile{environment: name, username: e.Username.s, file: file}, nil
}

// passwordFile is an [agent.CredentialSource] that reads the file each time.
type passwordFile struct {
	environment string
	username    string
	file        secretFile
}

// Credential implements [agent.CredentialSource].
func (p passwordFile) Credential() (agent.Credential, error) {
	password, stamp, err := p.file.read()
	if err != nil {
		return agent.Credential{}, &agent.Error{
			Code: agent.CodeConfiguration, Op: "login", Environment: p.environment,
			Message: sanitize.OneLine(p.file.label("password_file") + ": " + err.Error()), Err: err,
		}
	}
	return agent.Credential{Username: p.username, Password: password, Stamp: p.username + " " + stamp}, nil
}

// SecretFiles returns the paths of the files that hold the secrets of a configuration: what
// [Load] reads of file.
func SecretFiles(file string, vars Environ) (paths []string, err error) {
	c, _, err := Load(file, vars)
	if err != nil {
		return nil, err
	}
	paths = append(paths, c.KeyFile(vars), underHome(c.PostgresDSNFile.s, vars.Get("HOME")))
	for _, name := range c.Names() {
		for _, named := range []SecretPath{c.Environments[name].ClientSecretFile, c.Environments[name].PasswordFile} {
			paths = append(paths, underHome(named.s, vars.Get("HOME")))
		}
	}
	return slices.DeleteFunc(paths, func(path string) bool { return path == "" }), nil
}

// Dir returns the user's configuration folder, or "" if there is no home.
func Dir(vars Environ) string {
	if file := vars.configPath("config.toml"); file != "" {
		return filepath.Dir(file)
	}
	return ""
}

// StateDir returns the folder for what outlives the daemon, where the file store is, too, or "".
func StateDir(vars Environ) string { return file.DefaultDir(vars.Get) }

// KeyFile returns store_key_file, or the default one if it exists, or "".
func (c Config) KeyFile(vars Environ) string {
	if path := underHome(c.StoreKeyFile.s, vars.Get("HOME")); path != "" {
		return path
	}
	path := file.DefaultKeyFile(vars.Get)
	if _, err := os.Lstat(path); err != nil {
		return ""
	}
	return path
}

// NewKeyFile returns where KeyFile would find a key that somebody makes, or "".
func (c Config) NewKeyFile(vars Environ) string {
	return cmp.Or(underHome(c.StoreKeyFile.s, vars.Get("HOME")), file.DefaultKeyFile(vars.Get))
}
