package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// usage inserts a help text: of "kyc-agentd serve", say. `kyc-agentd` and `kyc-token`
// alone are their own; their first lines are the page's SYNOPSIS, which the template has.
func usage(w *mdoc, command string) error {
	words := strings.Fields(command)
	program, err := built(words[0])
	if err != nil {
		return err
	}
	help, err := exec.Command(program, append(words[1:], "--help")...).Output()
	if err != nil {
		return fmt.Errorf("--help: %w", err)
	}
	paragraphs := strings.Split(strings.TrimSpace(string(help)), "\n\n")
	if len(words) > 1 {
		w.literal(strings.TrimPrefix(strings.ReplaceAll(paragraphs[0], "\n       ", "\n"), "Usage: "))
	}
	for _, p := range paragraphs[1:] {
		w.paragraph(p)
	}
	return nil
}

var programs = map[string]string{}

// built is the path of one of the commands, built anew once.
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

// removeBuilt undoes what built did.
func removeBuilt() {
	for _, path := range programs {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	clear(programs)
}

// item is one of a list: what is to be typed, at least two blanks, what it means.
var item = regexp.MustCompile(`^  (\S.*?)(?:  +(\S.*))?$`)

// paragraph writes text, and the list or the example that may follow it without a
// blank line.
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

// isList tells a list from an example: its first line has two columns.
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

// quote makes one argument of s.
func quote(s string) string {
	return `"` + strings.ReplaceAll(escape(s), `"`, `""`) + `"`
}
