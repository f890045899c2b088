package packaging_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// foulNames are no names of environments. A shell that expands one makes the file PWNED, or
// offers the files of the folder.
var foulNames = []string{
	"$(touch PWNED)", "$(touch${IFS}PWNED)", "`touch PWNED`", "`touch${IFS}PWNED`", "*", "?WNED", "${HOME}", "a b", "a;touch PWNED", "-o", "~",
	"<(touch PWNED)", "(touch PWNED)", "$(eval touch PWNED)", "'", "\"", "\\", "a\nb", "a\tb", "\x1b[2J", "Prod", strings.Repeat("x", 64),
}

// completionOf are the ways in which each shell completes a line, in a folder with the
// scripts. Zsh lists what its function for environments passes to compadd.
var completionOf = []struct {
	shell, script string
}{
	{"bash", completeInBash},
	{"fish", `source kyc-agentd.fish; source kyc-token.fish; complete -C $argv[1] | string replace -r '\t.*' ''; true`},
	{"zsh", `compadd() { while [[ $1 != -- ]]; do shift; done; shift; print -rl -- "$@" }
_arguments() { :; }
CURRENT=3; source ./_kyc-token; _kyc_token_environments`},
}

// TestCompletionsExpandNothing presses Tab while another program than the agent answers on
// the socket, and while another program than kyc-agentd completes.
func TestCompletionsExpandNothing(t *testing.T) {
	testpeer.Slow(t)
	agent, token := testpeer.Build(t, "kyc-agentd"), testpeer.Build(t, "kyc-token")
	for _, by := range []string{"socket", "program"} {
		for _, c := range completionOf {
			t.Run(by+" "+c.shell, func(t *testing.T) {
				shell := testpeer.Program(t, c.shell, c.shell)
				e := &completionEnv{dir: t.TempDir()}
				runtime, path := filepath.Join(e.dir, "run"), filepath.Dir(agent)+":"+filepath.Dir(token)
				e.scripts(t, agent)
				if by == "program" {
					path = writeFoulCompleter(t)
				}
				e.env = []string{"PATH=" + path + ":" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "XDG_RUNTIME_DIR=" + runtime, "TERM=dumb", "LC_ALL=C.UTF-8"}
				answerFoulStatus(t, filepath.Join(runtime, "kyc-agentd"))
				before := names(t, e.dir)
				for _, line := range []string{"kyc-token ", "kyc-token -f curl ", "kyc-agentd login "} {
					if by == "program" && strings.HasPrefix(line, "kyc-agentd") {
						continue // it completes itself
					}
					args := map[string][]string{
						"bash": {"-c", c.script, "bash", "/usr/share/bash-completion/bash_completion", line},
						"fish": {"--no-config", "-c", c.script, line},
						"zsh":  {"-f", "-c", c.script},
					}[c.shell]
					for _, word := range e.run(t, shell, args...) {
						if strings.Trim(word, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" || len(word) > 63 || word == "-o" {
							t.Errorf("%q offers %q", line, word)
						}
						if word == "kyc-token.bash" || word == "PWNED" {
							t.Errorf("%q offers a file: %q", line, word)
						}
					}
				}
				if after := names(t, e.dir); !slices.Equal(after, before) {
					t.Errorf("the folder had %q and has %q", before, after)
				}
			})
		}
	}
}

// writeFoulCompleter returns a folder with a kyc-agentd that completes with foulNames.
func writeFoulCompleter(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	text := "#!/bin/sh\ncat <<'END'\n" + strings.Join(append([]string{"good"}, foulNames...), "\n") + "\n:4\nEND\n"
	if err := testpeer.WriteProgram(filepath.Join(dir, "kyc-agentd"), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// answerFoulStatus answers on agent.sock in dir with a status of foulNames.
func answerFoulStatus(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", filepath.Join(dir, "agent.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	var environments []map[string]string
	for _, name := range foulNames {
		environments = append(environments, map[string]string{"name": name})
	}
	body, err := json.Marshal(map[string]any{"environments": environments})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
			_ = c.Close()
		}
	}()
}

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}
