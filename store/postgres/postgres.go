// Package postgres is the engine of a fleet in one table of a PostgreSQL database.
//
// [Open] reads the connection string and makes no connection; [Init] makes the table, once, by
// a role that may:
//
//	engine, err := postgres.Open(postgres.Options{DSN: dsn})
//
// The compare-and-swap is an UPDATE of the row whose value is still the old one, which is true
// on a single primary whatever pools connections in between. LISTEN and advisory locks would
// need a session, which pgbouncer does not give, and a connection for each agent of the fleet,
// of which PostgreSQL allows 100 by default. So Watch reads the row now and then, each time on a
// connection of its own, and only one that changed a value is kept, for a moment. pgconn alone is
// enough for that: pgx's pool and type system are not linked.
package postgres

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/legaltalent/kyc-agent/internal/lazyregexp"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/shared"
)

// DefaultTable is the table if none is configured.
const DefaultTable = "kyc_agent"

// connectTimeout is long enough for a server far away, and short enough that a request whose
// refresh waits for it gets an answer.
const connectTimeout = 3 * time.Second

// keepFor is longer than the pauses of an agent that has a lease.
const keepFor = 2 * shared.LeaseTTL / 3

// Options say where the table is.
type Options struct {
	// DSN is a connection string of libpq, with or without a password. It is a secret.
	DSN string
	// Table may have a schema: "kyc.agents". Two fleets of one database have two tables.
	Table string
}

// Engine is a [shared.Engine].
type Engine struct {
	config *pgconn.Config
	table  string

	mu     sync.Mutex
	kept   *pgconn.PgConn // of the last change of a value, for keepFor
	unkeep *time.Timer
}

var _ shared.Engine = (*Engine)(nil)

var tablePattern = lazyregexp.New(`^([a-z_][a-z0-9_]{0,62}\.)?[a-z_][a-z0-9_]{0,62}$`)

// ValidTable reports whether Options.Table can be name: what needs no quotes in SQL.
func ValidTable(name string) bool { return tablePattern.MatchString(name) }

// Open returns the engine. No error has anything of the DSN in it.
func Open(o Options) (*Engine, error) {
	o.Table = cmp.Or(o.Table, DefaultTable)
	if !ValidTable(o.Table) {
		return nil, shared.Errorf(store.ErrUnusable, "the table %.80q is not a name of lower-case letters, digits and '_'", o.Table)
	}
	config, err := parseDSN(o.DSN)
	if err != nil {
		return nil, err
	}
	config.ConnectTimeout = connectTimeout
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "kyc-agentd"
	}
	return &Engine{config: config, table: o.Table}, nil
}

// Describe implements [store.Describer].
func (e *Engine) Describe() store.Info {
	return store.Info{Kind: "postgres", Detail: e.where(), Lasting: true}
}

// where names the table, without user and password.
func (e *Engine) where() string {
	return e.config.Host + ":" + strconv.Itoa(int(e.config.Port)) + "/" + e.config.Database + " " + e.table
}

// role returns the role of the agents, as SQL has it.
func (e *Engine) role() string {
	if ValidTable(e.config.User) {
		return e.config.User
	}
	return "ROLE"
}

// Init makes the table if there is none.
func (e *Engine) Init(ctx context.Context) error {
	_, _, err := e.exec(ctx, false, `CREATE TABLE IF NOT EXISTS `+e.table+` (
		environment text PRIMARY KEY,
		value bytea NOT NULL,
		changed_at timestamptz NOT NULL DEFAULT now())`)
	return err
}

// Get implements [shared.Engine].
func (e *Engine) Get(ctx context.Context, key string) (shared.Value, error) {
	if !store.ValidKey(key) {
		return shared.Value{}, fmt.Errorf("postgres: invalid key %.64q", key)
	}
	asked := time.Now()
	// One row always, so that the clock comes with it. A standby may lag behind: what has been
	// swapped in must be what is read.
	result, _, err := e.exec(ctx, false, `SELECT pg_is_in_recovery(), (extract(epoch FROM clock_timestamp())*1000)::bigint, `+
		`(SELECT value FROM `+e.table+` WHERE environment = $1)`, []byte(key))
	if err != nil {
		return shared.Value{}, err
	}
	if len(result.Rows) != 1 || len(result.Rows[0]) != 3 {
		return shared.Value{}, e.errorf(store.ErrUnavailable, "an answer of another form")
	}
	row := result.Rows[0]
	if string(row[0]) == "t" || len(row[0]) == 1 && row[0][0] == 1 {
		return shared.Value{}, e.errorf(store.ErrUnavailable, "this is a standby; name the primary in the connection string, or add target_session_attrs=read-write")
	}
	ms, err := strconv.ParseInt(string(row[1]), 10, 64)
	if err != nil {
		return shared.Value{}, e.errorf(store.ErrUnavailable, "an answer of another form")
	}
	v := shared.Value{At: time.UnixMilli(ms), Asked: asked}
	if row[2] == nil {
		return v, nil
	}
	if v.Data, err = decodeBytea(row[2]); err != nil {
		return shared.Value{}, e.errorf(store.ErrUnusable, "its column value is not of type bytea")
	}
	return v, nil
}

