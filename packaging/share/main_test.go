package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// everything writes all files and returns their folder.
func everything(t *testing.T) string {
	t.Helper()
	t.Chdir(testpeer.ModuleRoot())
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	dir := t.TempDir()
	if err := run(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPages(t *testing.T) {
	testpeer.Slow(t)
	dir := everything(t)
	pages := []string{"man1/kyc-agentd.1", "man1/kyc-token.1", "man5/kyc-agent.toml.5", "man7/kyc-agentd-api.7"}
	for _, page := range pages {
		text := read(t, filepath.Join(dir, "man", page))
		if strings.Contains(text, `.\" @`) || !strings.Contains(text, ".Dd November 14, 2023\n") || !strings.Contains(text, ".Sh SEE ALSO") {
			t.Errorf("%s is not complete:\n%.300s", page, text)
		}
	}

	t.Run("lint", func(t *testing.T) {
		mandoc := testpeer.Program(t, "mandoc", "mandoc")
		// Which pages are installed here says nothing about these.
		ofThisMachine := regexp.MustCompile(`(?m)^mandoc: (outdated mandoc\.db lacks |.*: referenced manual not found: ).*\n`)
		lint := func(path string) string {
			out, _ := exec.CommandContext(t.Context(), mandoc, "-T", "lint", path).CombinedOutput()
			return ofThisMachine.ReplaceAllString(string(out), "")
		}
		for _, page := range pages {
			if out := lint(filepath.Join(dir, "man", page)); out != "" {
				t.Errorf("%s:\n%s", page, out)
			}
		}
		bad := filepath.Join(dir, "bad.1")
		if err := write(bad, []byte(".Dd November 14, 2023\n.Dt BAD 1\n.Os\n.Sh NAME\n.Nm bad\n.Nd x\n.Sh DESCRIPTION\n"+strings.Repeat("long ", 20)+"\n")); err != nil {
			t.Fatal(err)
		}
		if out := lint(bad); !strings.Contains(out, "STYLE: input text line longer than 80 bytes") {
			t.Errorf("mandoc accepts a long line, so it proves nothing: %q", out)
		}
	})
	t.Run("sections", func(t *testing.T) {
		for _, page := range pages {
			text := read(t, filepath.Join(dir, "man", page))
			for _, section := range []string{"ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES", "SEE ALSO"} {
				if section == "EXIT STATUS" && strings.HasPrefix(page, "man7") {
					continue // it is no program
				}
				if n := strings.Count(text, "\n.Sh "+section+"\n"); n != 1 {
					t.Errorf("%s has %d sections %s", page, n, section)
				}
			}
			if strings.Contains(text, "Exit status: 0 done") || strings.Contains(text, "\nExamples:\n") {
				t.Errorf("%s has the exit status or the examples outside of their section", page)
			}
		}
		for _, page := range pages[:2] {
			text := read(t, filepath.Join(dir, "man", page))
			for _, code := range []string{"0", "64", "69", "70", "75", "77", "78"} {
				if !strings.Contains(text, "\n.It "+code+"\n") {
					t.Errorf("EXIT STATUS of %s does not have %s", page, code)
				}
			}
		}
	})
	t.Run("every command", func(t *testing.T) {
		text := read(t, filepath.Join(dir, "man", pages[0]))
		program, err := built("kyc-agentd")
		if err != nil {
			t.Fatal(err)
		}
		defer removeBuilt()
		help, err := exec.CommandContext(t.Context(), program, "--help").Output()
		if err != nil {
			t.Fatal(err)
		}
		commands := regexp.MustCompile(`(?m)^  ([a-z]+)  +\S`).FindAllSubmatch(help, -1)
		if len(commands) < 10 {
			t.Fatalf("%q", commands)
		}
		for _, m := range commands {
			if !strings.Contains(text, "\n.Ss "+string(m[1])+"\n") {
				t.Errorf("kyc-agentd(1) has no section for %s", m[1])
			}
		}
	})
	t.Run("every key", func(t *testing.T) {
		text := read(t, filepath.Join(dir, "man", pages[2]))
		for field, key := range configKeys(t) {
			if !strings.Contains(text, "\n.It Cm "+key+"\n") {
				t.Errorf("kyc-agent.toml(5) does not have %s", key)
			}
			if strings.Contains(text, "\n.It Cm "+key+"\n"+key+" ") {
				t.Errorf("kyc-agent.toml(5) says %s twice", key)
			}
			if strings.Contains(key, "_") && strings.Contains(text, field) {
				t.Errorf("kyc-agent.toml(5) calls %s %s, which is its name in Go", key, field)
			}
		}
		if !strings.Contains(text, "[environments.NAME]") {
			t.Error("kyc-agent.toml(5) does not say how an environment's table is written")
		}
	})
}

// configKeys returns all keys in the program's sources, by the names of their fields.
func configKeys(t *testing.T) map[string]string {
	t.Helper()
	parsed, err := files("cmd/kyc-agentd/internal/config")
	if err != nil {
		t.Fatal(err)
	}
	keys := tomlKeys(parsed)
	if keys["DefaultEnvironment"] != "default_environment" {
		t.Fatalf("%q", keys)
	}
	return keys
}

func TestWithKeys(t *testing.T) {
	keys := map[string]string{"Region": "region", "PasswordFile": "password_file", "APIURL": "api_url"}
	for text, want := range map[string]string{
		"Region is one. STS is that of Region.":       "Region is one. STS is that of region.",
		"PasswordFile, or APIURL. PasswordFile again": "password_file, or api_url. password_file again",
		"Regional things: (Region)":                   "Regional things: (region)",
	} {
		if got := withKeys(text, keys); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestEscape(t *testing.T) {
	w := &mdoc{}
	w.text(".ds x\n'tis \\fB and -f. Then")
	if got, want := w.String(), "\\&.ds x\n\\&'tis \\efB and \\-f.\nThen\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestUnknownDirective(t *testing.T) {
	for _, template := range []string{".\\\" @nothing x\n", ".\\\" @config Nothing\n", ".\\\" @package nothing\n"} {
		t.Chdir(testpeer.ModuleRoot())
		if _, err := render(template); err == nil {
			t.Errorf("%q is accepted", template)
		}
	}
}

func TestCompletions(t *testing.T) {
	testpeer.Slow(t)
	dir := everything(t)
	for _, name := range []string{
		"bash-completion/completions/kyc-agentd", "bash-completion/completions/kyc-token",
		"zsh/site-functions/_kyc-agentd", "zsh/site-functions/_kyc-token",
		"fish/vendor_completions.d/kyc-agentd.fish", "fish/vendor_completions.d/kyc-token.fish",
	} {
		if text := read(t, filepath.Join(dir, name)); !bytes.Contains([]byte(text), []byte("kyc-")) {
			t.Errorf("%s: %.100q", name, text)
		}
	}
}
