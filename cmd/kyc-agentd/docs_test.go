package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// docs are the manuals, by their path in the module.
func docs(t *testing.T) map[string]string {
	t.Helper()
	root := testpeer.ModuleRoot()
	paths, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%v, %v", paths, err)
	}
	all := map[string]string{}
	for _, path := range append(paths, filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md"), filepath.Join(root, "SECURITY.md")) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name, _ := filepath.Rel(root, path)
		all[name] = string(text)
	}
	return all
}

var (
	fence  = regexp.MustCompile("(?ms)^```.*?^```")
	indent = regexp.MustCompile("(?m)^    .*")
	span1  = regexp.MustCompile("`[^`\n]+`")
)

// code is what a manual has as code, one piece each: blocks and `words`.
func code(text string) []string {
	pieces := fence.FindAllString(text, -1)
	text = fence.ReplaceAllString(text, "")
	pieces = append(pieces, indent.FindAllString(text, -1)...)
	for _, s := range span1.FindAllString(text, -1) {
		pieces = append(pieces, strings.Trim(s, "`"))
	}
	return pieces
}

var called = regexp.MustCompile(`(?:^|[^\w./-])kyc-agentd((?: +[\w=./"'~$@{}-]+)+)`)

// Every command of the project that a manual tells somebody to type exists.
func TestDocsNameRealCommands(t *testing.T) {
	n := 0
	for name, text := range docs(t) {
		for _, piece := range code(text) {
			for _, found := range called.FindAllStringSubmatch(strings.ReplaceAll(piece, "\\\n", " "), -1) {
				words := strings.Fields(found[1])
				if !verb.MatchString(words[0]) {
					continue // a unit's name, an option of another program's, a version
				}
				n++
				if wrong := wrongCommand(words); wrong != "" {
					t.Errorf("%s: kyc-agentd %s: %s", name, strings.Join(words, " "), wrong)
				}
			}
		}
	}
	if n < 50 {
		t.Errorf("%d commands were looked at: the manuals have more", n)
	}
	for _, words := range []string{"srve", "status --jsn", "password forget"} {
		if wrongCommand(strings.Fields(words)) == "" {
			t.Errorf("kyc-agentd %s passes", words)
		}
	}
}

var verb = regexp.MustCompile(`^[a-z]+$`)

// wrongCommand says what is wrong with a command line of kyc-agentd.
func wrongCommand(words []string) string {
	root := new(cli).root()
	cmd, rest, err := root.Find(words)
	switch {
	case err != nil || cmd == root:
		return "no such command"
	case cmd.HasSubCommands() && len(rest) > 0 && verb.MatchString(rest[0]):
		return "no such command below " + cmd.Name()
	}
	return wrongFlag(cmd, rest)
}

func wrongFlag(cmd *cobra.Command, words []string) string {
	for _, word := range words {
		name, _, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
		switch {
		case word == "--":
			return "" // the rest is another program's
		case strings.HasPrefix(word, "--") && name != "help" && cmd.Flag(name) == nil:
			return "no flag --" + name
		}
	}
	return ""
}

// Every link within the project leads to a file, and to a heading where it names one.
func TestDocsLinkToWhatIsThere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	all, n := docs(t), 0
	for name, text := range all {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			n++
			path, anchor, _ := strings.Cut(m[1], "#")
			to := name
			if path != "" {
				to = filepath.Join(filepath.Dir(name), path)
			}
			if _, err := os.Stat(filepath.Join(testpeer.ModuleRoot(), to)); err != nil || anchor != "" && !hasHeading(all[to], anchor) {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			}
		}
	}
	if n < 10 || hasHeading(all["README.md"], "nowhere") {
		t.Errorf("%d links were looked at", n)
	}
}

