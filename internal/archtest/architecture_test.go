package archtest

import (
	"encoding/xml"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

const (
	architecture = "docs/architecture.md"
	picture      = "docs/architecture.svg"
)

var (
	fence    = regexp.MustCompile("(?ms)^```.*?^```")
	codeSpan = regexp.MustCompile("`([^`\n]+)`")
	// path matches what names a file or a folder of the module: something with a slash
	// that is not a path of the API or of the user's disk, or a file at the top.
	path = regexp.MustCompile(`^[\w.-]+(/[\w.-]+)+$|^[\w-]+\.(md|go|yaml)$|^Makefile$`)
)

// docs/architecture.md writes a file as `agent/token.go` and something in it as
// `agent/token.go:Agent.Token`. All of it exists.
func TestArchitectureIsTrue(t *testing.T) {
	named := namesIn(read(t, architecture))
	if len(named) < 150 {
		t.Errorf("%d names were looked at: the document has more", len(named))
	}
	for _, name := range named {
		if err := find(name); err != nil {
			t.Errorf("%s: %s: %v", architecture, name, err)
		}
	}
	for _, name := range []string{
		"internal/nowhere", "internal/archtest/doc.go:Nothing", "internal/archtest/imports_test.go:rule.nothing", "internal/archtest/imports_test.go:in.name",
	} {
		if find(name) == nil {
			t.Errorf("%s passes", name)
		}
	}
	for _, name := range []string{
		"internal/archtest", "internal/archtest/imports_test.go:rule.forbids", "internal/archtest/imports_test.go:floors",
		"internal/archtest/imports_test.go:in", "internal/testpeer/testpeer.go:Program",
	} {
		if err := find(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every package that the programs and the Go client consist of has its line among the
// rooms.
func TestArchitectureHasEveryRoom(t *testing.T) {
	var rooms strings.Builder
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]+)").FindAllStringSubmatch(read(t, architecture), -1) {
		rooms.WriteString(row[1])
	}
	all, seen := imports(t), map[string]bool{}
	var visit func(pkg string)
	visit = func(pkg string) {
		if seen[pkg] {
			return
		}
		seen[pkg] = true
		if !strings.Contains(rooms.String(), "`"+pkg+"`") {
			t.Errorf("%s has no room for %s", architecture, pkg)
		}
		for _, to := range all[pkg] {
			visit(to)
		}
	}
	for _, pkg := range []string{"cmd/kyc-agentd", "cmd/kyc-token", "ipc/tokensource"} {
		visit(pkg)
	}
	if len(seen) < 20 {
		t.Errorf("%d packages were looked at: there are more", len(seen))
	}
}

// The picture is the one that the document draws. It is small, has no scripts and loads
// nothing, because README shows it wherever it is read.
func TestPicture(t *testing.T) {
	svg := read(t, picture)
	if len(svg) > 20<<10 {
		t.Errorf("it has %d bytes, of at most 20 kB", len(svg))
	}
	foreign := regexp.MustCompile(`(?i)<script|<foreignObject|<image|href|\bon\w+=|@import|@font-face|url\([^#]`)
	if found := foreign.FindString(svg); found != "" {
		t.Errorf("it has %q", found)
	}
	text := textOf(t, svg)
	message := regexp.MustCompile(`(?m)^ +\w+--?>>\w+: (.+)$|^ +participant \w+ as (.+)$|^ +opt (.+)$`)
	drawn := message.FindAllStringSubmatch(read(t, architecture), -1)
	if len(drawn) < 15 {
		t.Errorf("the document draws %d participants and messages", len(drawn))
	}
	for _, m := range drawn {
		for part := range strings.SplitSeq(m[1]+m[2]+m[3], ", ") { // a line of the picture each
			if !strings.Contains(text, part) {
				t.Errorf("the document draws %q, the picture does not", part)
			}
		}
	}
}

// textOf returns the text of an SVG, and fails if it is not XML.
func textOf(t *testing.T, svg string) string {
	t.Helper()
	var text strings.Builder
	for dec := xml.NewDecoder(strings.NewReader(svg)); ; {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return text.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := tok.(xml.CharData); ok {
			text.Write(data)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testpeer.ModuleRoot(), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// namesIn returns the files, folders and declarations that a text names.
func namesIn(text string) (names []string) {
	for _, m := range codeSpan.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		file, _, _ := strings.Cut(m[1], ":")
		if path.MatchString(file) {
			names = append(names, m[1])
		}
	}
	return names
}

// find returns an error unless the module has what name names.
func find(name string) error {
	file, decl, inside := strings.Cut(name, ":")
	full := filepath.Join(testpeer.ModuleRoot(), file)
	if _, err := os.Stat(full); err != nil || !inside {
		if err != nil {
			return fs.ErrNotExist
		}
		return nil
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), full, nil, 0)
	if err != nil {
		return err
	}
	if !declares(parsed, decl) {
		return errors.New("the file does not declare it")
	}
	return nil
}

// declares reports whether file declares name at its top: a function, a type, a variable,
// a constant, or Type.name for a method or a field.
func declares(file *ast.File, name string) bool {
	owner, member, isMember := strings.Cut(name, ".")
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if recv := receiver(d); recv == owner && isMember && d.Name.Name == member || recv == "" && d.Name.Name == name {
				return true
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if specDeclares(spec, name, owner, member) {
					return true
				}
			}
		}
	}
	return false
}

func specDeclares(spec ast.Spec, name, owner, member string) bool {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		return spec.Name.Name == name || spec.Name.Name == owner && hasField(spec, member)
	case *ast.ValueSpec:
		for _, id := range spec.Names {
			if id.Name == name {
				return true
			}
		}
	}
	return false
}

func hasField(spec *ast.TypeSpec, name string) bool {
	s, ok := spec.Type.(*ast.StructType)
	if !ok {
		return false
	}
	for _, field := range s.Fields.List {
		for _, id := range field.Names {
			if id.Name == name {
				return true
			}
		}
	}
	return false
}

// receiver returns the name of the type that d is a method of, or "".
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	expr := d.Recv.List[0].Type
	if star, ok := expr.(*ast.StarExpr); ok {
		expr = star.X
	}
	if generic, ok := expr.(*ast.IndexExpr); ok {
		expr = generic.X
	}
	if id, ok := expr.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}
