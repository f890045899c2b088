package examples_test

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// TestPythonPackage checks what is in the wheel that the other tests have installed.
func TestPythonPackage(t *testing.T) {
	dir := filepath.Join(filepath.Dir(testpeer.PythonPackage(t)), "..", "..")
	wheel, err := filepath.Glob(filepath.Join(dir, "kyc_auth-*-py3-none-any.whl"))
	if err != nil || len(wheel) != 1 {
		t.Fatalf("wheels: %v (%v)", wheel, err)
	}
	r, err := zip.OpenReader(wheel[0])
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var names []string
	var metadata string
	for _, f := range r.File {
		names = append(names, f.Name)
		if strings.HasSuffix(f.Name, "/METADATA") {
			body, err := r.Open(f.Name)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(body)
			metadata = string(text)
		}
	}
	for _, want := range []string{"kyc_auth/py.typed", "kyc_auth/__init__.py", "kyc_auth/requests.py", "kyc_auth/httpx.py", "kyc_auth/httpie.py"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not in %v", want, names)
		}
	}
	for _, extra := range []string{"requests", "httpx", "httpie"} {
		if !strings.Contains(metadata, "Provides-Extra: "+extra+"\n") {
			t.Errorf("no extra %s in\n%s", extra, metadata)
		}
	}
}

// TestJavaScriptPackage checks what is in the file that the other tests have installed, and
// that its types declare what it exports.
func TestJavaScriptPackage(t *testing.T) {
	dir, _ := testpeer.NodePackage(t)
	files, err := filepath.Glob(filepath.Join(dir, "kyc-auth-*.tgz"))
	if err != nil || len(files) != 1 {
		t.Fatalf("packages: %v (%v)", files, err)
	}
	content := untar(t, files[0])
	for _, want := range []string{"package.json", "index.js", "index.d.ts"} {
		if content[want] == "" {
			t.Errorf("%s is not in %v", want, slices.Sorted(maps.Keys(content)))
		}
	}
	var exported, declared []string
	for _, m := range regexp.MustCompile(`(?m)^export \{ (.*) \}`).FindAllStringSubmatch(content["index.js"], -1) {
		exported = append(exported, strings.Split(m[1], ", ")...)
	}
	for _, m := range regexp.MustCompile(`(?m)^export (?:class|const|function) (\w+)`).FindAllStringSubmatch(content["index.d.ts"], -1) {
		declared = append(declared, m[1])
	}
	slices.Sort(exported)
	slices.Sort(declared)
	if len(exported) == 0 || !slices.Equal(exported, declared) {
		t.Errorf("index.js exports %v, index.d.ts declares %v", exported, declared)
	}
}

// untar returns the files of a .tgz by their names below package/.
func untar(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	content := map[string]string{}
	for r := tar.NewReader(unzipped); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return content
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		content[strings.TrimPrefix(h.Name, "package/")] = string(text)
	}
}
