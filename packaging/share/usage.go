package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// usage inserts the help text of a command, such as "kyc-agentd serve". Of `kyc-agentd` and
// `kyc-token` themselves it leaves out what has a section in the page: the SYNOPSIS, the
// EXIT STATUS and the EXAMPLES.
func usage(w *mdoc, command string) error {
	paragraphs, err := help(command)
	if err != nil {
		return err
	}
	if strings.Contains(command, " ") {
		w.literal(strings.TrimPrefix(strings.ReplaceAll(paragraphs[0], "\n       ", "\n"), "Usage: "))
	}
	for _, p := range paragraphs[1:] {
		if strings.Contains(command, " ") || !strings.HasPrefix(p, exitTitle) && !exampleTitle.MatchString(p) {
			w.paragraph(p)
		}
	}
	return nil
}

// help returns the paragraphs of a command's help text.
func help(command string) ([]string, error) {
	words := strings.Fields(command)
	program, err := built(words[0])
	if err != nil {
		return nil, err
	}
	text, err := exec.Command(program, append(words[1:], "--help")...).Output()
	if err != nil {
		return nil, fmt.Errorf("--help: %w", err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n\n"), nil
}

const exitTitle = "Exit status:"

// code matches an item of the sentence that lists exit codes: "69 no agent".
var code = regexp.MustCompile(`^([0-9]+) (.*)`)

// exitStatus inserts a program's exit codes as a list, and what its help says after them.
func exitStatus(w *mdoc, program string) error {
	paragraphs, err := help(program)
	if err != nil {
		return err
	}
	for _, p := range paragraphs {
		text, ok := strings.CutPrefix(strings.ReplaceAll(p, "\n", " "), exitTitle)
		if !ok {
			continue
		}
		codes, rest, _ := strings.Cut(strings.TrimSpace(text)+" ", ". ")
		w.macro("Bl", "-tag", "-width Ds")
		for part := range strings.SplitSeq(codes, ", ") {
			if m := code.FindStringSubmatch(part); m != nil {
				w.macro("It", m[1])
				part = m[2]
			}
			w.text(part)
		}
		w.macro("El")
		if rest = strings.TrimSpace(rest); rest != "" {
			w.macro("Pp")
			w.text(rest)
		}
		return nil
	}
	return errors.New("the help text has no exit status")
}

var exampleTitle = regexp.MustCompile(`^Examples?:\n`)

// example inserts the example of a program's help text.
func example(w *mdoc, program string) error {
	paragraphs, err := help(program)
	if err != nil {
		return err
	}
	for _, p := range paragraphs {
		if title := exampleTitle.FindString(p); title != "" {
			w.literal(strings.ReplaceAll("\n"+p[len(title):], "\n  ", "\n"))
			return nil
		}
	}
	return errors.New("the help text has no example")
}

var programs = map[string]string{}

// built returns the path of one of the commands, which it builds once.
func built(name string) (string, error) {
	if path := programs[name]; path != "" {
		return path, nil
	}
	dir, err := os.MkdirTemp("", "kyc-man-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	if out, err := exec.Command("go", "build", "-o", path, "./cmd/"+name).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/%s: %w\n%s", name, err, out)
	}
	programs[name] = path
	return path, nil
}

// removeBuilt removes the programs that built has built.
func removeBuilt() {
	for _, path := range programs {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	clear(programs)
}

// item matches an item of a list: the text to type, at least two blanks, its meaning.
var item = regexp.MustCompile(`^  (\S.*?)(?:  +(\S.*))?$`)

// paragraph writes text and the list or example, if any, that follows it without a blank
// line.
func (w *mdoc) paragraph(p string) {
	lines := strings.Split(p, "\n")
	n := 0
	for n < len(lines) && !strings.HasPrefix(lines[n], "  ") {
		n++
	}
	if n > 0 {
		w.macro("Pp")
		w.text(strings.Join(lines[:n], "\n"))
	}
	indented := lines[n:]
	switch {
	case len(indented) == 0:
	case isList(indented):
		w.list(indented)
	default:
		for i := range indented {
			indented[i] = strings.TrimPrefix(indented[i], "  ")
		}
		w.literal(strings.Join(indented, "\n"))
	}
}

// isList reports whether lines are a list, not an example: the first line of a list has
// two columns.
func isList(lines []string) bool {
	m := item.FindStringSubmatch(lines[0])
	return m != nil && m[2] != ""
}

func (w *mdoc) list(lines []string) {
	w.macro("Bl", "-tag", "-width Ds")
	for _, line := range lines {
		if m := item.FindStringSubmatch(line); m != nil && !strings.HasPrefix(line, "   ") {
			w.macro("It", "Sy", quote(m[1]))
			w.text(m[2])
			continue
		}
		w.text(line)
	}
	w.macro("El")
}

// quote makes s one argument of a macro.
func quote(s string) string {
	return `"` + strings.ReplaceAll(escape(s), `"`, `""`) + `"`
}
