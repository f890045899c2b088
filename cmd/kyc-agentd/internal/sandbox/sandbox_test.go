package sandbox

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// folders makes a home folder with what a test names in it: folders, or files with a text.
func folders(t *testing.T, names ...string) (home string) {
	t.Helper()
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := filepath.Join(home, name)
		dir := path
		if strings.HasSuffix(name, ".file") || name == ".netrc" {
			dir = filepath.Dir(path)
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if dir != path {
			if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return home
}

func TestArgs(t *testing.T) {
	home := folders(t, "project", "tokens/a.file", "tokens/sub/b.file", ".netrc", ".ssh", "agent", "run", "elsewhere/keys")
	if err := os.Symlink(filepath.Join(home, "elsewhere/keys"), filepath.Join(home, ".gnupg")); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(home, name) }
	args, err := Plan{
		Homes: []string{home, "/nowhere"}, Work: in("project"), Fresh: []string{in("run")}, Private: []string{in("agent"), in("not-there")},
		Secrets: []string{in("tokens/a.file"), in("tokens/sub/b.file"), in("run/agent.sock"), in("not/there")},
	}.Args()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(args, " ")
	order := []string{
		"--ro-bind / /", "--tmpfs /tmp", "--ro-bind " + home + " " + home, "--tmpfs " + in("run"),
		"--bind " + in("project") + " " + in("project"), "--ro-bind /dev/null " + in(".netrc"), "--chdir " + in("project"),
	}
	at := 0
	for _, part := range order {
		i := strings.Index(text[at:], part)
		if i < 0 {
			t.Errorf("%s is not there, or too early, in %s", part, text)
			continue
		}
		at += i
	}
	for _, dir := range []string{".ssh", "agent", "tokens", "elsewhere/keys"} {
		if !strings.Contains(text, "--tmpfs "+in(dir)+" --remount-ro "+in(dir)+" ") {
			t.Errorf("%s is not hidden: %s", dir, text)
		}
	}
	for _, never := range []string{"not-there", "tokens/sub", "/nowhere", ".gnupg"} {
		if slices.ContainsFunc(args, func(arg string) bool { return strings.Contains(arg, never) }) {
			t.Errorf("%s is in %s", never, text)
		}
	}
}

// A service user's home folder may be /, and some have it in /tmp. What is fresh stays so.
func TestStrangeHomes(t *testing.T) {
	work := folders(t)
	for _, home := range []string{"/", "/tmp", "/var", filepath.Dir(work)} {
		args, err := Plan{Homes: []string{home}, Work: work, Fresh: []string{filepath.Dir(filepath.Dir(work))}}.Args()
		if err != nil {
			t.Fatal(err)
		}
		rest := args[slices.Index(args, "--proc"):]
		last := map[string]string{} // what is last mounted at a path
		for i, arg := range rest {
			if arg == "--tmpfs" {
				last[rest[i+1]] = arg
			}
			if arg == "--ro-bind" {
				for path := range last {
					if within(path, rest[i+2]) && path != home {
						last[path] = arg
					}
				}
			}
		}
		if last["/run"] != "--tmpfs" || last["/var/tmp"] != "--tmpfs" || last["/tmp"] != "--tmpfs" && home != "/tmp" {
			t.Errorf("home %s: %v in %q", home, last, args)
		}
	}
}

func TestRefusesFolders(t *testing.T) {
	home := folders(t, "project/sub", "project/a.file", ".config/x", "a.file", "run/x", "agent/x")
	in := func(name string) string { return filepath.Join(home, name) }
	if err := os.Symlink(home, in("project/home")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ work, secret, want string }{
		{"project", "", ""},
		{"project/sub", "project/a.file", "cannot be hidden"}, // its folder has the working folder in it
		{"project", "project/sub/x", ""},
		{"project", "a.file", "cannot be hidden"},
		{"project", "project/a.file", "cannot be hidden"},
		{"", "", "your home folder"},
		{"..", "", "your home folder"},
		{"project/home", "", "your home folder"},
		{".config", "", "settings"},
		{".config/x", "", "settings"},
		{"run", "", "sockets"},
		{"agent", "", "the agent's"},
		{"agent/x", "", "the agent's"},
		{"nowhere", "", "cannot be found"},
	} {
		p := Plan{Homes: []string{home}, Work: in(tt.work), Fresh: []string{in("run")}, Private: []string{in("agent")}}
		if tt.secret != "" {
			p.Secrets = []string{in(tt.secret)}
		}
		_, err := p.Args()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%q with %q: %v, want %q", tt.work, tt.secret, err, tt.want)
		}
	}
	for _, work := range []string{"/", "/tmp", "/run", "/etc", "/usr/share", "/var/tmp", "/dev"} {
		if _, err := (Plan{Homes: []string{home}, Work: work}).Args(); err == nil {
			t.Errorf("%s is accepted", work)
		}
	}
}
