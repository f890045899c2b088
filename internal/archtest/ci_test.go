package archtest

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// needsNoInstall are the packages that each Debian has, and Go, which `make` needs anyway.
var needsNoInstall = []string{"bash", "coreutils", "dpkg", "golang", "util-linux"}

var aptInstall = regexp.MustCompile(`apt-get install ([a-z0-9][a-z0-9 .+-]*[a-z0-9])$`)

// TestCIInstallsPeers holds that .ci/run installs each package that a test asks for: a machine on
// which somebody had installed it once would not show what is missing.
func TestCIInstallsPeers(t *testing.T) {
	script := regexp.MustCompile(`(?m)\s#.*$`).ReplaceAllString(read(t, ".ci/run"), "")
	installed := append(regexp.MustCompile(`[^\s()]+`).FindAllString(script, -1), needsNoInstall...)
	asked := map[string]string{}
	goFiles(t, 0, func(name string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				for _, pkg := range packagesOf(call, file.Name.Name) {
					asked[pkg] = name
				}
			}
			return true
		})
	})
	if len(asked) < 30 {
		t.Errorf("only %d packages are asked for: %v", len(asked), asked)
	}
	for pkg, name := range asked {
		if !slices.Contains(installed, pkg) {
			t.Errorf("%s asks for the package %s, which .ci/run does not install", name, pkg)
		}
	}
}

// packagesOf returns the Debian packages that a call in a package names: of testpeer.Program and
// testpeer.Python its third argument, of testpeer.Missing what to run, of program in
// examples/integrations the second one.
func packagesOf(call *ast.CallExpr, inPackage string) []string {
	called, _ := call.Fun.(*ast.Ident)
	if selector, ok := call.Fun.(*ast.SelectorExpr); ok {
		called = selector.Sel
	}
	if called == nil {
		return nil
	}
	switch text := func(i int) string { return literal(call.Args, i) }; called.Name {
	case "Program", "Python":
		return strings.Fields(text(2))
	case "Missing":
		if m := aptInstall.FindStringSubmatch(text(2)); m != nil {
			return strings.Fields(m[1])
		}
	case "program":
		if inPackage == "integrations" {
			return strings.Fields(text(1))
		}
	}
	return nil
}

// literal returns argument i if it is a string in the source, and "" otherwise.
func literal(args []ast.Expr, i int) string {
	if i >= len(args) {
		return ""
	}
	basic, ok := args[i].(*ast.BasicLit)
	if !ok || basic.Kind != token.STRING {
		return ""
	}
	text, _ := strconv.Unquote(basic.Value)
	return text
}
