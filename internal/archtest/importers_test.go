package archtest

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestImportersGetNoTestModules holds that a program which imports ipc/tokensource gets few
// modules into its go.sum. `go mod tidy` adds those of the tests of every package that is
// imported, too, and downloads them.
func TestImportersGetNoTestModules(t *testing.T) {
	list := func(args ...string) []string {
		cmd := exec.Command("go", append([]string{"list"}, args...)...)
		cmd.Dir = "../.."
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Fields(string(out))
		slices.Sort(lines)
		return slices.Compact(lines)
	}
	const module = "github.com/legaltalent/kyc-agent"
	packages := list("-deps", "-f", `{{with .Module}}{{if .Main}}{{$.ImportPath}}{{end}}{{end}}`, "./ipc/tokensource")
	got := list(append([]string{"-deps", "-test", "-f", "{{with .Module}}{{.Path}}{{end}}"}, packages...)...)
	want := []string{"github.com/coreos/go-systemd/v22", module, "golang.org/x/oauth2", "golang.org/x/sys"}
	if !slices.Equal(got, want) {
		t.Errorf("an importer of ipc/tokensource gets the modules\n\t%s\nwant\n\t%s\nmove what a test needs into a program that it runs, as ipc/internal/speccheck",
			strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}
