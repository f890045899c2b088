package engine

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/legaltalent/kyc-agent/internal/testpeer/freeport"
)

// PostgresPassword is the password of each role.
const PostgresPassword = "Postgres-password-3"

// A Postgres is a server with one database, "kyc", which the role "owner" owns. The role "agent"
// has what the documentation grants to agents, once Grant was called.
type Postgres struct {
	dir, bin string
	port     int
	process  *process
}

// StartPostgres makes a cluster in dir, which is a path that other users may pass, and starts it.
func StartPostgres(dir string) (*Postgres, error) {
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(bins) == 0 {
		return nil, fmt.Errorf("%w: /usr/lib/postgresql/*/bin/initdb; run: apt-get install postgresql", ErrMissing)
	}
	port, err := freeport.Find()
	if err != nil {
		return nil, err
	}
	p := &Postgres{dir: filepath.Join(dir, "postgres"), bin: filepath.Dir(bins[len(bins)-1]), port: port}
	if err := giveTo(p.dir, "postgres"); err != nil {
		return nil, err
	}
	pw := filepath.Join(p.dir, "pw")
	if err := os.WriteFile(pw, []byte(PostgresPassword+"\n"), 0o644); err != nil {
		return nil, err
	}
	initdb := p.command("initdb", "-D", p.data(), "-U", "owner", "-A", "scram-sha-256", "--pwfile="+pw, "-E", "UTF8", "--no-locale", "-N")
	if err := asUser(initdb, "postgres"); err != nil {
		return nil, err
	}
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if err := p.Start(); err != nil {
		return nil, err
	}
	for _, sql := range []string{"CREATE DATABASE kyc", "CREATE ROLE agent LOGIN PASSWORD '" + PostgresPassword + "'"} {
		if err := p.exec("postgres", sql); err != nil {
			p.Stop()
			return nil, err
		}
	}
	return p, nil
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

func (p *Postgres) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Dir = p.dir
	return cmd
}

// Start starts the server again. It does not run after an error.
func (p *Postgres) Start() error {
	cmd := p.command("postgres", "-D", p.data(), "-c", "listen_addresses=127.0.0.1", "-p", strconv.Itoa(p.port), "-k", p.dir)
	if err := asUser(cmd, "postgres"); err != nil {
		return err
	}
	var err error
	if p.process, err = start(cmd, filepath.Join(filepath.Dir(p.dir), "postgres.log")); err != nil {
		return err
	}
	if err = p.process.await("postgres", func() error { return p.exec("postgres", "SELECT 1") }); err != nil {
		p.Stop()
	}
	return err
}

// Stop ends the server at once, as a crash of its machine would.
func (p *Postgres) Stop() { p.process.end(syscall.SIGQUIT) }

// MakeStandby restarts the server as one that follows another, which is not there.
func (p *Postgres) MakeStandby() error {
	p.process.end(syscall.SIGINT)
	if err := os.WriteFile(filepath.Join(p.data(), "standby.signal"), nil, 0o644); err != nil {
		return err
	}
	return p.Start()
}

// MakeFolder makes a folder in dir that belongs to the server, and lets it pass.
func (p *Postgres) MakeFolder(dir string) (string, error) {
	for _, parent := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(parent, 0o755); err != nil {
			return "", err
		}
	}
	folder := filepath.Join(dir, "postgres")
	return folder, giveTo(folder, "postgres")
}

// Suspend stops its processes without ending them.
func (p *Postgres) Suspend() { _ = syscall.Kill(-p.process.cmd.Process.Pid, syscall.SIGSTOP) }

// Resume goes on.
func (p *Postgres) Resume() { _ = syscall.Kill(-p.process.cmd.Process.Pid, syscall.SIGCONT) }

// Addr is where it listens.
func (p *Postgres) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)) }

// DSN is the connection string of a role, at a port of loopback, or the server's own for 0.
func (p *Postgres) DSN(role string, port int) string {
	if port == 0 {
		port = p.port
	}
	return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/kyc?sslmode=disable", role, PostgresPassword, port)
}

// Exec runs SQL as the owner.
func (p *Postgres) Exec(sql string) error { return p.exec("kyc", sql) }

func (p *Postgres) exec(database, sql string) error {
	return ask(fmt.Sprintf("postgres://owner:%s@127.0.0.1:%d/%s?sslmode=disable", PostgresPassword, p.port, database), sql)
}

func ask(dsn, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgconn.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql).ReadAll()
	return err
}

// Grant gives the role agent what docs/fleet.md says.
func (p *Postgres) Grant(table string) error {
	return p.Exec("GRANT SELECT, INSERT, UPDATE ON " + table + " TO agent")
}

// StartPool starts a pgbouncer before the server, and returns its connection string for the role
// agent. mode is its pool_mode.
func (p *Postgres) StartPool(pgbouncer, mode string) (dsn string, stop func(), err error) {
	port, err := freeport.Find()
	if err != nil {
		return "", nil, err
	}
	ini, users := filepath.Join(p.dir, mode+".ini"), filepath.Join(p.dir, "users")
	for path, text := range map[string]string{
		ini: fmt.Sprintf("[databases]\nkyc = host=127.0.0.1 port=%d\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port=%d\nunix_socket_dir=\n"+
			"auth_type=scram-sha-256\nauth_file=%s\npool_mode=%s\ndefault_pool_size=20\n", p.port, port, users, mode),
		users: fmt.Sprintf("%q %q\n", "agent", PostgresPassword),
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return "", nil, err
		}
	}
	cmd := exec.Command(pgbouncer, ini)
	cmd.Dir = p.dir
	if err := asUser(cmd, "postgres"); err != nil {
		return "", nil, err
	}
	pool, err := start(cmd, filepath.Join(filepath.Dir(p.dir), "pgbouncer.log"))
	if err != nil {
		return "", nil, err
	}
	dsn = p.DSN("agent", port)
	return dsn, func() { pool.end(syscall.SIGTERM) }, pool.await("pgbouncer", func() error { return ask(dsn, "SELECT 1") })
}

// Dump returns what pg_dump writes: all that the server has of the database.
func (p *Postgres) Dump() ([]byte, error) {
	cmd := p.command("pg_dump", p.DSN("owner", 0))
	if err := asUser(cmd, "postgres"); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	err := cmd.Run()
	return out.Bytes(), err
}
