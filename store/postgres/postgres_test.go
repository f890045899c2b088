package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testpeer/engine"
	"github.com/legaltalent/kyc-agent/internal/testpeer/enginetest"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/postgres"
	"github.com/legaltalent/kyc-agent/store/shared"
	"github.com/legaltalent/kyc-agent/store/shared/sharedtest"
)

// server is a PostgreSQL with the table, and what agents may do with it.
func server(t *testing.T) *engine.Postgres {
	t.Helper()
	pg := enginetest.Postgres(t)
	if err := open(t, pg.DSN("owner", 0)).Init(within(t)); err != nil {
		t.Fatal(err)
	}
	if err := pg.Grant(postgres.DefaultTable); err != nil {
		t.Fatal(err)
	}
	return pg
}

func open(t *testing.T, dsn string) *postgres.Engine {
	t.Helper()
	e, err := postgres.Open(postgres.Options{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestPostgres(t *testing.T) {
	testpeer.Slow(t)
	pg := server(t)
	sharedtest.Run(t, func(t *testing.T) shared.Engine { return open(t, pg.DSN("agent", 0)) })
	t.Run("Faults", func(t *testing.T) { faults(t, pg) })
	t.Run("Kept", func(t *testing.T) { kept(t, pg) })
	t.Run("Tables", func(t *testing.T) { tables(t, pg) })
	t.Run("Suspended", func(t *testing.T) { suspended(t, pg) })
	t.Run("Standby", func(t *testing.T) { standby(t, pg) }) // it does not come back
}

// tables are two fleets in one database: neither sees the other.
func tables(t *testing.T, pg *engine.Postgres) {
	one := open(t, pg.DSN("agent", 0))
	other := func(role string) *postgres.Engine {
		e, err := postgres.Open(postgres.Options{DSN: pg.DSN(role, 0), Table: "second.fleet"})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	if err := pg.Exec("CREATE SCHEMA second; GRANT USAGE ON SCHEMA second TO agent"); err != nil {
		t.Fatal(err)
	}
	if err := other("owner").Init(within(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := other("agent").Get(within(t), "prod"); !errors.Is(err, store.ErrUnusable) || !strings.HasSuffix(err.Error(), "; run: GRANT SELECT, INSERT, UPDATE ON second.fleet TO agent") {
		t.Errorf("without a right: %v", err)
	}
	if err := pg.Grant("second.fleet"); err != nil {
		t.Fatal(err)
	}
	for i, e := range []*postgres.Engine{one, other("agent")} {
		if err := e.Swap(within(t), "two-fleets", nil, []byte{byte('1' + i)}); err != nil {
			t.Error(err)
		}
	}
	if v, err := one.Get(within(t), "two-fleets"); err != nil || string(v.Data) != "1" {
		t.Errorf("%q, %v", v.Data, err)
	}
}

// suspended is a server that takes connections and does not answer.
func suspended(t *testing.T, pg *engine.Postgres) {
	e := open(t, pg.DSN("agent", 0))
	pg.Suspend()
	defer pg.Resume()
	began := time.Now()
	if _, err := e.Get(within(t), "slow"); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "no answer in time") || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}

// standby is a server that follows another one, and may be behind.
func standby(t *testing.T, pg *engine.Postgres) {
	e := open(t, pg.DSN("agent", 0))
	if err := pg.MakeStandby(); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Get(within(t), "prod"); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "this is a standby; name the primary") {
		t.Errorf("Get: %v", err)
	}
	if err := e.Swap(within(t), "prod", nil, []byte("one")); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("Swap: %v", err)
	}
	if _, err := open(t, pg.DSN("agent", 0)+"&target_session_attrs=read-write").Get(within(t), "prod"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("read-write: %v", err)
	}
}

// Pools of connections are no problem: nothing depends on a session.
func TestPool(t *testing.T) {
	testpeer.Slow(t)
	pgbouncer := testpeer.Program(t, "pgbouncer", "pgbouncer")
	pg := server(t)
	for _, mode := range []string{"session", "transaction", "statement"} {
		t.Run(mode, func(t *testing.T) {
			dsn, stop, err := pg.StartPool(pgbouncer, mode)
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			sharedtest.Run(t, func(t *testing.T) shared.Engine { return open(t, dsn) })
			if _, err := open(t, dsn+"&zebra=1").Get(within(t), "prod"); err == nil || strings.Contains(err.Error(), "zebra") {
				t.Errorf("a piece of a password: %v", err)
			}
		})
	}
}

// kept is the connection of an agent that has a lease: it can renew that, and write what it got,
// where others cannot connect any more. A server that was restarted has ended it.
func kept(t *testing.T, pg *engine.Postgres) {
	e, other := open(t, pg.DSN("agent", 0)), open(t, pg.DSN("agent", 0))
	if err := e.Swap(within(t), "kept", nil, []byte("1")); err != nil {
		t.Fatal(err)
	}
	if err := pg.Exec("ALTER ROLE agent CONNECTION LIMIT 1"); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Get(within(t), "kept"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("another agent: %v", err)
	}
	if err := e.Swap(within(t), "kept", []byte("1"), []byte("2")); err != nil {
		t.Errorf("the holder: %v", err)
	}
	if err := pg.Exec("ALTER ROLE agent CONNECTION LIMIT -1"); err != nil {
		t.Fatal(err)
	}
	pg.Stop()
	if err := pg.Start(); err != nil {
		t.Fatal(err)
	}
	if err := e.Swap(within(t), "kept", []byte("2"), []byte("3")); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

// faults are what a server says, with what a person has to do. No error shows the password.
func faults(t *testing.T, pg *engine.Postgres) {
	agent := pg.DSN("agent", 0)
	for _, c := range []struct {
		name, before, after, dsn string
		kind                     error
		want                     string
	}{
		{"no table", "ALTER TABLE kyc_agent RENAME TO gone", "ALTER TABLE gone RENAME TO kyc_agent", agent, store.ErrUnusable, "run once: kyc-agentd store init"},
		{"no SELECT", "REVOKE SELECT ON kyc_agent FROM agent", "GRANT SELECT ON kyc_agent TO agent", agent, store.ErrUnusable, "GRANT SELECT, INSERT, UPDATE ON kyc_agent"},
		{"no UPDATE", "REVOKE UPDATE ON kyc_agent FROM agent", "GRANT UPDATE ON kyc_agent TO agent", agent, store.ErrUnusable, "GRANT SELECT, INSERT, UPDATE ON kyc_agent"},
		{"no INSERT", "REVOKE INSERT ON kyc_agent FROM agent", "GRANT INSERT ON kyc_agent TO agent", agent, store.ErrUnusable, "GRANT SELECT, INSERT, UPDATE ON kyc_agent"},
		{"read-only", "ALTER ROLE agent SET default_transaction_read_only = on", "ALTER ROLE agent RESET default_transaction_read_only", agent, store.ErrUnavailable, "read-only"},
		{"too many connections", "ALTER ROLE agent CONNECTION LIMIT 0", "ALTER ROLE agent CONNECTION LIMIT -1", agent, store.ErrUnavailable, "too many connections"},
		{"wrong password", "", "", strings.Replace(agent, engine.PostgresPassword, "Wrong-password-4", 1), store.ErrUnusable, "correct the connection string"},
		{"no database", "", "", strings.Replace(agent, "/kyc?", "/nothing?", 1), store.ErrUnusable, "correct the connection string"},
		{"a piece of a password", "", "", agent + "&zebra_assword-=1", store.ErrUnusable, "does not know a parameter of the connection string"},
		{"nobody listens", "", "", "postgres://agent:" + engine.PostgresPassword + "@127.0.0.1:1/kyc?sslmode=disable", store.ErrUnavailable, "no connection"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, k := open(t, c.dsn), "fault-"+strings.ToLower(strings.ReplaceAll(c.name, " ", "-"))
			if err := pg.Exec("INSERT INTO kyc_agent VALUES ('" + k + "', 'one')"); err != nil {
				t.Fatal(err)
			}
			if c.before != "" {
				if err := pg.Exec(c.before); err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := pg.Exec(c.after); err != nil {
						t.Error(err)
					}
				}()
			}
			_, get := e.Get(within(t), k)
			err := errors.Join(get, e.Swap(within(t), k, []byte("one"), []byte("two")), e.Swap(within(t), k+"-new", nil, []byte("two")))
			if err == nil || !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want one with %q", err, c.want)
			}
			if err != nil && (strings.Contains(err.Error(), "assword-") || strings.Contains(err.Error(), "postgres://")) {
				t.Errorf("the error shows the connection string: %v", err)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	for _, dsn := range []string{"postgres://u:Secret-5@host:port/db", "host='Secret-5", "postgres://u:Secret-5@[::1/db"} {
		if _, err := postgres.Open(postgres.Options{DSN: dsn}); err == nil || strings.Contains(err.Error(), "Secret-5") || !errors.Is(err, store.ErrUnusable) {
			t.Errorf("%q: %v", dsn, err)
		}
	}
	for _, table := range []string{"a;b", "A", "a.b.c", `"x"`, "a b"} {
		if _, err := postgres.Open(postgres.Options{DSN: "postgres://h/d", Table: table}); err == nil {
			t.Errorf("table %q is accepted", table)
		}
	}
}
