// Package testpeer finds the real programs that tests run against: Program finds one
// on PATH, Python and Npm find libraries, Build and Example build this module's binaries,
// WriteProgram writes one to run, and PythonPackage, NodePackage and HTTPie install the
// packages of examples.
//
// It also says how long a test may take: Slow for `make quick`, Long and Rounds for
// `make test-long`.
//
// If a peer is missing, the test is skipped and the message says what to install. If
// KYC_REQUIRE_PEERS is set, as in CI, the test fails instead, because a skipped test
// proves nothing.
package testpeer

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Missing skips the test, or fails it where peers are required.
func Missing(t testing.TB, what, install string) {
	t.Helper()
	if os.Getenv("KYC_REQUIRE_PEERS") != "" {
		t.Fatalf("%s is missing and KYC_REQUIRE_PEERS is set; %s", what, install)
	}
	t.Skipf("%s is missing; %s", what, install)
}

// Slow skips a test that takes more than a second or two under -short, as `make quick`
// runs it.
func Slow(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("slow; run: make test")
	}
}

// Long skips a test that takes minutes, but in `make test-long`. The test itself has to
// make this call, and not a function that it calls: make finds the long tests by that.
func Long(t testing.TB) {
	t.Helper()
	if !isLong() {
		t.Skip("takes minutes; run: make test-long")
	}
}

// Rounds returns how often a test repeats what it does: long in `make test-long`, which
// finds the test by this call as it does by Long, and otherwise usual.
func Rounds(usual, long int) int {
	if isLong() {
		return long
	}
	return usual
}

func isLong() bool { return os.Getenv("KYC_TEST_LONG") != "" }

// Program returns the path of the program called name; pkg is the Debian package that has it.
func Program(t testing.TB, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, name, "run: apt-get install "+pkg)
	}
	return path
}

// Python returns the path of a Python that has module, which Debian's pkg contains. The
// first python3 on PATH may be another build, while the package is for /usr/bin/python3.
// It may also be a shim, which would not find the interpreter in an empty environment,
// so Python returns sys.executable.
func Python(t testing.TB, module, pkg string) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		out, err := exec.Command(name, "-c", "import "+module+", sys; print(sys.executable)").Output()
		if err == nil {
			return strings.TrimSpace(string(out))
		}
	}
	Missing(t, "a python3 with "+module, "run: apt-get install python3 "+pkg)
	return ""
}

// Root skips or fails the test, as Missing does, unless it runs as root. Tests with
// several user ids need that.
func Root(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		Missing(t, "root", "run: sudo make test")
	}
}

// Npm returns the folder whose node_modules has the npm peers, which its package.json
// pins, and the path of node. These tests are slow.
func Npm(t testing.TB) (dir, node string) {
	t.Helper()
	Slow(t) // Node takes seconds to start
	node = Program(t, "node", "nodejs")
	dir = filepath.Join(ModuleRoot(), "internal", "testpeer", "npm")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", ".package-lock.json")); err != nil {
		Missing(t, "node_modules of "+dir, "run: make peers")
	}
	return dir, node
}

// ModuleRoot returns this module's top folder.
func ModuleRoot() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// WriteProgram is os.WriteFile for what the test then runs. A process that another goroutine forks
// meanwhile would keep the file open until it executes its own program, and Linux refuses to run
// a file that somebody can write to (ETXTBSY, "text file busy"): so none is forked meanwhile.
func WriteProgram(path string, content []byte, mode os.FileMode) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, content, mode)
}

var (
	builtMu  sync.Mutex
	builtDir string
	built    = map[string]bool{}
)

// buildOnce returns the path of a file or folder that build makes, once per test process.
func buildOnce(t testing.TB, name string, build func(path string)) (path string) {
	t.Helper()
	builtMu.Lock()
	defer builtMu.Unlock()
	if builtDir == "" {
		dir, err := os.MkdirTemp("", "kyc-build-")
		if err != nil {
			t.Fatal(err)
		}
		builtDir = dir
	}
	path = filepath.Join(builtDir, name)
	if !built[name] {
		build(path)
		built[name] = true
	}
	return path
}

// NoRaceSleep is for the environment of a test binary that is started as a child: without
// it the race detector waits a second at the exit of each process.
const NoRaceSleep = "GORACE=atexit_sleep_ms=0"

// Build compiles the command in cmd/name as in a release (static, stripped, no PIE),
// once per test process, and returns the binary's path. Call Cleanup from TestMain.
func Build(t testing.TB, name string) string {
	t.Helper()
	return buildOnce(t, name, func(path string) {
		compile(t, path, "./cmd/"+name, "-trimpath", "-buildmode=exe", "-ldflags=-s -w"+entryFlag())
	})
}

// entryFlag is the Makefile's ENTRY.
func entryFlag() string {
	if runtime.GOOS == "linux" && (runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64") {
		return " -E=main.entry"
	}
	return ""
}

// Example compiles the program in examples/name, once per test process, and returns the
// binary's path. Call Cleanup from TestMain.
func Example(t testing.TB, name string) string {
	t.Helper()
	return buildOnce(t, "example-"+name, func(path string) { compile(t, path, "./examples/"+name) })
}

// Tool compiles the program in a folder of this module, such as "ipc/internal/speccheck", once
// per test process, and returns the binary's path. Call Cleanup from TestMain.
func Tool(t testing.TB, folder string) string {
	t.Helper()
	return buildOnce(t, "tool-"+filepath.Base(folder), func(path string) { compile(t, path, "./"+folder) })
}

func compile(t testing.TB, path, pkg string, flags ...string) {
	t.Helper()
	cmd := exec.Command("go", append(append([]string{"build", "-o", path}, flags...), pkg)...)
	cmd.Dir = ModuleRoot()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
}

// Cleanup removes the files that Build, Example, HTTPie, PythonPackage and NodePackage made.
func Cleanup() {
	builtMu.Lock()
	defer builtMu.Unlock()
	if builtDir != "" {
		_ = os.RemoveAll(builtDir)
	}
}

// PublicDir returns a new folder that other users of the machine may pass, for a server that
// does not run as root. The test removes it.
func PublicDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kyc-peer-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