// Swap implements [shared.Engine].
func (e *Engine) Swap(ctx context.Context, key string, old, new []byte) error {
	if !store.ValidKey(key) {
		return fmt.Errorf("postgres: invalid key %.64q", key)
	}
	var result *pgconn.Result
	var resent bool
	var err error
	if old == nil {
		result, resent, err = e.exec(ctx, true, `INSERT INTO `+e.table+` (environment, value) VALUES ($1, $2::text::bytea) ON CONFLICT DO NOTHING`,
			[]byte(key), encodeBytea(new))
	} else {
		result, resent, err = e.exec(ctx, true, `UPDATE `+e.table+` SET value = $3::text::bytea, changed_at = now() WHERE environment = $1 AND value = $2::text::bytea`,
			[]byte(key), encodeBytea(old), encodeBytea(new))
	}
	if err != nil {
		return err
	}
	if result.CommandTag.RowsAffected() == 0 {
		if resent { // maybe it finds what it has put the first time
			if v, err := e.Get(ctx, key); err == nil && bytes.Equal(v.Data, new) {
				return nil
			}
		}
		return fmt.Errorf("postgres: %s: %w", key, shared.ErrConflict)
	}
	return nil
}

// Watch implements [shared.Engine] by reading the row every so often.
func (e *Engine) Watch(ctx context.Context, key string, known []byte, every time.Duration) (shared.Value, error) {
	for {
		v, err := e.Get(ctx, key)
		if err != nil || !bytes.Equal(v.Data, known) {
			return v, err
		}
		timer := time.NewTimer(every*3/4 + rand.N(every/2+1))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return shared.Value{}, e.errorf(store.ErrUnavailable, "%w", ctx.Err())
		}
	}
}

// exec runs one statement on a connection of its own. What changes a value keeps its connection
// for the next change; if that fails, as after a restart of the server, the statement is sent again.
func (e *Engine) exec(ctx context.Context, change bool, sql string, args ...[]byte) (result *pgconn.Result, resent bool, err error) {
	if change {
		if conn := e.take(); conn != nil {
			result = e.execOn(ctx, conn, true, sql, args)
			if result.Err == nil || ctx.Err() != nil {
				return result, false, e.explain(sql, result.Err)
			}
			resent = true
		}
	}
	conn, err := pgconn.ConnectConfig(ctx, e.config)
	if err != nil {
		return nil, resent, e.explain(sql, err)
	}
	result = e.execOn(ctx, conn, change, sql, args)
	return result, resent, e.explain(sql, result.Err)
}

// execOn runs one statement on conn, and keeps or closes that.
func (e *Engine) execOn(ctx context.Context, conn *pgconn.PgConn, change bool, sql string, args [][]byte) *pgconn.Result {
	result := conn.ExecParams(ctx, sql, args, nil, nil, nil).Read()
	if change && result.Err == nil && result.CommandTag.RowsAffected() > 0 {
		e.keep(conn)
	} else {
		closeConn(ctx, conn)
	}
	return result
}

// keep holds conn for the next call. What changes a value has a lease, which it renews: if the
// server has no connection left by then, because all agents have started at once, the lease would
// end while its holder works.
func (e *Engine) keep(conn *pgconn.PgConn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.kept != nil {
		go closeConn(context.Background(), conn)
		return
	}
	e.kept = conn
	e.unkeep = time.AfterFunc(keepFor, func() {
		if conn := e.take(); conn != nil {
			closeConn(context.Background(), conn)
		}
	})
}

// take returns the connection that is kept, or nil.
func (e *Engine) take() *pgconn.PgConn {
	e.mu.Lock()
	defer e.mu.Unlock()
	conn := e.kept
	if e.kept = nil; conn != nil {
		e.unkeep.Stop()
	}
	if conn != nil && conn.IsClosed() {
		return nil
	}
	return conn
}

func closeConn(ctx context.Context, conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

func (e *Engine) errorf(kind error, format string, args ...any) error {
	return shared.Errorf(kind, "PostgreSQL %s: %w", e.where(), fmt.Errorf(format, args...))
}

// explain says what a person has to do, by the SQLSTATE, after a statement.
func (e *Engine) explain(sql string, err error) error {
	if err == nil {
		return nil
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return e.errorf(store.ErrUnavailable, "%s", connectProblem(err))
	}
	switch {
	case pg.Code == "42P01":
		return e.errorf(store.ErrUnusable, "there is no table %s; run once: kyc-agentd store init", e.table)
	case pg.Code == "42501" && strings.HasPrefix(sql, "CREATE"):
		return e.errorf(store.ErrUnusable, "%s; run it as a role that may make tables: kyc-agentd store init --dsn-file FILE", oneLine(pg.Message))
	case pg.Code == "42501":
		return e.errorf(store.ErrUnusable, "%s; run: GRANT SELECT, INSERT, UPDATE ON %s TO %s", oneLine(pg.Message), e.table, e.role())
	case pg.Code == "28P01": // its text quotes the role, where somebody may have written the password
		return e.errorf(store.ErrUnusable, "the password of the role is not accepted; correct the connection string")
	case pg.Code == "3D000", pg.Code[:2] == "28":
		return e.errorf(store.ErrUnusable, "%s; correct the connection string", oneLine(pg.Message))
	case pg.Code == "42704", pg.Code == "22023", pg.Code == "08P01":
		// Its text quotes a parameter, which is a piece of a password with a space in it.
		return e.errorf(store.ErrUnusable, "the server does not know a parameter of the connection string; correct that, and write a value with spaces as 'in quotes'")
	case pg.Code == "25006":
		return e.errorf(store.ErrUnavailable, "it is read-only")
	case pg.Code[:2] == "42":
		return e.errorf(store.ErrUnusable, "%s; the table is not the one of kyc-agentd store init", oneLine(pg.Message))
	}
	return e.errorf(store.ErrUnavailable, "%s (SQLSTATE %s)", oneLine(pg.Message), pg.Code)
}
