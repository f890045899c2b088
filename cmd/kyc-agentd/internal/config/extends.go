package config

import (
	"maps"
	"slices"
	"strings"
)

// resolveExtends gives every environment with `extends` the keys that it leaves out.
func (c Config) resolveExtends() error {
	resolved := map[string]Environment{}
	for _, name := range c.Names() {
		bases, err := c.basesOf(name)
		if err != nil {
			return err
		}
		e := c.Environments[name]
		for _, base := range bases {
			e = e.extend(base, c.Environments[base])
		}
		resolved[name] = e
	}
	maps.Copy(c.Environments, resolved)
	return nil
}

// basesOf returns the environments that the one called name extends, the nearest first.
func (c Config) basesOf(name string) (bases []string, err error) {
	for at := name; c.Environments[at].Extends.s != ""; {
		base := c.Environments[at].Extends.s
		_, there := c.Environments[base]
		_, builtIn := builtin().Environments[at]
		switch {
		case builtIn:
			return nil, Errorf("environments.%s: extends: %s is built in and has its own keys; give the environment another name", at, at)
		case base == at:
			return nil, Errorf("environments.%s: extends: an environment cannot extend itself", at)
		case !there:
			return nil, Errorf("environments.%s: extends: no environment %q is configured; configured: %s", at, base, strings.Join(c.Names(), ", "))
		case base == name || slices.Contains(bases, base):
			return nil, Errorf("environments.%s: extends: %s extends %s in the end", at, base, at)
		}
		bases, at = append(bases, base), base
	}
	return bases, nil
}

// extend returns e with the keys of base that it leaves out. The client secret belongs to the
// app client, so it comes from base only together with that.
func (e Environment) extend(name string, base Environment) Environment {
	sameClient := e.ClientID.s == "" || e.ClientID.s == base.ClientID.s
	for _, f := range environmentFields {
		if f.key == "client_secret_file" && !sameClient {
			continue
		}
		if to := f.in(&e); !f.own && to.String() == "" {
			_ = to.UnmarshalText([]byte(f.in(&base).String())) // checked before
		}
	}
	if sameClient {
		e.clientOf = append(slices.Clone(e.clientOf), name)
	}
	return e
}
