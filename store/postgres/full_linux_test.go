package postgres_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/postgres"
)

// A server without room on its disk refuses what is new, and what is there can still be read.
func TestPostgresFull(t *testing.T) {
	testpeer.Slow(t)
	disk, pg := testpeer.NewDisk(t), server(t)
	small, err := pg.MakeFolder(disk.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		"CREATE TABLESPACE small LOCATION '" + small + "'",
		"CREATE TABLE small (environment text PRIMARY KEY, value bytea NOT NULL, changed_at timestamptz NOT NULL DEFAULT now()) TABLESPACE small",
		"INSERT INTO small VALUES ('prod', 'one')",
		"ALTER TABLE small ALTER value SET STORAGE PLAIN",
	} {
		if err := pg.Exec(sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := pg.Grant("small"); err != nil {
		t.Fatal(err)
	}
	for pg.Exec("INSERT INTO small SELECT 'x' || gen_random_uuid(), decode(repeat('ab', 7000), 'hex') FROM generate_series(1, 50)") == nil {
	}
	e, err := postgres.Open(postgres.Options{DSN: pg.DSN("agent", 0), Table: "small"})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Swap(within(t), "prod", []byte("one"), bytes.Repeat([]byte("x"), 7000)); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "No space left on device") {
		t.Errorf("Swap: %v", err)
	}
	if v, err := e.Get(within(t), "prod"); err != nil || string(v.Data) != "one" {
		t.Errorf("Get: %q, %v", v.Data, err)
	}
}
