// Recording writes docs/recording.svg, the picture that README.md begins with, from what
// `make demo` prints: `make recording` runs it.
//
// The picture shows one step of the demo after the other. It has only text and CSS, so it is
// shown as an image, in the reader's light or dark colours, and stands still for a reader
// who wants no motion. What differs from run to run (ports, ids, tokens) has a fixed value
// in it.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

func main() {
	if err := run("docs/recording.svg"); err != nil {
		fmt.Fprintln(os.Stderr, "recording:", err)
		os.Exit(1)
	}
}

func run(path string) error {
	cmd := exec.Command("go", "run", "./examples/demo")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("the demo failed: %w", err)
	}
	steps := parse(fixed(string(out)))
	if len(steps) == 0 {
		return fmt.Errorf("the demo printed no steps:\n%s", out)
	}
	var picture bytes.Buffer
	draw(&picture, steps)
	return os.WriteFile(path, picture.Bytes(), 0o644)
}

var (
	server    = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
	requestID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	process   = regexp.MustCompile(`process \d+, up \d+s`)
	token     = regexp.MustCompile(`(eyJ\w+)…[\w-]+ \(`)
)

// fixed gives what differs from run to run the same value in each.
func fixed(out string) string {
	names := map[string]string{}
	out = server.ReplaceAllStringFunc(out, func(url string) string {
		if names[url] == "" {
			names[url] = fmt.Sprintf("http://127.0.0.1:%d", 8001+len(names))
		}
		return names[url]
	})
	out = requestID.ReplaceAllString(out, "5f0c1b9e-7d42-4c1a-9a86-2e4d1f7b3c60")
	out = process.ReplaceAllString(out, "process 4711, up 2s")
	tokens := 0
	return token.ReplaceAllStringFunc(out, func(shown string) string {
		tokens++
		return token.ReplaceAllString(shown, fmt.Sprintf("$1…token%d (", tokens))
	})
}

// A step is a title, and lines of a terminal.
type step struct {
	title string
	lines []line
}

type line struct {
	text  string
	typed bool // by the user, and not printed by a program
}

var title = regexp.MustCompile(`^\d+\. (.*)`)

// parse reads the demo's output. What comes before the first step and after the last one is
// left out.
func parse(out string) []step {
	var steps []step
	continued := false // the last line was typed and ends with \
	for text := range strings.Lines(out) {
		text = strings.TrimRight(text, "\n")
		if m := title.FindStringSubmatch(text); m != nil {
			steps = append(steps, step{title: m[1]})
			continue
		}
		shown, indented := strings.CutPrefix(text, "    ")
		if !indented || len(steps) == 0 {
			continue
		}
		s := &steps[len(steps)-1]
		typed := continued || strings.HasPrefix(shown, "$ ")
		s.lines = append(s.lines, wrap(line{shown, typed})...)
		continued = typed && strings.HasSuffix(shown, `\`)
	}
	return steps
}

// columns is the terminal's width.
const columns = 110

// wrap cuts a line at a blank, if it has one, so that no word is cut.
func wrap(l line) []line {
	var wrapped []line
	for runes := []rune(l.text); ; {
		if len(runes) <= columns {
			return append(wrapped, line{string(runes), l.typed})
		}
		end := columns
		if blank := strings.LastIndex(string(runes[:columns]), " "); blank > 0 {
			end = len([]rune(string(runes[:columns])[:blank])) + 1
		}
		wrapped = append(wrapped, line{string(runes[:end]), l.typed})
		runes = runes[end:]
	}
}
