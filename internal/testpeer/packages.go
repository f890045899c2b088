package testpeer

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// pythonModules are what the Python package is built with and what its extras need, with
// the Debian packages that have them.
var pythonModules = [][2]string{
	{"pip", "python3-pip"}, {"setuptools", "python3-setuptools"}, {"wheel", "python3-wheel"},
	{"requests", "python3-requests"}, {"httpx", "python3-httpx"}, {"httpie", "httpie"}, {"boto3", "python3-boto3"},
}

// PythonPackage returns a Python in which the package of examples/python is installed, with
// all extras, from a wheel that was built of it. Debian's Python is used, because Debian's
// packages stand in for those of an index. These tests are slow. Call Cleanup from TestMain.
func PythonPackage(t testing.TB) (interpreter string) {
	t.Helper()
	Slow(t)
	const system = "/usr/bin/python3"
	for _, m := range pythonModules {
		if exec.Command(system, "-c", "import "+m[0]).Run() != nil {
			Missing(t, system+" with "+m[0], "run: apt-get install python3 "+m[1])
		}
	}
	dir := buildOnce(t, "python", func(dir string) {
		source, venv := copyExample(t, "python", dir), filepath.Join(dir, "venv")
		// --no-index and --no-build-isolation: nothing comes from the network.
		must(t, exec.Command(system, "-m", "pip", "wheel", "-q", "--no-index", "--no-deps", "--no-build-isolation", "-w", dir, source))
		must(t, exec.Command(system, "-m", "venv", "--without-pip", "--system-site-packages", venv))
		must(t, exec.Command(filepath.Join(venv, "bin", "python"), "-m", "pip", "install", "-q", "--no-index",
			onlyFile(t, dir, "*.whl")+"[requests,httpx,httpie]"))
	})
	return filepath.Join(dir, "venv", "bin", "python")
}

// NodePackage returns a folder in which the package of examples/javascript is installed
// from the file that `npm pack` made of it, and the path of node. A program has to be in
// that folder to import it. These tests are slow. Call Cleanup from TestMain.
func NodePackage(t testing.TB) (dir, node string) {
	t.Helper()
	Slow(t)
	node, npm := Program(t, "node", "nodejs"), Program(t, "npm", "npm")
	dir = buildOnce(t, "javascript", func(dir string) {
		source := copyExample(t, "javascript", dir)
		must(t, exec.Command(npm, "pack", "--silent", "--pack-destination", dir, source))
		must(t, exec.Command(npm, "install", "--silent", "--offline", "--no-audit", "--no-fund", "--no-package-lock", "--prefix", dir,
			onlyFile(t, dir, "*.tgz")))
	})
	return dir, node
}

// copyExample copies examples/name into dir, because builders write into their source.
func copyExample(t testing.TB, name, dir string) (source string) {
	t.Helper()
	source = filepath.Join(dir, "source")
	if err := os.CopyFS(source, os.DirFS(filepath.Join(ModuleRoot(), "examples", name))); err != nil {
		t.Fatal(err)
	}
	return source
}

func onlyFile(t testing.TB, dir, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) != 1 {
		t.Fatalf("%s in %s: %v (%v), want one file", pattern, dir, files, err)
	}
	return files[0]
}

// must runs cmd, with pip and npm as they are set up by default.
func must(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	cmd.Env = append(os.Environ(), "PIP_CONFIG_FILE=/dev/null", "PIP_DISABLE_PIP_VERSION_CHECK=1", "npm_config_update_notifier=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
}
