package packaging_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// A completionEnv is a home folder with the completion scripts, and an agent that has an
// additional environment.
type completionEnv struct {
	dir string
	env []string
}

func newCompletionEnv(t *testing.T) *completionEnv {
	t.Helper()
	testpeer.Slow(t)
	agent, token := testpeer.Build(t, "kyc-agentd"), testpeer.Build(t, "kyc-token")
	dir, err := os.MkdirTemp("", "kyc-completion-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	e := &completionEnv{dir: dir, env: []string{
		"PATH=" + filepath.Dir(agent) + ":" + filepath.Dir(token) + ":" + os.Getenv("PATH"),
		"HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, "TERM=dumb", "LC_ALL=C.UTF-8",
	}}
	e.scripts(t, agent)
	e.serve(t, agent)
	return e
}

// scripts writes the completions of both programs, unlike the packages into one folder.
func (e *completionEnv) scripts(t *testing.T, agent string) {
	t.Helper()
	write := func(name string, text []byte) {
		if err := os.WriteFile(filepath.Join(e.dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for shell, name := range map[string]string{"bash": "kyc-agentd.bash", "fish": "kyc-agentd.fish", "zsh": "_kyc-agentd"} {
		script, err := exec.CommandContext(t.Context(), agent, "completion", shell).Output()
		if err != nil {
			t.Fatal(err)
		}
		write(name, script)
	}
	for _, name := range []string{"kyc-token.bash", "kyc-token.fish", "_kyc-token"} {
		script, err := os.ReadFile(filepath.Join("completions", name))
		if err != nil {
			t.Fatal(err)
		}
		write(name, script)
	}
}

// serve runs an agent with one environment in addition to the built-in ones. The shells do
// not see its configuration.
func (e *completionEnv) serve(t *testing.T, agent string) {
	t.Helper()
	config := filepath.Join(e.dir, "agents.toml")
	const uat = "[environments.uat]\nregion = 'us-east-2'\nuser_pool_id = 'us-east-2_uat'\nclient_id = 'uat'\napi_url = 'https://uat.invalid'\n"
	if err := os.WriteFile(config, []byte(uat), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(agent, "serve", "--store", "memory", "--config", config)
	cmd.Env = e.env
	runUntilReady(t, cmd)
}

// runUntilReady starts cmd, a daemon, which is killed at the end of the test.
func runUntilReady(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	ready := make([]byte, 4096)
	for seen := ""; !strings.Contains(seen, `"ready"`); {
		n, err := log.Read(ready)
		if err != nil {
			t.Fatalf("the agent did not get ready; it logged:\n%s", seen)
		}
		seen += string(ready[:n])
	}
	go func() { _, _ = io.Copy(io.Discard, log) }()
}

func (e *completionEnv) run(t *testing.T, name string, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env, cmd.Dir = e.env, e.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
	return strings.Fields(string(out))
}

// completions are lines with the words that Tab has to offer at their end.
var completions = []struct {
	line string
	want []string
}{
	{"kyc-agentd stat", []string{"status"}},
	{"kyc-agentd login ", []string{"prod", "staging", "uat"}},
	{"kyc-agentd logout u", []string{"uat"}},
	{"kyc-agentd serve --store ", []string{"auto", "file", "keyring", "kubernetes", "memory", "postgres"}},
	{"kyc-agentd password ", []string{"change", "reset"}},
	{"kyc-token ", []string{"exec", "get", "prod", "staging", "uat"}},
	{"kyc-token -f k", []string{"k8s"}},
	{"kyc-token -f curl p", []string{"prod"}},
}

// completeInBash does what readline does: it splits the line, calls the function and takes
// COMPREPLY.
const completeInBash = `source "$1"; source kyc-agentd.bash; source kyc-token.bash
COMP_LINE=$2 COMP_POINT=${#2} COMP_TYPE=9; read -ra COMP_WORDS <<<"$2"
[[ $2 == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
function=$(complete -p "${COMP_WORDS[0]}" | sed 's/.*-F \([^ ]*\).*/\1/')
compopt() { :; }
"$function" "${COMP_WORDS[0]}" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]%% *}"` // without the descriptions

func TestCompletionBash(t *testing.T) {
	bash := testpeer.Program(t, "bash", "bash")
	const library = "/usr/share/bash-completion/bash_completion"
	if _, err := os.Stat(library); err != nil {
		testpeer.Missing(t, "bash-completion", "run: apt-get install bash-completion")
	}
	e := newCompletionEnv(t)
	for _, c := range completions {
		got := e.run(t, bash, "-c", completeInBash, "bash", library, c.line)
		if slices.Sort(got); !slices.Equal(got, c.want) {
			t.Errorf("%q offers %q, want %q", c.line, got, c.want)
		}
	}
}

func TestCompletionFish(t *testing.T) {
	fish := testpeer.Program(t, "fish", "fish")
	e := newCompletionEnv(t)
	for _, c := range completions {
		got := e.run(t, fish, "--no-config", "-c", "source kyc-agentd.fish; source kyc-token.fish; complete -C $argv[1] | string replace -r '\t.*' ''; true", c.line)
		if slices.Sort(got); !slices.Equal(got, c.want) {
			t.Errorf("%q offers %q, want %q", c.line, got, c.want)
		}
	}
}

// TestCompletionZsh presses the key on a terminal, because zsh has no other way to list
// completions.
func TestCompletionZsh(t *testing.T) {
	zsh := testpeer.Program(t, "zsh", "zsh")
	e := newCompletionEnv(t)
	cmd := exec.CommandContext(t.Context(), zsh, "-f", "-i")
	cmd.Env, cmd.Dir = e.env, e.dir
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 50, Cols: 200})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = terminal.Close()
	}()
	late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() }) // ends a read for text that does not come
	defer late.Stop()
	say := func(line string) {
		if _, err := io.WriteString(terminal, line); err != nil {
			t.Fatal(err)
		}
	}
	// A key that comes before the prompt is handled by the terminal and not by zsh. Prompts
	// are numbered, because zsh prints the present one again below a list.
	say("fpath=($PWD $fpath); autoload -U compinit; compinit -u -D; setopt no_beep; precmd() { PS1=\"ask$((++n)) \" }\n")
	for i, c := range completions {
		see(t, terminal, fmt.Sprintf("ask%d ", i+1))
		// Ctrl-D lists what there is, and Ctrl-U empties the line.
		say(c.line + "\x04")
		if len(c.want) == 1 {
			say("\t")
		}
		see(t, terminal, c.want...) // zsh has an order of its own for words with the same description
		say("\x15\n")
	}
}

// see reads until the terminal has shown each of texts.
func see(t *testing.T, terminal *os.File, texts ...string) {
	t.Helper()
	var seen bytes.Buffer
	buf := make([]byte, 1)
	missing := func(text string) bool { return !strings.Contains(seen.String(), text) }
	for slices.ContainsFunc(texts, missing) {
		n, err := terminal.Read(buf)
		if err != nil {
			t.Fatalf("the terminal does not show all of %q: %v\n%q", texts, err, seen.String())
		}
		seen.Write(buf[:n])
	}
}
