package config

import (
	"os"

	"github.com/pelletier/go-toml/v2"
)

// Plain returns the keys and values of the configuration file, without comments, which may
// hold anything. A key whose value may be a secret has an error instead: Load accepts no
// such file. It returns "" if there is no file.
func Plain(file string, vars Environ) (string, error) {
	if _, _, err := Load(file, vars); err != nil {
		return "", err
	}
	if file == "" {
		file = vars.configPath("config.toml")
	}
	if _, err := os.Lstat(file); err != nil {
		return "", nil
	}
	data, err := readTrusted(file)
	if err != nil {
		return "", err
	}
	var values map[string]any
	if err := toml.Unmarshal(data, &values); err != nil {
		return "", tomlError(file, data, err)
	}
	text, err := toml.Marshal(values)
	return string(text), err
}