// hasHeading reports whether text has one that anchor is made of.
func hasHeading(text, anchor string) bool {
	heading := regexp.MustCompile(`(?m)^#+ (.+)$`)
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		plain := regexp.MustCompile(`[^\w -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		if strings.ReplaceAll(plain, " ", "-") == anchor {
			return true
		}
	}
	return false
}

// Every test that a manual names is there, and in the package that it names.
func TestDocsNameRealTests(t *testing.T) {
	there := tests(t)
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w*)`(?:\\s\\(([a-z][\\w/-]*)\\))?")
	for name, text := range docs(t) {
		for _, found := range named.FindAllStringSubmatch(text, -1) {
			dirs := there[found[1]]
			if len(dirs) == 0 || found[2] != "" && !slices.Contains(dirs, found[2]) {
				t.Errorf("%s names %s; there is one in %q", name, found[0], dirs)
			}
		}
	}
	if !slices.Contains(there["TestDocsNameRealTests"], "cmd/kyc-agentd") || there["TestNowhere"] != nil {
		t.Error("the tests that are there are not found")
	}
}

// tests are the folders of each test of the module.
func tests(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	top := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	eachGoFile(t, func(path string, text []byte) {
		for _, m := range top.FindAllSubmatch(text, -1) {
			found[string(m[1])] = append(found[string(m[1])], filepath.Dir(path))
		}
	}, func(path string) bool { return strings.HasSuffix(path, "_test.go") })
	return found
}

// eachGoFile calls f for the Go files that want picks, by their path in the module.
func eachGoFile(t *testing.T, f func(path string, text []byte), want func(path string) bool) {
	t.Helper()
	root := testpeer.ModuleRoot()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".")):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || !want(rel):
			return nil
		}
		text, err := os.ReadFile(path)
		if err == nil {
			f(rel, text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Every line that the manual of operations quotes, as one that a program prints or
// logs, is made of what the programs have.
func TestDocsQuoteRealMessages(t *testing.T) {
	text := docs(t)["docs/operations.md"]
	printed := newPhrases(t)
	row := regexp.MustCompile("(?m)^\\| (`[^|]*`) \\| ((?:\\d\\d?(?:, )?)+|info|warning|error) \\|")
	rows := row.FindAllStringSubmatch(text, -1)
	if len(rows) < 40 {
		t.Errorf("%d lines were looked at: the manual has more", len(rows))
	}
	for _, r := range rows {
		for _, quoted := range span1.FindAllString(r[1], -1) {
			if message := strings.Trim(quoted, "`"); !printed.has(message) {
				t.Errorf("no program says %q", message)
			}
		}
	}
	figure := regexp.MustCompile(`\bkyc_agent_(\w+)`)
	for _, m := range figure.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(printed, m[1]) && !slices.Contains(printed, m[0]) {
			t.Errorf("there is no figure %s", m[0])
		}
	}
	for _, message := range []string{"no agent replies on …", "…: not logged in; run: kyc-agentd login …", "unknown key but it is none"} {
		if printed.has(message) {
			t.Errorf("%q passes", message)
		}
	}
}

// The lines that hand metrics to node_exporter do.
func TestDocsMetrics(t *testing.T) {
	testpeer.Program(t, "curl", "curl")
	block := regexp.MustCompile("(?s)```sh\n(out=.*?)```").FindStringSubmatch(docs(t)["docs/operations.md"])
	if block == nil {
		t.Fatal("there are no such lines")
	}
	h := newFixture(t)
	h.daemon("--store", "memory")
	h.env = append(h.env, "USER=ana")
	cmd := exec.Command("sh", "-euc", strings.Replace(block[1], "/var/lib/node_exporter", h.dir, 1))
	if got := h.run("", cmd); got.exit != exitOK || got.out+got.errOut != "" {
		t.Errorf("%+v", got)
	}
	text, err := os.ReadFile(filepath.Join(h.dir, "kyc-agent-ana.prom"))
	if err != nil || !strings.Contains(string(text), "\nkyc_agent_build_info{") {
		t.Errorf("%v\n%s", err, text)
	}
}

// phrases are what the programs' strings are made of, without what differs: "no agent
// answers on ", "%s is not a socket" without its beginning.
type phrases []string

func newPhrases(t *testing.T) (all phrases) {
	t.Helper()
	differs := regexp.MustCompile(`%[-+#0-9.]*[a-zA-Z]|\{[a-z]+\}`)
	eachGoFile(t, func(path string, text []byte) {
		file, err := parser.ParseFile(token.NewFileSet(), path, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				value, _ := strconv.Unquote(lit.Value)
				all = append(all, differs.Split(value, -1)...)
			}
			return true
		})
	}, func(path string) bool {
		dir, _, _ := strings.Cut(path, "/")
		inProgram := slices.Contains([]string{"agent", "cmd", "ipc", "store"}, dir) || strings.HasPrefix(path, "internal/suggest/")
		return inProgram && !strings.HasSuffix(path, "_test.go") && !strings.Contains(filepath.Dir(path), "test")
	})
	return all
}

// has reports whether message can be put together of phrases; "…" in it stands for
// anything.
func (p phrases) has(message string) bool {
	for part := range strings.SplitSeq(message, "…") {
		if !p.cover(part, true) {
			return false
		}
	}
	return true
}

// cover takes text apart. What stands first and last may be a part of a phrase.
func (p phrases) cover(text string, first bool) bool {
	text = strings.TrimLeft(text, ";:., ")
	if len(text) < shortest && strings.Trim(text, "; :.,()") == "" {
		return true
	}
	for _, phrase := range p {
		switch {
		case strings.HasPrefix(phrase, text), first && strings.Contains(phrase, text):
			return true
		case first:
			for n := min(len(phrase), len(text)); n >= shortest; n-- {
				if strings.HasSuffix(phrase, text[:n]) && p.cover(text[n:], false) {
					return true
				}
			}
		case len(phrase) >= shortest && strings.HasPrefix(text, phrase) && p.cover(text[len(phrase):], false):
			return true
		}
	}
	return false
}

// shortest is the number of letters from which on a phrase says something.
const shortest = 5
