package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// usage inserts the help text of a command, such as "kyc-agentd serve". The first lines of
// `kyc-agentd` and `kyc-token` themselves are left out, because the template has them as
// the SYNOPSIS.
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
