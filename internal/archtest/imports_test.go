package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// floors lists what each package may import of this module: always something on a
// floor below, and never an adapter another adapter. A package that is left out may
// import nothing of this module.
var floors = map[string][]string{
	"cmd/kyc-agentd": {
		"cmd/kyc-agentd/internal/browser", "cmd/kyc-agentd/internal/caller", "cmd/kyc-agentd/internal/config", "cmd/kyc-agentd/internal/daemon", "cmd/kyc-agentd/internal/doctor",
		"cmd/kyc-agentd/internal/service", "cmd/kyc-agentd/internal/sandbox", "cmd/kyc-agentd/internal/securityreport", "cmd/kyc-agentd/internal/statustext", "cmd/kyc-agentd/internal/support", "cmd/kyc-agentd/internal/terminal", "cmd/kyc-agentd/internal/version",
		"ipc", "ipc/phantom", "ipc/socket", "agent", "agent/approval", "agent/audit", "agent/lock", "agent/peer", "store/file", "store/keyring", "internal/lazyregexp", "internal/sanitize", "internal/shellquote", "internal/suggest",
	},
	"cmd/kyc-agentd/internal/daemon": {
		"cmd/kyc-agentd/internal/config", "cmd/kyc-agentd/internal/exposition", "cmd/kyc-agentd/internal/logging", "cmd/kyc-agentd/internal/logind", "cmd/kyc-agentd/internal/statustext",
		"cmd/kyc-agentd/internal/strictmodes", "cmd/kyc-agentd/internal/version",
		"ipc", "ipc/apiproxy/pace", "ipc/format", "ipc/socket", "agent", "agent/approval", "agent/approval/desktop", "agent/audit", "agent/awscreds", "agent/cognito", "agent/lock", "agent/sink", "store", "store/auto", "store/file", "store/kubernetes", "store/postgres", "store/shared", "store/shared/seal",
		"internal/bootclock", "internal/durable", "internal/handover", "internal/marker", "internal/sanitize",
	},
	"cmd/kyc-agentd/internal/browser": {"cmd/kyc-agentd/internal/config", "internal/tcpowner"},
	"cmd/kyc-agentd/internal/caller":  {"ipc/socket", "agent"},
	"cmd/kyc-agentd/internal/service": {"cmd/kyc-agentd/internal/config", "ipc/socket", "agent", "internal/lazyregexp", "internal/sanitize"},
	"cmd/kyc-agentd/internal/support": {"cmd/kyc-agentd/internal/config", "cmd/kyc-agentd/internal/doctor", "cmd/kyc-agentd/internal/version", "agent", "internal/lazyregexp", "internal/sanitize"},
	"cmd/kyc-agentd/internal/doctor": {
		"cmd/kyc-agentd/internal/caller", "cmd/kyc-agentd/internal/config", "cmd/kyc-agentd/internal/service", "cmd/kyc-agentd/internal/statustext",
		"ipc", "ipc/socket", "agent", "agent/cognito", "store", "store/auto", "store/file", "store/keyring", "internal/sanitize", "internal/shellquote",
	},
	"cmd/kyc-agentd/internal/securityreport": {"cmd/kyc-agentd/internal/statustext", "agent", "internal/sanitize"},
	"cmd/kyc-agentd/internal/statustext":     {"agent", "store", "internal/sanitize"},
	"cmd/kyc-agentd/internal/terminal":       {"cmd/kyc-agentd/internal/config", "agent", "internal/sanitize"},
	"cmd/kyc-agentd/internal/logging":        {"cmd/kyc-agentd/internal/config", "internal/sanitize"},
	"cmd/kyc-agentd/internal/strictmodes":    {"internal/shellquote"},
	"cmd/kyc-agentd/internal/config":         {"cmd/kyc-agentd/internal/strictmodes", "cmd/kyc-agentd/internal/tomledit", "ipc/format", "ipc/socket", "agent", "agent/sink", "store", "store/file", "internal/durable", "internal/origin", "internal/lazyregexp", "internal/sanitize", "internal/shellquote", "store/kubernetes", "store/postgres"},

	"ipc/phantom":                     {"agent", "ipc", "ipc/apiproxy", "ipc/internal/wire", "internal/discard", "internal/tcpowner"},
	"ipc/tokensource":                 {"agent", "ipc", "ipc/apiproxy/pace", "internal/discard", "internal/origin"},
	"ipc":                             {"agent", "agent/audit", "agent/peer", "store", "ipc/apiproxy", "ipc/apiproxy/pace", "ipc/format", "ipc/helper", "ipc/internal/wire", "ipc/socket", "internal/discard", "internal/sanitize", "agent/approval", "internal/lazycontext", "internal/lazydeadline"},
	"ipc/apiproxy/pace":               {"agent", "internal/origin"},
	"ipc/format":                      {"agent", "ipc/internal/wire", "internal/sanitize", "internal/shellquote"},
	"ipc/apiproxy":                    {"agent", "ipc/apiproxy/pace", "ipc/internal/wire", "internal/discard", "internal/origin", "internal/proxyconnect", "internal/sanitize", "internal/urlpath", "internal/lazycontext"},
	"ipc/helper":                      {"agent", "ipc/format", "ipc/internal/wire", "internal/origin", "internal/sanitize", "internal/suggest"},
	"ipc/socket":                      {"agent", "store", "internal/handover", "internal/sanitize", "internal/shellquote"},
	"ipc/internal/wire":               {"agent", "internal/sanitize"},
	"ipc/internal/fixture":            {"agent", "internal/testsocket"},
	"ipc/internal/speccheck":          {"ipc/internal/speccheck/exchange"},
	"ipc/internal/speccheck/exchange": {},

	"agent/internal/awscall":     {"agent", "internal/proxyconnect", "internal/origin", "internal/lazyregexp"},
	"agent/awscreds":             {"agent", "agent/internal/awscall", "internal/lazyregexp"},
	"agent/cognito/managedlogin": {"agent", "internal/lazyregexp"},
	"agent/cognito":              {"agent", "agent/cognito/managedlogin", "agent/cognito/srp", "agent/idtoken", "agent/internal/awscall", "internal/sanitize", "internal/lazyregexp"},

	"agent/peer":                   {"internal/sanitize"},
	"agent/peer/internal/giveaway": {},
	"agent/audit":                  {"agent", "agent/peer", "internal/bootclock", "internal/durable", "internal/sanitize"},
	"agent/approval":               {"agent", "agent/peer", "internal/bootclock", "internal/durable", "internal/sanitize", "internal/shellquote"},
	"agent/sink":                   {"agent", "internal/durable", "internal/shellquote"},
	"agent/agenttest":              {"agent", "store", "store/memory"},
	"agent":                        {"store", "internal/bootclock", "internal/origin", "internal/sanitize", "internal/suggest", "internal/urlpath", "internal/lazyregexp", "store/shared"},
	"agent/approval/desktop":       {"internal/sanitize"},
	"agent/lock":                   {"store", "internal/bootclock", "internal/durable"},

	"store/auto":                {"store", "store/file", "store/keyring", "store/memory"},
	"store/file":                {"store", "store/internal/validate", "internal/durable", "internal/handover", "internal/shellquote"},
	"store/keyring":             {"store", "store/internal/validate", "internal/sanitize"},
	"store/memory":              {"store", "store/internal/validate"},
	"store/kubernetes":          {"store", "store/shared", "internal/sanitize", "internal/lazyregexp"},
	"store/postgres":            {"store", "store/shared", "internal/origin", "internal/sanitize", "internal/lazyregexp"},
	"store/shared":              {"store", "internal/sanitize"},
	"store/shared/seal":         {"store/shared"},
	"store/shared/sharedtest":   {"store", "store/shared"},
	"store/internal/validate":   {"store"},
	"store/storetest":           {"store"},
	"store/keyring/keyringtest": {"internal/testpeer"},

	"internal/testpeer/engine":            {"internal/testpeer/freeport"},
	"internal/testpeer/enginetest":        {"internal/testpeer", "internal/testpeer/engine"},
	"internal/testpeer/roots":             {"internal/testpeer"},
	"packaging/usermanager":               {"internal/testpeer"},
	"agent/cognito/cognitolocal":          {"internal/testpeer", "internal/testpeer/freeport"},
	"agent/cognito/cognitotest/amplifyjs": {"agent/cognito/cognitotest", "internal/testpeer"},

	"bench":                     {"agent/cognito/cognitotest", "ipc/socket"},
	"soak":                      {"soak/fakecognito"},
	"soak/fleet":                {"soak/fakecognito", "internal/testpeer/engine", "store/file", "store/postgres"},
	"examples/go":               {"ipc/tokensource"},
	"examples/demo":             {"agent/cognito/cognitotest", "examples/internal/testenv"},
	"examples/internal/testenv": {"agent/cognito/cognitotest", "examples/kycapi"},
	"examples/kycapi":           {"agent/idtoken"},
}

