package testpeer

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// floors says what each package of the product may import of ours: always something
// on a floor below, and never an adapter another adapter. What is left out may import
// nothing of ours.
var floors = map[string][]string{
	"cmd/kyc-agentd": {"ipc", "agent", "agent/awscreds", "agent/cognito", "agent/sink", "store", "store/auto", "store/file", "store/keyring", "internal/origin", "internal/sanitize", "internal/shellquote"},

	"ipc/tokensource":        {"agent", "ipc", "internal/origin"},
	"ipc":                    {"agent", "store", "internal/connect", "internal/origin", "internal/sanitize", "internal/shellquote"},
	"agent/internal/awscall": {"internal/connect", "internal/origin"},
	"agent/awscreds":         {"agent", "agent/internal/awscall"},
	"agent/cognito":          {"agent", "agent/cognito/srp", "agent/idtoken", "agent/internal/awscall", "internal/sanitize"},

	"agent/sink":      {"agent", "internal/durable", "internal/shellquote"},
	"agent/agenttest": {"agent", "store", "store/memory"},
	"agent":           {"store"},

	"store/auto":                {"store", "store/file", "store/keyring", "store/memory"},
	"store/file":                {"store", "store/internal/args", "internal/durable", "internal/shellquote"},
	"store/keyring":             {"store", "store/internal/args", "internal/sanitize"},
	"store/memory":              {"store", "store/internal/args"},
	"store/internal/args":       {"store"},
	"store/storetest":           {"store"},
	"store/keyring/keyringtest": {"internal/testpeer"},

	"internal/testpeer/roots":          {"internal/testpeer"},
	"packaging/usermanager":            {"internal/testpeer"},
	"agent/cognito/localpeer":          {"internal/testpeer"},
	"agent/cognito/cognitotest/jspeer": {"agent/cognito/cognitotest", "internal/testpeer"},

	"bench":                   {"agent/cognito/cognitotest"},
	"examples/go":             {"ipc/tokensource"},
	"examples/demo":           {"agent/cognito/cognitotest", "examples/internal/stage"},
	"examples/internal/stage": {"agent/cognito/cognitotest", "examples/kycapi"},
	"examples/kycapi":         {"agent/idtoken"},
}

const module = "github.com/legaltalent/kyc-agent/"

// Tests are free to import what they test with; only the packages themselves are held.
func TestImportsOnlyGoDown(t *testing.T) {
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")
	cmd.Dir = ModuleRoot()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		pkg := strings.TrimPrefix(words[0], module)
		seen++
		for _, path := range words[1:] {
			if ours, ok := strings.CutPrefix(path, module); ok && !slices.Contains(floors[pkg], ours) {
				t.Errorf("%s imports %s, which is not on a floor below it; see CONTRIBUTING.md", pkg, ours)
			}
		}
	}
	if seen < len(floors) {
		t.Errorf("%d packages seen, and %d are on floors", seen, len(floors))
	}
}
