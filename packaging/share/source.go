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
)

// files parses the Go files of a folder that are not tests.
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

// config inserts the keys of a type of config.toml with the comments that they have.
func config(w *mdoc, name string) error {
	parsed, err := files("cmd/kyc-agentd")
	if err != nil {
		return err
	}
	for _, file := range parsed {
		for _, d := range file.Decls {
			decl, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, s := range decl.Specs {
				if spec, ok := s.(*ast.TypeSpec); ok && spec.Name.Name == name {
					return w.keys(decl.Doc, spec.Type)
				}
			}
		}
	}
	return errors.New("no such type")
}

func (w *mdoc) keys(doc *ast.CommentGroup, t ast.Expr) error {
	body, ok := t.(*ast.StructType)
	if !ok {
		return errors.New("it is not a struct")
	}
	w.comment(doc.Text())
	w.macro("Bl", "-tag", "-width Ds")
	for _, field := range body.Fields.List {
		if field.Tag == nil || field.Doc == nil {
			continue
		}
		key := reflect.StructTag(strings.Trim(field.Tag.Value, "`")).Get("toml")
		w.macro("It", "Cm", key)
		w.comment(strings.Replace(field.Doc.Text(), field.Names[0].Name, key, 1))
	}
	w.macro("El")
	return nil
}

// packageComment inserts the comment of the package in a folder.
func packageComment(w *mdoc, dir string) error {
	parsed, err := files(dir)
	if err != nil {
		return err
	}
	for _, file := range parsed {
		if file.Doc != nil {
			w.comment(file.Doc.Text())
			return nil
		}
	}
	return errors.New("no package comment")
}

// link is a name in brackets, which is a link where there can be one.
var link = regexp.MustCompile(`\[(\*?(?:[a-z]+\.)?[A-Z]\w*(?:\.\w+)?)\]`)

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
