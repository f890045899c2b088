package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

func TestRun(t *testing.T) {
	testpeer.Slow(t)
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v; it printed:\n%s", err, out.String())
	}
	if !strings.HasSuffix(out.String(), "Both API calls were answered 200.\n") {
		t.Errorf("it printed:\n%s", out.String())
	}
	if token := jwt.FindString(out.String()); token != "" {
		t.Errorf("it printed a token of %d characters", len(token))
	}
	left, err := filepath.Glob(filepath.Join(temp, "kyc-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("it left %v (%v)", left, err)
	}
}

func TestRunWithoutCurl(t *testing.T) {
	testpeer.Slow(t)
	path := t.TempDir()
	for _, name := range []string{"go", "sh"} {
		real, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(real, filepath.Join(path, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", path)
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v; it printed:\n%s", err, out.String())
	}
	if got := strings.Count(out.String(), "200 OK"); got != 2 {
		t.Errorf("%d calls answered 200 OK, want 2; it printed:\n%s", got, out.String())
	}
}

func TestShorten(t *testing.T) {
	long := "eyJ" + strings.Repeat("a", 400) + ".eyJ" + strings.Repeat("b", 400) + "." + strings.Repeat("c", 342)
	got := shorten(`{"token":"` + long + `"}`)
	if want := `{"token":"eyJaaaaa…cccccc (1150 characters)"}`; got != want {
		t.Errorf("shorten: %s, want %s", got, want)
	}
}
