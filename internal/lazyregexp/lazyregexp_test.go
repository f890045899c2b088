package lazyregexp

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestRegexp(t *testing.T) {
	r := New(`^a+(b)?$`)
	if !r.MatchString("aab") || r.MatchString("ba") || r.Get().FindStringSubmatch("aab")[1] != "b" {
		t.Error("it does not match as the expression says")
	}
}

// Every expression that is compiled later is one that can be, and no package of the programs
// compiles one before main.
func TestEveryExpression(t *testing.T) {
	found := 0
	for _, root := range []string{"../../agent", "../../cmd", "../../internal", "../../ipc", "../../store"} {
		for _, path := range goFiles(t, root) {
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, decl := range file.Decls {
				if v, ok := decl.(*ast.GenDecl); ok {
					ast.Inspect(v, func(n ast.Node) bool {
						found += check(t, path, n)
						_, later := n.(*ast.FuncLit)
						return !later
					})
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("%d expressions found", found)
	}
}

// check returns 1 for a call of New.
func check(t *testing.T, path string, n ast.Node) int {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return 0
	}
	fun, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return 0
	}
	pkg, _ := fun.X.(*ast.Ident)
	switch {
	case pkg == nil:
	case pkg.Name == "regexp" && !strings.Contains(path, "test"):
		t.Errorf("%s compiles a regular expression before main; use lazyregexp.New", path)
	case pkg.Name == "lazyregexp":
		expr := ""
		ast.Inspect(call.Args[0], func(n ast.Node) bool { // one literal, or a sum of them
			if lit, ok := n.(*ast.BasicLit); ok {
				part, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				expr += part
			}
			return true
		})
		if _, err := regexp.Compile(expr); err != nil || expr == "" {
			t.Errorf("%s: %q: %v", path, expr, err)
		}
		return 1
	}
	return 0
}

// goFiles returns the files of the programs below root.
func goFiles(t *testing.T, root string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