// A rule forbids imports that no line of floors may allow. Its breach is an import
// that it has to forbid.
type rule struct {
	name    string
	forbids func(from, to string) bool
	breach  [2]string
}

var rules = []rule{
	{
		"internal/* imports nothing of this module",
		func(from, to string) bool { return in("internal", from) && !in(parent(from, 2), to) },
		[2]string{"internal/durable", "internal/proxyconnect"},
	},
	{
		"nothing below main imports main",
		func(from, to string) bool { return in("cmd", to) && to == parent(to, 2) },
		[2]string{"cmd/kyc-agentd/internal/config", "cmd/kyc-agentd"},
	},
	{
		"a command's packages are for that command alone",
		func(from, to string) bool { return in("cmd", to) && !in(parent(to, 2), from) },
		[2]string{"agent", "cmd/kyc-agentd/internal/config"},
	},
	{
		"the parts of ipc do not know one another, but for helper → format",
		func(from, to string) bool {
			return slices.Contains(ipcParts, from) && slices.Contains(ipcParts, to) && [2]string{from, to} != [2]string{"ipc/helper", "ipc/format"}
		},
		[2]string{"ipc/apiproxy", "ipc/socket"},
	},
	{
		"only the daemon wires the agent to its adapters",
		func(from, to string) bool {
			return in("cmd/kyc-agentd", from) && from != "cmd/kyc-agentd/internal/daemon" &&
				(to == "agent/awscreds" || from == "cmd/kyc-agentd" && slices.Contains(adapters, to))
		},
		[2]string{"cmd/kyc-agentd", "agent/cognito"},
	},
}

