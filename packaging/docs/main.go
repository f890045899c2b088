// Command docs copies README.md, and the documents, examples and pictures that it links to:
//
//	go run ./packaging/docs -o DIR -ref v1.0.0
//
// What these link to is copied as well. A link to anything else in this repository, such as
// Go source, becomes one to GitHub, at the tag or commit that -ref names. So no link of a
// package leads nowhere.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

const repository = "https://github.com/legaltalent/kyc-agent"

func main() {
	dir, ref := flag.String("o", ".", "the folder to write to"), flag.String("ref", "HEAD", "the tag or commit")
	flag.Parse()
	c := &copier{dir: *dir, ref: *ref, copied: map[string]bool{}}
	if err := c.copy("README.md"); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

// worth lists what is useful without the source: these files, and what is below them.
var worth = []string{
	"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "bench/RESULTS.md", "docs", "ipc/openapi.yaml",
	"examples/README.md", "examples/body.json", "examples/curl", "examples/go", "examples/httpie", "examples/javascript", "examples/python",
	"packaging/launchd", "packaging/systemd/50-namespaces.conf",
}

func isWorth(name string) bool {
	for _, w := range worth {
		if name == w || strings.HasPrefix(name, w+"/") {
			return true
		}
	}
	return false
}

type copier struct {
	dir, ref string
	copied   map[string]bool
}

// copy copies a file or, of a folder, all files that git knows.
func (c *copier) copy(name string) error {
	list, err := exec.Command("git", "ls-files", "-z", "--", name).Output()
	if err != nil {
		return fmt.Errorf("git ls-files %s: %w", name, err)
	}
	if len(list) == 0 {
		return fmt.Errorf("%s: %w", name, os.ErrNotExist)
	}
	for file := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		if !c.copied[file] {
			c.copied[file] = true
			if err := c.copyFile(file); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *copier) copyFile(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if path.Ext(file) == ".md" {
		linked, err := c.follow(path.Dir(file), string(text))
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		text = []byte(linked)
	}
	to := filepath.Join(c.dir, filepath.FromSlash(file))
	return errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, text, 0o644))
}

// target matches what Markdown or HTML links to.
var target = regexp.MustCompile(`(\]\(|<(?:a|img|source)\s[^>]*?\b(?:src|srcset|href)=")([^)"\s#]+)`)

// follow copies what text, in a file of dir, links to, and returns it with the links to
// what is not copied changed.
func (c *copier) follow(dir, text string) (string, error) {
	var failed error
	text = target.ReplaceAllStringFunc(text, func(match string) string {
		m := target.FindStringSubmatch(match)
		name := path.Join(dir, m[2])
		if strings.Contains(m[2], ":") {
			return match
		}
		if isWorth(name) {
			failed = errors.Join(failed, c.copy(name))
			return match
		}
		if _, err := os.Stat(name); err != nil {
			failed = errors.Join(failed, err)
		}
		return m[1] + repository + "/blob/" + c.ref + "/" + name
	})
	return text, failed
}
