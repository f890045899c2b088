package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// files parses the Go files in a folder, without tests.
func files(dir string) ([]*ast.File, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var parsed []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, file)
	}
	if parsed == nil {
		return nil, fmt.Errorf("%s: %w", dir, os.ErrNotExist)
	}
	return parsed, nil
}

// config inserts the keys of a type of config.toml with their comments. argument is the
// type's name and the words that replace it at the beginning of its comment, because a
// page must not contain Go names.
func config(w *mdoc, argument string) error {
	name, called, _ := strings.Cut(argument, " ")
	parsed, err := files("cmd/kyc-agentd/internal/config")
	if err != nil {
		return err
	}
	keys := tomlKeys(parsed)
	for _, file := range parsed {
		for _, d := range file.Decls {
			decl, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, s := range decl.Specs {
				if spec, ok := s.(*ast.TypeSpec); ok && spec.Name.Name == name {
					return w.keys(called+strings.TrimPrefix(decl.Doc.Text(), name), spec.Type, keys)
				}
			}
		}
	}
	return errors.New("no such type")
}

// keyOf returns the key of config.toml for a field, or "" if there is none.
func keyOf(field *ast.Field) string {
	if field.Tag == nil {
		return ""
	}
	return reflect.StructTag(strings.Trim(field.Tag.Value, "`")).Get("toml")
}

// tomlKeys returns the keys by the names of their fields.
func tomlKeys(parsed []*ast.File) map[string]string {
	keys := map[string]string{}
	for _, file := range parsed {
		ast.Inspect(file, func(n ast.Node) bool {
			if field, ok := n.(*ast.Field); ok && keyOf(field) != "" {
				keys[field.Names[0].Name] = keyOf(field)
			}
			return true
		})
	}
	return keys
}

// word matches a capitalised word with the character before it.
var word = regexp.MustCompile(`(?s)(^|.?\s|\()([A-Z]\w+)`)

// withKeys replaces the names of fields by their keys. A word at the beginning of a
// sentence is not a name, unless its key has an underscore.
func withKeys(text string, keys map[string]string) string {
	return word.ReplaceAllStringFunc(text, func(match string) string {
		m := word.FindStringSubmatch(match)
		key, ok := keys[m[2]]
		if !ok || (m[1] == "" || strings.HasPrefix(m[1], ".")) && !strings.Contains(key, "_") {
			return match
		}
		return m[1] + key
	})
}

func (w *mdoc) keys(doc string, t ast.Expr, keys map[string]string) error {
	body, ok := t.(*ast.StructType)
	if !ok {
		return errors.New("it is not a struct")
	}
	w.comment(withKeys(doc, keys))
	w.macro("Bl", "-tag", "-width Ds")
	for _, field := range body.Fields.List {
		key := keyOf(field)
		if key == "" || field.Doc == nil {
			continue
		}
		w.macro("It", "Cm", key)
		w.comment(withKeys(withoutName(field.Doc.Text(), field.Names[0].Name), keys))
	}
	w.macro("El")
	return nil
}

// withoutName returns a field's comment without its first words, "Store is", because the
// key stands above it.
func withoutName(doc, name string) string {
	doc = strings.TrimPrefix(doc, name+" ")
	for _, verb := range []string{"is ", "are "} {
		doc = strings.TrimPrefix(doc, verb)
	}
	first, size := utf8.DecodeRuneInString(doc)
	return string(unicode.ToUpper(first)) + doc[size:]
}

// packageComment inserts the comment of the package in a folder. argument is the folder
// and the words that replace "Package NAME" at the beginning of the comment.
func packageComment(w *mdoc, argument string) error {
	dir, called, _ := strings.Cut(argument, " ")
	parsed, err := files(dir)
	if err != nil {
		return err
	}
	for _, file := range parsed {
		if file.Doc != nil {
			w.comment(called + strings.TrimPrefix(file.Doc.Text(), "Package "+file.Name.Name))
			return nil
		}
	}
	return errors.New("no package comment")
}

// link matches a doc link, which is a name in brackets. [environments.NAME] is not one but
// is written like that in config.toml.
var link = regexp.MustCompile(`\[(\*?(?:[a-z]+\.)?[A-Z]+[a-z]\w*(?:\.\w+)?)\]`)

// comment writes a doc comment (go.dev/doc/comment).
func (w *mdoc) comment(text string) {
	doc := new(comment.Parser).Parse(text)
	plain := &comment.Printer{TextWidth: -1} // mdoc fills the lines
	for i, part := range doc.Content {
		if _, text := part.(*comment.Paragraph); text && i > 0 && !isHeading(doc.Content[i-1]) {
			w.macro("Pp")
		}
		one := link.ReplaceAllString(strings.TrimSpace(string(plain.Text(&comment.Doc{Content: []comment.Block{part}}))), "$1")
		switch part := part.(type) {
		case *comment.Heading:
			w.macro("Ss", quote(strings.TrimPrefix(one, "# ")))
		case *comment.Code:
			w.literal(part.Text)
		default:
			w.text(one)
		}
	}
}

func isHeading(part comment.Block) bool {
	_, ok := part.(*comment.Heading)
	return ok
}
