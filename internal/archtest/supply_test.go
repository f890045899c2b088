package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// What a build uses is what go.mod and go.sum name: no module is replaced by another one, or by
// a folder, and nothing turns off the check of its sum.
var (
	replacement = regexp.MustCompile(`(?m)^\s*replace\b|=>`)
	unchecked   = regexp.MustCompile(`GO(NOSUMDB|NOSUMCHECK|NOPROXY|INSECURE|PRIVATE|SUMDB|PROXY)\b|-mod=mod\b|-modcacherw`)
)

func TestModulesAreWhatTheySay(t *testing.T) {
	for name, test := range map[string]struct {
		text  string
		check *regexp.Regexp
	}{
		"one line": {"module x\nreplace a => b v1.0.0\n", replacement},
		"a block":  {"replace (\n\ta v1.0.0 => ../a\n)\n", replacement},
		"no sum":   {"export GONOSUMDB=*\n", unchecked},
		"insecure": {"GOFLAGS=-mod=mod go build", unchecked},
	} {
		if !test.check.MatchString(test.text) {
			t.Errorf("%s: not found in %q", name, test.text)
		}
	}
	modules, recipes := 0, 0
	err := filepath.WalkDir(testpeer.ModuleRoot(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if name == ".git" || name == "node_modules" {
				return fs.SkipDir
			}
			return nil
		}
		check := unchecked
		switch filepath.Ext(name) {
		case ".mod", ".work":
			check = replacement
			modules++
		case ".yml", ".yaml", ".sh", ".mk":
			recipes++
		default:
			if name != "Makefile" && name != "Dockerfile" {
				return nil
			}
			recipes++
		}
		text, err := os.ReadFile(path)
		if check == replacement {
			text = withoutVersions(text)
		}
		if found := check.Find(text); found != nil {
			t.Errorf("%s has %q", path, found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if modules < 3 || recipes < 3 {
		t.Errorf("%d files of modules and %d of recipes: the test looks at the wrong folder", modules, recipes)
	}
}

// withoutVersions returns the text of a go.mod file without the replacements of parts of Kubernetes
// by a version of the same module. Kubernetes asks for its parts by a version that does not exist,
// so its importers have to name the right one; its sum is checked as ever.
func withoutVersions(text []byte) []byte {
	version := regexp.MustCompile(`(?m)^\t(k8s\.io/\S+) => (\S+) v\S+\n`)
	text = version.ReplaceAllFunc(text, func(line []byte) []byte {
		if m := version.FindSubmatch(line); string(m[1]) == string(m[2]) {
			return nil
		}
		return line
	})
	return regexp.MustCompile(`(?m)^replace \(\n\)\n`).ReplaceAll(text, nil)
}