var (
	ipcParts = []string{"ipc/apiproxy", "ipc/format", "ipc/helper", "ipc/socket"}
	// adapters are what the daemon gives to the agent. The doctor looks at some of them,
	// and the configuration checks its values by others.
	adapters = []string{"agent/awscreds", "agent/cognito", "agent/sink", "store/auto"}
)

// in says whether pkg is folder or lies below it.
func in(folder, pkg string) bool { return pkg == folder || strings.HasPrefix(pkg, folder+"/") }

// parent is the first n parts of pkg's path.
func parent(pkg string, n int) string {
	parts := strings.Split(pkg, "/")
	return strings.Join(parts[:min(n, len(parts))], "/")
}

func TestImportsOnlyGoDown(t *testing.T) {
	all := imports(t)
	for from, list := range all {
		slices.Sort(list)
		for _, to := range slices.Compact(list) { // several files of a package import it
			if !slices.Contains(floors[from], to) {
				t.Errorf("%s imports %s, which is not on a floor below it; see CONTRIBUTING.md", from, to)
			}
			for _, r := range rules {
				if r.forbids(from, to) {
					t.Errorf("%s imports %s: %s", from, to, r.name)
				}
			}
		}
	}
	for from, list := range floors {
		if _, ok := all[from]; !ok {
			t.Errorf("%s is on a floor, and there is no such package", from)
		}
		for _, to := range list {
			if _, ok := all[to]; !ok {
				t.Errorf("%s may import %s, and there is no such package", from, to)
			}
		}
	}
}

func TestRules(t *testing.T) {
	for _, r := range rules {
		if !r.forbids(r.breach[0], r.breach[1]) {
			t.Errorf("%s: %s imports %s, and that is not forbidden", r.name, r.breach[0], r.breach[1])
		}
	}
}

const module = "github.com/legaltalent/kyc-agent/"

// imports returns what each package imports of this module, on any system. Tests are
// free to import what they test with: only the packages themselves are held.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	goFiles(t, parser.ImportsOnly, func(name string, file *ast.File) {
		if from := filepath.ToSlash(filepath.Dir(name)); !strings.HasSuffix(name, "_test.go") {
			all[from] = append(all[from], ours(file)...)
		}
	})
	return all
}

// goFiles parses each Go file of the module, whose name is its path from the module's top folder.
// The files are read here and not by `go list`, because go test runs a test again when a file
// has changed that the test itself had read.
func goFiles(t *testing.T, mode parser.Mode, visit func(name string, file *ast.File)) {
	t.Helper()
	root := testpeer.ModuleRoot()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && (name == "node_modules" || name == "testdata" || name[0] == '.' && path != root):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, mode)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		visit(filepath.ToSlash(name), file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// ours returns the packages of this module that file imports.
func ours(file *ast.File) []string {
	var list []string
	for _, spec := range file.Imports {
		if to, ok := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), module); ok {
			list = append(list, to)
		}
	}
	return list
}
