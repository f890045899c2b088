package integrations_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// A section is a section of docs/integrations.md, which begins with "## ".
type section struct {
	title  string
	blocks []block
}

// A block is one piece of fenced text. Its info string is a language and, if the text is
// a file, the file's name: "yaml playbook.yml".
type block struct{ lang, file, text string }

// shell reports whether the block has commands for a person to type.
func (b block) shell() bool {
	_, ok := interpreters[b.lang]
	return b.file == "" && ok
}

// interpreters read the commands of a block, by its language; bash itself reads those
// without one. crontab is the program of toolset cron.
var interpreters = map[string]string{"bash": "", "sh": "", "fish": "fish", "csh": "csh -f", "crontab": "crontab -"}

// script returns the commands for bash.
func (b block) script() string {
	if program := interpreters[b.lang]; program != "" {
		return program + " <<'END'\n" + b.text + "END\n"
	}
	return b.text
}

// fileBlocks returns the blocks that are files.
func (s section) fileBlocks() (files []block) {
	for _, b := range s.blocks {
		if b.file != "" {
			files = append(files, b)
		}
	}
	return files
}

func readDocument(t *testing.T) []section {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testpeer.ModuleRoot(), "docs", "integrations.md"))
	if err != nil {
		t.Fatal(err)
	}
	return parseDocument(string(text))
}

// parseDocument finds the sections and their fenced blocks.
func parseDocument(text string) []section {
	var all []section
	var open *block
	for line := range strings.Lines(text) {
		info, fence := strings.CutPrefix(strings.TrimRight(line, "\n"), "```")
		title, heading := strings.CutPrefix(line, "## ")
		switch {
		case open != nil && fence:
			last := &all[len(all)-1]
			last.blocks, open = append(last.blocks, *open), nil
		case open != nil:
			open.text += line
		case fence && len(all) > 0:
			lang, file, _ := strings.Cut(info, " ")
			open = &block{lang: lang, file: file}
		case heading:
			all = append(all, section{title: strings.TrimSpace(title)})
		}
	}
	return all
}

func TestParseDocument(t *testing.T) {
	got := parseDocument("# T\n\n```sh\nbefore any section\n```\n## A\ntext\n```bash\n## no heading\nls\n```\n## B\n```yaml p.yml\nk: v\n```\n")
	if len(got) != 2 || got[0].title != "A" || len(got[0].blocks) != 1 || len(got[1].blocks) != 1 {
		t.Fatalf("%+v", got)
	}
	if b := got[0].blocks[0]; !b.shell() || b.text != "## no heading\nls\n" {
		t.Errorf("%+v", b)
	}
	if b := got[1].blocks[0]; b.shell() || b.file != "p.yml" || b.text != "k: v\n" {
		t.Errorf("%+v", b)
	}
}
