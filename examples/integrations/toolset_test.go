package integrations_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testpeer/roots"
)

// A toolset has the tools that a section's lines need, and what they need beside the
// document's text.
type toolset struct {
	names string            // the tools with their versions, for the table
	env   []string          // variables
	bin   map[string]string // programs to use in place of those on PATH: name to path
	files map[string]string // files to add to those of the section: name to path
}

// path returns the beginning of PATH: a folder with the programs of bin.
func (k toolset) path(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, path := range k.bin {
		link(t, path, filepath.Join(dir, name))
	}
	return dir + string(filepath.ListSeparator)
}

// program finds a program by name, and asks it for its version.
func program(name, pkg string, versionArgs ...string) func(*testing.T) toolset {
	return func(t *testing.T) toolset {
		return toolset{names: strings.TrimSpace(name + " " + version(t, testpeer.Program(t, name, pkg), versionArgs...))}
	}
}

// all combines several toolsets that have only names.
func all(finders ...func(*testing.T) toolset) func(*testing.T) toolset {
	return func(t *testing.T) toolset {
		var names []string
		for _, find := range finders {
			names = append(names, find(t).names)
		}
		return toolset{names: strings.Join(names, ", ")}
	}
}

var versionShape = regexp.MustCompile(`\d+\.\d+(\.\d+)*`)

// version returns the first text in a program's output that looks like a version.
func version(t *testing.T, path string, args ...string) string {
	t.Helper()
	if len(args) == 0 {
		args = []string{"--version"}
	}
	out, _ := exec.CommandContext(t.Context(), path, args...).CombinedOutput() // dash has no such flag
	return versionShape.FindString(string(out))
}

// python finds a Python that has the library module.
func python(module, pkg string) func(*testing.T) toolset {
	return func(t *testing.T) toolset {
		interpreter := testpeer.Python(t, module, pkg)
		return toolset{names: module + " " + pythonVersion(t, interpreter, module), bin: map[string]string{"python3": interpreter}}
	}
}

// pythonPackage is the Python in which this project's package is installed, for a library
// that is one of its extras.
func pythonPackage(module string) func(*testing.T) toolset {
	return func(t *testing.T) toolset {
		interpreter := testpeer.PythonPackage(t)
		return toolset{
			names: module + " " + pythonVersion(t, interpreter, module),
			bin:   map[string]string{"python3": script(t, `exec %s -B "$@"`, interpreter)}, // a link would not find its packages
		}
	}
}

func pythonVersion(t *testing.T, interpreter, module string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), interpreter, "-c", "import "+module+" as m; print(m.__version__)").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func httpie(t *testing.T) toolset {
	k := program("http", "httpie")(t)
	k.env = []string{"HTTPIE_CONFIG_DIR=" + testpeer.HTTPie(t)}
	return k
}

func node(t *testing.T) toolset {
	k := program("node", "nodejs")(t)
	dir, _ := testpeer.NodePackage(t)
	k.files = map[string]string{"node_modules": filepath.Join(dir, "node_modules")}
	return k
}

// npm finds packages of the npm peers; the table shows the version of the first one.
func npm(names ...string) func(*testing.T) toolset {
	return func(t *testing.T) toolset {
		dir, _ := testpeer.Npm(t)
		modules := filepath.Join(dir, "node_modules")
		manifest, err := os.ReadFile(filepath.Join(modules, names[0], "package.json"))
		if err != nil {
			testpeer.Missing(t, names[0], "run: make peers")
		}
		return toolset{
			names: names[0] + " " + regexp.MustCompile(`"version":\s*"([^"]*)"`).FindStringSubmatch(string(manifest))[1],
			files: map[string]string{"node_modules": modules},
		}
	}
}

