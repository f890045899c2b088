package config

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/lazyregexp"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/store/kubernetes"
	"github.com/legaltalent/kyc-agent/store/postgres"
)

const (
	postgresCredential = "kyc-agentd.postgres"
	postgresVariable   = "KYC_POSTGRES_DSN"
)

type fallbackKind struct{}

func (fallbackKind) check(s string) error {
	if s != "own" {
		return fmt.Errorf(`unknown fallback %q; want own, or leave it out`, s)
	}
	return nil
}

type memberKind struct{}

var memberPattern = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

func (memberKind) check(s string) error {
	if !memberPattern.MatchString(s) {
		return fmt.Errorf("bad name %q; want at most 63 letters, digits, '.', '-' and '_'", s)
	}
	return nil
}

type kubernetesKind struct{}

func (kubernetesKind) check(s string) error {
	if !kubernetes.ValidName(s) {
		return fmt.Errorf("bad name %q; want lower-case letters, digits, '-' and '.', as in Kubernetes", s)
	}
	return nil
}

type tableKind struct{}

func (tableKind) check(s string) error {
	if !postgres.ValidTable(s) {
		return fmt.Errorf("bad table %q; want lower-case letters, digits and '_', with or without a schema and a dot", s)
	}
	return nil
}

// Shared reports whether the store is shared with the agents of other machines.
func (c Config) Shared() bool { return c.Store.s == "kubernetes" || c.Store.s == "postgres" }

// Member returns the name of this agent in its fleet.
func (c Config) Member() string {
	host, _ := os.Hostname()
	return cmp.Or(c.FleetMember.s, sanitize.Cut(host, 63), "unnamed")
}

// Kubernetes returns where the Secret of the fleet is. Its logger is the caller's.
func (c Config) Kubernetes(vars Environ) kubernetes.Options {
	return kubernetes.Options{
		Secret: c.KubernetesSecret.s, Namespace: c.KubernetesNamespace.s,
		Credentials: underHome(c.KubernetesCredentials.s, vars.Get("HOME")), Getenv: vars.Get,
	}
}

// Postgres returns the engine of a fleet in PostgreSQL. It reads the connection string, and makes
// no connection.
func (c Config) Postgres(vars Environ) (*postgres.Engine, error) {
	o, from := postgres.Options{Table: c.PostgresTable.s}, postgresVariable
	if file := findSecretFile(c.PostgresDSNFile, postgresCredential, vars); file.path != "" {
		from = file.label("postgres_dsn_file")
		secret, _, err := file.read()
		if err != nil {
			return nil, Errorf("%s: %v", from, err)
		}
		o.DSN = secret.Reveal()
	} else if o.DSN = vars.Get(postgresVariable); o.DSN == "" {
		return nil, Errorf("store = \"postgres\" needs a connection string; set postgres_dsn_file, the systemd credential %s, or %s", postgresCredential, postgresVariable)
	}
	e, err := postgres.Open(o)
	if err != nil {
		return nil, Errorf("%s: %v", from, err)
	}
	return e, nil
}

// SecretVariable reports whether a variable, NAME=VALUE, has a secret that is for the agent alone.
func SecretVariable(kv string) bool { return strings.HasPrefix(kv, postgresVariable+"=") }

// KnowsPostgres reports whether the connection string is where every program of the user finds it,
// and not a systemd credential.
func (c Config) KnowsPostgres(vars Environ) bool {
	return c.PostgresDSNFile.s != "" || vars.Get(postgresVariable) != ""
}

// checkFallback refuses a fallback that could never be used.
func (e Environment) checkFallback(name string) error {
	if e.Fallback.s != "" && e.Username.s == "" {
		return Errorf("environments.%s: fallback is set and username is not; the agent can sign in for itself only with username and password_file", name)
	}
	return nil
}

// checkFleet refuses a fleet of which this agent cannot be a member.
func (c Config) checkFleet() error {
	if !c.Shared() {
		return nil
	}
	for _, name := range c.Names() {
		if len(name) > agent.MaxSharedName {
			return Errorf("environments.%s: the name is too long for a shared store; use at most %d characters", name, agent.MaxSharedName)
		}
	}
	return nil
}

// ofStore returns value, or "" if store is not used and value is only the default.
func (c Config) ofStore(store, value string) string {
	d := builtin()
	if c.Store.s != store && (value == d.KubernetesSecret.s || value == d.PostgresTable.s) {
		return ""
	}
	return value
}

// FleetDiffers reports whether the keys of the shared store are others than in was.
func (c Config) FleetDiffers(was Config) bool {
	return c.FleetMember != was.FleetMember || c.KubernetesSecret != was.KubernetesSecret || c.KubernetesNamespace != was.KubernetesNamespace ||
		c.KubernetesCredentials != was.KubernetesCredentials || c.PostgresDSNFile != was.PostgresDSNFile || c.PostgresTable != was.PostgresTable
}
