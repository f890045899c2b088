package packaging_test

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// A makeEnv is an empty home folder, and the environment in which make runs.
type makeEnv struct {
	t          *testing.T
	make, home string
	configDir  string // for files that Go writes
	goVariable []string
	extra      []string // more variables
}

func newMakeEnv(t *testing.T) *makeEnv {
	t.Helper()
	testpeer.Slow(t)
	m := &makeEnv{t: t, make: testpeer.Program(t, "make", "make"), home: t.TempDir(), configDir: t.TempDir()}
	for _, name := range []string{"GOCACHE", "GOENV", "GOFLAGS", "GOMODCACHE", "GOPATH", "GOPROXY"} { // some defaults depend on HOME
		out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		m.goVariable = append(m.goVariable, name+"="+strings.TrimSpace(string(out)))
	}
	return m
}

// run runs make with args in the module and returns its output. make cannot reach a user
// manager, and finds the binaries already built.
func (m *makeEnv) run(args ...string) (string, error) {
	testpeer.Build(m.t, "kyc-token")
	bin := filepath.Dir(testpeer.Build(m.t, "kyc-agentd"))
	return m.runIn(testpeer.ModuleRoot(), append([]string{"BIN=" + bin}, args...)...)
}

// runIn runs make with args in a copy of the module.
func (m *makeEnv) runIn(dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(m.t.Context(), m.make, args...)
	cmd.Dir = dir
	cmd.Env = append([]string{"HOME=" + m.home, "PATH=" + os.Getenv("PATH"), "XDG_CONFIG_HOME=" + m.configDir}, m.goVariable...)
	cmd.Env = append(cmd.Env, m.extra...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (m *makeEnv) mustRun(args ...string) string {
	m.t.Helper()
	out, err := m.run(args...)
	if err != nil {
		m.t.Fatalf("make %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// files lists the files and links below dir with their modes.
func files(t *testing.T, dir string) map[string]fs.FileMode {
	t.Helper()
	found := map[string]fs.FileMode{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		rel, _ := filepath.Rel(dir, path)
		found[rel] = info.Mode()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// shared are the installed files below share.
var shared = []string{
	"man/man1/kyc-agentd.1", "man/man1/kyc-token.1", "man/man5/kyc-agent.toml.5", "man/man7/kyc-agentd-api.7",
	"man/man1/git-credential-kyc.1", "man/man1/goauth-kyc.1", "man/man1/terraform-credentials-kyc.1",
	"bash-completion/completions/kyc-agentd", "bash-completion/completions/kyc-token",
	"fish/vendor_completions.d/kyc-agentd.fish", "fish/vendor_completions.d/kyc-token.fish",
	"zsh/site-functions/_kyc-agentd", "zsh/site-functions/_kyc-token",
}

func TestInstall(t *testing.T) {
	const next = "Next:\n  systemctl --user enable --now kyc-agentd.socket\n  kyc-agentd login\n"
	const noPromise = "can make that file readable\nor replace it, and then read the secrets of an agent that starts."
	for name, c := range map[string]struct {
		mode    fs.FileMode // of kyc-agentd: nobody but root can read it, and in a stage whoever packs it
		args    func(home, stage string) []string
		root    func(home, stage string) string // where the files must be
		bin     string                          // below root
		units   string                          // below root
		command func(home string) string        // in ExecStart
	}{
		"default": {
			mode:    0o111,
			args:    func(_, _ string) []string { return nil },
			root:    func(home, _ string) string { return home },
			bin:     ".local/bin",
			units:   ".config/systemd/user",
			command: func(home string) string { return home + "/.local/bin/kyc-agentd" },
		},
		"elsewhere at home": {
			mode:    0o111,
			args:    func(home, _ string) []string { return []string{"PREFIX=" + home + "/tools/"} },
			root:    func(home, _ string) string { return home },
			bin:     "tools/bin",
			units:   ".config/systemd/user",
			command: func(home string) string { return home + "/tools/bin/kyc-agentd" },
		},
		"for a package": {
			mode:    0o711,
			args:    func(_, stage string) []string { return []string{"PREFIX=/usr", "DESTDIR=" + stage} },
			root:    func(_, stage string) string { return stage },
			bin:     "usr/bin",
			units:   "usr/lib/systemd/user",
			command: func(string) string { return "/usr/bin/kyc-agentd" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, stage := newMakeEnv(t), t.TempDir()
			args, root := c.args(m.home, stage), c.root(m.home, stage)
			out := m.mustRun(append([]string{"install"}, args...)...)
			if !strings.HasSuffix(out, next) {
				t.Errorf("make install ends with:\n%s\nwant:\n%s", out, next)
			}
			if says := strings.Contains(out, noPromise); says != (c.mode == 0o111) {
				t.Errorf("make install of mode %v says what it cannot promise: %t\n%s", c.mode, says, out)
			}
			want := map[string]fs.FileMode{
				c.bin + "/kyc-agentd":                c.mode,
				c.bin + "/kyc-token":                 0o755,
				c.units + "/kyc-agentd.service":      0o644,
				c.units + "/kyc-agentd.socket":       0o644,
				c.units + "/kyc-agentd-extra.socket": 0o644,
			}
			links := []string{"git-credential-kyc", "terraform-credentials-kyc", "goauth-kyc"}
			for _, link := range links {
				want[c.bin+"/"+link] = fs.ModeSymlink | 0o777
			}
			for _, file := range shared {
				want[filepath.Join(filepath.Dir(c.bin), "share", file)] = 0o644
			}
			if got := files(t, root); !maps.Equal(got, want) {
				t.Errorf("installed %v, want %v", got, want)
			}
			for _, link := range links {
				if to, err := os.Readlink(filepath.Join(root, c.bin, link)); to != "kyc-token" {
					t.Errorf("%s leads to %q, %v", link, to, err)
				}
			}
			service := readUnit(t, filepath.Join(root, c.units, "kyc-agentd.service"))
			service.expect(t, map[string]string{
				"Service.ExecStart":  c.command(m.home) + " serve",
				"Service.ExecReload": c.command(m.home) + " reload",
			})

			m.mustRun(append([]string{"install"}, args...)...) // a second time changes nothing
			if got := files(t, root); !maps.Equal(got, want) {
				t.Errorf("installed twice: %v, want %v", got, want)
			}

			other := filepath.Join(root, c.bin, "other")
			if err := os.WriteFile(other, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			m.mustRun(append([]string{"uninstall"}, args...)...)
			if got := slices.Collect(maps.Keys(files(t, root))); !slices.Equal(got, []string{c.bin + "/other"}) {
				t.Errorf("after make uninstall there are %v", got)
			}
		})
	}
}

func TestInstallRefusesPrefix(t *testing.T) {
	m := newMakeEnv(t)
	for _, prefix := range []string{"local", "/a b", "/100%", `/a"b`, "/a'b", "/a$$(touch x)", ""} {
		out, err := m.run("install", "PREFIX="+prefix)
		if err == nil || !strings.Contains(out, "PREFIX must be an absolute path") {
			t.Errorf("PREFIX=%s: %v\n%s", prefix, err, out)
		}
	}
	if found := files(t, m.home); len(found) != 0 {
		t.Errorf("it installed %v", found)
	}
}

// Whoever may push a tag chooses what `git describe` prints, and with it VERSION. No target
// runs any of it, however it is quoted, nor what the other variables contain.
func TestMakeRunsNoVariable(t *testing.T) {
	m := newMakeEnv(t)
	targets := []string{"build", "install", "uninstall", "share", "release", "variables"}
	check := func(what, dir string, args ...string) {
		t.Helper()
		for _, target := range targets {
			out, err := m.runIn(dir, append([]string{target}, args...)...)
			if err == nil || !strings.Contains(out, " must be ") {
				t.Errorf("%s: make %s: %v\n%s", what, target, err, out)
			}
		}
		for _, folder := range []string{dir, m.home} {
			ran, err := filepath.Glob(filepath.Join(folder, "*PWN*"))
			if err != nil || ran != nil {
				t.Errorf("%s: it made %q, %v", what, ran, err)
			}
		}
	}
	var dir string
	for _, tag := range []string{
		"v9';touch${IFS}PWN;echo'", `v9";touch${IFS}PWN;"`, "v9$(touch${IFS}PWN)", "v9`touch${IFS}PWN`",
		"v9;touch${IFS}PWN", "v9|e;s|.|touch${IFS}PWN|e;s|", "v9$(eval${IFS}a)", "v9$(MAKE)", "v9&", "v9#{`touch${IFS}PWN`}",
	} {
		dir = clone(t, tag)
		check("tag "+tag, dir)
	}
	for _, name := range []string{"VERSION", "PREFIX", "DESTDIR", "BIN"} {
		for _, value := range []string{"$(shell touch PWN)", `/a"$$(touch PWN)"`, "/a`touch PWN`", "/a';touch PWN;'", "/a\ntouch PWN\n"} {
			m.extra = nil
			check("argument "+name+"="+value, dir, name+"="+value)
			m.extra = []string{name + "=" + value}
			check("variable "+name+"="+value, dir)
		}
	}
}

// TestSecurity checks systemd's exposure level of the service: 6.2 of 10 at most, and 3.5
// with the drop-in. The remainder is for directives that a user unit cannot set, such as
// User=.
func TestSecurity(t *testing.T) {
	analyze := testpeer.Program(t, "systemd-analyze", "systemd")
	m := newMakeEnv(t)
	m.mustRun("install")
	units := filepath.Join(m.home, ".config/systemd/user")
	security := func(threshold string) (string, error) {
		cmd := exec.CommandContext(t.Context(), analyze, "security", "--user", "--offline=true", "--no-pager",
			"--threshold="+threshold, filepath.Join(units, "kyc-agentd.service"))
		cmd.Env = []string{"HOME=" + m.home, "XDG_RUNTIME_DIR=" + m.home, "PATH=" + os.Getenv("PATH")}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := security("62"); err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
	if out, err := security("35"); err == nil {
		t.Errorf("it passes without the drop-in, so the threshold proves nothing:\n%s", out)
	}
	text, err := os.ReadFile(namespaceDropIn)
	if err == nil {
		err = os.Mkdir(filepath.Join(units, "kyc-agentd.service.d"), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(units, "kyc-agentd.service.d", "50-namespaces.conf"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := security("35"); err != nil {
		t.Errorf("systemd-analyze security with the drop-in: %v\n%s", err, out)
	}
}

// TestVerify checks the installed units with systemd's own program.
func TestVerify(t *testing.T) {
	analyze := testpeer.Program(t, "systemd-analyze", "systemd")
	m := newMakeEnv(t)
	m.mustRun("install")
	verify := func(ctx context.Context, dir string) (string, error) {
		// Without recursive-errors=no an unknown key is a warning and no error on systemd 252.
		cmd := exec.CommandContext(ctx, analyze, "verify", "--user", "--man=no", "--recursive-errors=no",
			filepath.Join(dir, "kyc-agentd.socket"), filepath.Join(dir, "kyc-agentd-extra.socket"), filepath.Join(dir, "kyc-agentd.service"))
		cmd.Env = []string{"HOME=" + m.home, "XDG_RUNTIME_DIR=" + m.home, "PATH=" + os.Getenv("PATH")}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	units := filepath.Join(m.home, ".config/systemd/user")
	if out, err := verify(t.Context(), units); err != nil || out != "" {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}

	service := filepath.Join(units, "kyc-agentd.service")
	text, err := os.ReadFile(service)
	if err != nil {
		t.Fatal(err)
	}
	spoiled := strings.Replace(string(text), "WatchdogSec=", "WatchdogSecs=", 1)
	if err := os.WriteFile(service, []byte(spoiled), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := verify(t.Context(), units); err == nil {
		t.Errorf("systemd-analyze verify accepts an unknown key, so it proves nothing:\n%s", out)
	}
}