// goModule is a module as a person would write it, which requires this one.
func goModule(t *testing.T) toolset {
	k := goCommand(t)
	root := testpeer.ModuleRoot()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module example.com/check\n\ngo 1.26\n\nrequire github.com/legaltalent/kyc-agent v0.0.0\n\nreplace github.com/legaltalent/kyc-agent => "+root+"\n")
	k.files = map[string]string{"go.mod": filepath.Join(dir, "go.mod"), "go.sum": filepath.Join(root, "go.sum")}
	k.env = append(k.env, "GOFLAGS=-mod=mod", "GOPROXY=off")
	return k
}

// goAWS is a module as a person would write it, with the AWS SDK that testdata/aws pins.
func goAWS(t *testing.T) toolset {
	k := goCommand(t)
	pins, err := filepath.Abs("testdata/aws")
	if err != nil {
		t.Fatal(err)
	}
	download := exec.CommandContext(t.Context(), "go", "mod", "download")
	download.Dir = pins
	if out, err := download.CombinedOutput(); err != nil {
		testpeer.Missing(t, "the modules of "+pins, "run: go mod download\n"+string(out))
	}
	k.files = map[string]string{"go.mod": filepath.Join(pins, "go.mod"), "go.sum": filepath.Join(pins, "go.sum")}
	k.env = append(k.env, "GOPROXY=off")
	return k
}

// terraform is in none of the registries from which tests install, so not even CI
// requires it.
func terraform(t *testing.T) toolset {
	path, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("terraform is not on this machine, and neither Debian nor npm nor the Go proxy has it")
	}
	return toolset{names: "terraform " + version(t, path)}
}

// protocolOnly is for a tool that cannot be installed here: the lines test its protocol.
func protocolOnly(what string) func(*testing.T) toolset {
	return func(*testing.T) toolset { return toolset{names: what} }
}

// goCommand is the go command with its present caches, because HOME is another folder.
func goCommand(t *testing.T) toolset {
	k := program("go", "golang", "version")(t)
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOMODCACHE", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	caches := strings.Fields(string(out))
	k.env = []string{"GOMODCACHE=" + caches[0], "GOCACHE=" + caches[1], "GOFLAGS=-mod=mod", "GOTOOLCHAIN=local"}
	return k
}

// wget needs a flag, because it has no variable for the certificates that it trusts.
func wget(t *testing.T) toolset {
	k := program("wget", "wget")(t)
	k.bin = map[string]string{"wget": script(t, `exec %s --ca-certificate="$SSL_CERT_FILE" "$@"`, testpeer.Program(t, "wget", "wget"))}
	return k
}

// newGit is a git that accepts a bearer token from a helper: 2.46 or later. If this
// machine's is older, it is the git of the next Debian, which runs in a root of that
// release with the folders of the test mounted.
func newGit(t *testing.T) toolset {
	if k := program("git", "git")(t); newer(k.names, "git 2.46") {
		return k
	}
	bwrap := testpeer.Program(t, "bwrap", "bubblewrap")
	// git calls itself by PATH, and so finds this script; inside the root it must run the
	// real git.
	wrapper := script(t, "[ -e %[1]s ] || exec /usr/bin/git \"$@\"\nexec %[1]s --ro-bind %[2]s / --dev /dev --proc /proc --bind %[3]s %[3]s git \"$@\"",
		bwrap, roots.Path(t, roots.Trixie), os.TempDir())
	return toolset{names: "git " + version(t, wrapper), bin: map[string]string{"git": wrapper}}
}

// script makes a program from lines for a shell.
func script(t *testing.T, format string, args ...any) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "script")
	write(t, path, "#!/bin/sh\n"+fmt.Sprintf(format, args...)+"\n")
	return path
}

// newer reports whether have, such as "git 2.39.5", is want, such as "git 2.46", or later.
func newer(have, want string) bool {
	number := func(s string) (major, minor int) {
		_, _ = fmt.Sscanf(strings.TrimLeft(s, "abcdefghijklmnopqrstuvwxyz "), "%d.%d", &major, &minor)
		return major, minor
	}
	haveMajor, haveMinor := number(have)
	wantMajor, wantMinor := number(want)
	return haveMajor > wantMajor || haveMajor == wantMajor && haveMinor >= wantMinor
}
