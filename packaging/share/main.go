// Command share writes the files to install below PREFIX/share: the manual pages, in
// mdoc(7), and the shells' completions.
//
//	go run ./packaging/share -o DIR
//
// Each page is a template (packaging/man/kyc-agentd.1.in). So that no text has to be kept
// twice, a line in the template inserts text that exists elsewhere:
// ".\" @usage kyc-agentd serve" a help text, whose exit status and examples
// ".\" @exit kyc-token" and ".\" @example kyc-token" put elsewhere, ".\" @config Sink A sink" the comments of a type
// of config.toml, whose name in the page is "A sink", and ".\" @package ipc This" a package
// comment. kyc-agentd prints its own completions; those of kyc-token are in
// packaging/completions.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

func main() {
	dir := flag.String("o", ".", "the folder to write to")
	flag.Parse()
	if err := run(*dir); err != nil {
		fmt.Fprintln(os.Stderr, "share:", err)
		os.Exit(1)
	}
}

// run writes everything into dir. The working folder must be the module's top folder.
func run(dir string) error {
	defer removeBuilt()
	if err := pages(dir); err != nil {
		return err
	}
	return completions(dir)
}

// pages writes the manual pages.
func pages(dir string) error {
	templates, err := filepath.Glob("packaging/man/*.in")
	if err != nil || templates == nil {
		return fmt.Errorf("packaging/man has no templates; start this in the module's top folder: %w", os.ErrNotExist)
	}
	for _, path := range templates {
		template, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text, err := render(string(template))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		page := strings.TrimSuffix(filepath.Base(path), ".in")
		if err := write(filepath.Join(dir, "man", "man"+strings.TrimPrefix(filepath.Ext(page), "."), page), text); err != nil {
			return err
		}
	}
	return aliases(dir)
}

// aliases writes pages for the other names of kyc-token.
func aliases(dir string) error {
	for _, name := range []string{"git-credential-kyc", "goauth-kyc", "terraform-credentials-kyc"} {
		if err := write(filepath.Join(dir, "man", "man1", name+".1"), []byte(".so man1/kyc-token.1\n")); err != nil {
			return err
		}
	}
	return nil
}

func write(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

// directives insert the text for a template's line ".\" @NAME ARGUMENT".
var directives = map[string]func(w *mdoc, argument string) error{
	"date":    func(w *mdoc, _ string) error { w.macro("Dd", date()); return nil },
	"usage":   usage,
	"exit":    exitStatus,
	"example": example,
	"config":  config,
	"package": packageComment,
}

func render(template string) ([]byte, error) {
	w := &mdoc{}
	for line := range strings.Lines(template) {
		directive, ok := strings.CutPrefix(line, `.\" @`)
		if !ok {
			w.WriteString(line)
			continue
		}
		name, argument, _ := strings.Cut(strings.TrimSpace(directive), " ")
		insert, ok := directives[name]
		if !ok {
			return nil, fmt.Errorf("unknown directive %q", name)
		}
		if err := insert(w, argument); err != nil {
			return nil, fmt.Errorf("%s %s: %w", name, argument, err)
		}
	}
	return w.Bytes(), nil
}

// date returns the day of the release, so that pages are the same wherever they are made.
func date() string {
	day := time.Now()
	if seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		day = time.Unix(seconds, 0)
	}
	return day.UTC().Format("January 2, 2006")
}

// An mdoc is a page, or a part of one.
type mdoc struct{ bytes.Buffer }

func (w *mdoc) macro(name string, args ...string) {
	fmt.Fprintln(w, strings.Join(append([]string{"." + name}, args...), " "))
}

// sentence matches the end of one sentence and the beginning of the next. In mdoc each
// sentence has to begin on a new line, so that the space between them gets the right width.
var sentence = regexp.MustCompile(`([\pL\pN)\]"][.?][)"]?) +([\p{Lu}(])`)

// text writes s as text that mdoc fills.
func (w *mdoc) text(s string) {
	for line := range strings.SplitSeq(sentence.ReplaceAllString(strings.TrimSpace(s), "$1\n$2"), "\n") {
		if line = strings.TrimSpace(line); line != "" {
			w.filled(line)
		}
	}
}

// maxLine is the longest line of text that mandoc's lint accepts.
const maxLine = 80

// filled writes one sentence in lines of at most maxLine.
func (w *mdoc) filled(sentence string) {
	line := ""
	for word := range strings.FieldsSeq(sentence) {
		if longer := strings.TrimSpace(line + " " + word); len(asInput(longer)) <= maxLine {
			line = longer
			continue
		}
		if line != "" {
			fmt.Fprintln(w, escape(line))
		}
		line = word
	}
	fmt.Fprintln(w, escape(line))
}

// asInput returns a line as mandoc counts it: escaped, and `\[u2026]` for "…".
func asInput(line string) string {
	return notASCII.ReplaceAllString(escape(line), `\[u2026]`)
}

var notASCII = regexp.MustCompile(`[^\x00-\x7f]`)

// literal writes lines as they are.
func (w *mdoc) literal(s string) {
	w.macro("Bd", "-literal", "-offset indent") // it also makes the space before the lines
	for line := range strings.SplitSeq(strings.Trim(s, "\n"), "\n") {
		fmt.Fprintln(w, escape(line))
	}
	w.macro("Ed")
}

// escape escapes s so that roff finds no requests in it. Hyphens are escaped, too, so that
// they can be copied from the page as the character to type.
func escape(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
