// Package enginetest starts the servers in which a fleet keeps its sign-in, for a test:
// [Postgres] and [Kubernetes]. It is apart from testpeer because of the modules that it needs.
package enginetest

import (
	"errors"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testpeer/engine"
)

// Postgres starts a PostgreSQL for the test.
func Postgres(t testing.TB) *engine.Postgres {
	t.Helper()
	pg, err := engine.StartPostgres(testpeer.PublicDir(t))
	if errors.Is(err, engine.ErrMissing) {
		testpeer.Missing(t, "PostgreSQL", "run: apt-get install postgresql")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pg.Stop)
	return pg
}

// Kubernetes starts a kube-apiserver with etcd for the test, with a Secret and a Role for agents.
func Kubernetes(t testing.TB) *engine.Kubernetes {
	t.Helper()
	kube, err := engine.StartKubernetes(testpeer.PublicDir(t), engine.KubeBinaries())
	if errors.Is(err, engine.ErrMissing) {
		testpeer.Missing(t, "kube-apiserver", "run: make kube")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kube.Stop)
	if err := kube.Install("kyc-agent"); err != nil {
		t.Fatal(err)
	}
	return kube
}
