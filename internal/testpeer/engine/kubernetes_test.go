package engine_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testpeer/engine"
)

// The file of the API server's certificate is there before the certificate is in it.
func TestCertificateIsWrittenLate(t *testing.T) {
	testpeer.Long(t)
	built, bin := engine.KubeBinaries(), t.TempDir()
	script := fmt.Sprintf(`#!/bin/sh
for arg; do [ "$dir" ] || [ "$last" != --cert-dir ] || dir=$arg; last=$arg; done
mkdir -p "$dir" && : >"$dir/apiserver.crt" && sleep 1 && rm "$dir/apiserver.crt"
exec %q "$@"
`, filepath.Join(built, "kube-apiserver"))
	if err := testpeer.WriteProgram(filepath.Join(bin, "kube-apiserver"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(built, "etcd"), filepath.Join(bin, "etcd")); err != nil {
		t.Fatal(err)
	}
	kube, err := engine.StartKubernetes(testpeer.PublicDir(t), bin)
	if errors.Is(err, engine.ErrMissing) {
		testpeer.Missing(t, "kube-apiserver", "run: make kube")
	}
	if err != nil {
		t.Fatal(err)
	}
	kube.Stop()
}
