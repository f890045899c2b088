package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// homeless are environments without a usable home.
func homeless(t *testing.T) map[string][]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string][]string{
		"unset":          {},
		"relative":       {"HOME=home"},
		"a file":         {"HOME=" + file},
		"gone":           {"HOME=/proc/none"}, // where root cannot make a folder either
		"relative XDG_*": {"XDG_CONFIG_HOME=c", "XDG_STATE_HOME=s", "XDG_RUNTIME_DIR=r"},
		"XDG_* of files": {"HOME=/proc/none", "XDG_CONFIG_HOME=" + file, "XDG_STATE_HOME=" + file},
	}
}

// runWith runs a verb in this process.
func runWith(t *testing.T, vars []string, args ...string) (exit int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	c := &cli{io: stdio{in: strings.NewReader(""), out: &out, err: &errs}, vars: vars, harden: func() error { return nil }}
	return c.run(t.Context(), args), out.String(), errs.String()
}

// keygen names what helps, and that helps.
func TestKeygenWithoutHome(t *testing.T) {
	for name, vars := range homeless(t) {
		t.Run(name, func(t *testing.T) {
			exit, _, said := runWith(t, vars, "keygen")
			if exit != exitUsage || !strings.Contains(said, "; set XDG_CONFIG_HOME ") || strings.Count(said, "\n") != 1 {
				t.Errorf("exit %d, %q", exit, said)
			}
			dir := t.TempDir()
			if exit, _, said := runWith(t, append(vars, "XDG_CONFIG_HOME="+dir), "keygen"); exit != exitOK {
				t.Errorf("with XDG_CONFIG_HOME: exit %d, %q", exit, said)
			}
			if _, err := os.Stat(filepath.Join(dir, "kyc-agent", "store.key")); err != nil {
				t.Error(err)
			}
			if exit, _, said := runWith(t, vars, "keygen", filepath.Join(dir, "other.key")); exit != exitOK {
				t.Errorf("with a path: exit %d, %q", exit, said)
			}
		})
	}
	if exit, _, said := runWith(t, nil, "keygen", "/proc/none/the.key"); exit != exitUsage ||
		!strings.Contains(said, "; name a file in a folder that you own: kyc-agentd keygen PATH") {
		t.Errorf("a path: exit %d, %q", exit, said)
	}
}

// No verb calls it an internal error that there is no usable home.
func TestVerbsWithoutHome(t *testing.T) {
	for name, vars := range homeless(t) {
		nowhere := append([]string{"KYC_AGENT_SOCK=" + filepath.Join(t.TempDir(), "none", "none", "agent.sock"), "PATH="}, vars...)
		for _, verb := range []string{
			"serve", "serve --store file", "login -u ana --password-stdin", "logout", "password reset", "password change", "confirm",
			"status", "doctor --offline", "log", "reload", "api GET /kyc", "run -- true", "env", "completion bash", "version",
			"whoami", "list", "wait --for 0", "status prod", "status -w", "logout --all", "auth login", "help",
		} {
			exit, stdout, stderr := runWith(t, nowhere, strings.Fields(verb)...)
			switch {
			case exit == exitInternal, strings.Contains(stdout+stderr, "panic"):
				t.Errorf("%s: %s: exit %d, %q", name, verb, exit, stderr)
			case exit != exitOK && exit != exitNotFound && verb != "doctor --offline" && !strings.Contains(stderr, ";") && !strings.Contains(stderr, "config.toml: not a directory"):
				t.Errorf("%s: %s: there is no next step in %q", name, verb, stderr)
			}
		}
	}
}
