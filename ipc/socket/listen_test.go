package socket

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
)

func listen(t testing.TB, path string) net.Listener {
	t.Helper()
	ln, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

func mode(t testing.TB, path string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}

func TestListenMakesItPrivate(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077, 0o277, 0o777} {
		t.Run(fmt.Sprintf("umask %04o", umask), func(t *testing.T) {
			path := filepath.Join(testsocket.ShortDir(t), "kyc-agentd", "agent.sock")
			old := syscall.Umask(umask)
			defer syscall.Umask(old)
			ln := listen(t, path)
			if got := mode(t, filepath.Dir(path)); got != fs.ModeDir|0o700 {
				t.Errorf("folder is %s", got)
			}
			if got := mode(t, path); got != fs.ModeSocket|0o600 {
				t.Errorf("socket is %s", got)
			}
			if got := mode(t, path+".lock").Perm(); got != 0o600 {
				t.Errorf("lock file is %s", got)
			}
			if got := ln.Addr().String(); got != path {
				t.Errorf("address %s", got)
			}
		})
	}
}

// The socket is closed to others even between bind and chmod.
func TestBindIsTightFromTheStart(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	path := filepath.Join(testsocket.ShortDir(t), "s")
	ln, err := bind(path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if got := mode(t, path); got != fs.ModeSocket|0o600 {
		t.Errorf("socket is %s before chmod", got)
	}
}

func TestListenRefusesFolders(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(t *testing.T, dir string) string // returns the socket's path
		say     []string
	}{
		"wide": {func(t *testing.T, dir string) string {
			return filepath.Join(mkdir(t, dir+"/wide", 0o755), "agent.sock")
		}, []string{"socket folder ", "/wide has mode 0755; run: chmod 700 /"}},
		"a bit wide": {func(t *testing.T, dir string) string {
			return filepath.Join(mkdir(t, dir+"/wide", 0o701), "agent.sock")
		}, []string{"mode 0701"}},
		"wide with a space": {func(t *testing.T, dir string) string {
			return filepath.Join(mkdir(t, dir+"/a b's", 0o750), "agent.sock")
		}, []string{`run: chmod 700 '/`, `/a b'\''s'`}},
		"sticky, like /tmp": {func(t *testing.T, dir string) string {
			return filepath.Join(mkdir(t, dir+"/tmp", 0o777|fs.ModeSticky), "agent.sock")
		}, []string{"mode 0777; choose another path"}},
		"symlink": {func(t *testing.T, dir string) string {
			mkdir(t, dir+"/real", 0o700)
			if err := os.Symlink("real", dir+"/link"); err != nil {
				t.Fatal(err)
			}
			return dir + "/link/agent.sock"
		}, []string{"/link is a symbolic link"}},
		"dangling symlink": {func(t *testing.T, dir string) string {
			if err := os.Symlink("nowhere", dir+"/link"); err != nil {
				t.Fatal(err)
			}
			return dir + "/link/agent.sock"
		}, []string{"/link is a symbolic link"}},
		"file": {func(t *testing.T, dir string) string {
			return writeFile(t, dir+"/file") + "/agent.sock"
		}, []string{"/file is not a folder"}},
		"no parent": {func(_ *testing.T, dir string) string {
			return dir + "/run/user/kyc-agentd/agent.sock"
		}, []string{"there is no folder ", "/run/user for the socket folder kyc-agentd", "XDG_RUNTIME_DIR"}},
		"too long": {func(_ *testing.T, dir string) string {
			return dir + "/" + strings.Repeat("x", MaxPath-len(dir))
		}, []string{fmt.Sprintf("has %d bytes, and the system takes %d", MaxPath+1, MaxPath)}},
		"empty": {func(*testing.T, string) string { return "" }, []string{"is no path"}},
		"zero":  {func(_ *testing.T, dir string) string { return dir + "/a\x00b" }, []string{"is no path"}},
		"not a socket": {func(t *testing.T, dir string) string { return writeFile(t, dir+"/agent.sock") },
			[]string{"/agent.sock is there and is not a socket"}},
		"symlink to a socket": {func(t *testing.T, dir string) string {
			if err := os.Symlink(fixture.StaleSocket(t, dir), dir+"/agent.sock"); err != nil {
				t.Fatal(err)
			}
			return dir + "/agent.sock"
		}, []string{"/agent.sock is there and is not a socket"}},
		"folder in its place": {func(t *testing.T, dir string) string { return mkdir(t, dir+"/agent.sock", 0o700) },
			[]string{"is not a socket"}},
		"lock is a symlink": {func(t *testing.T, dir string) string {
			if err := os.Symlink(dir+"/elsewhere", dir+"/agent.sock.lock"); err != nil {
				t.Fatal(err)
			}
			return dir + "/agent.sock"
		}, []string{"cannot open the lock file "}},
	} {
		t.Run(name, func(t *testing.T) {
			path := test.prepare(t, testsocket.ShortDir(t))
			before, _ := os.Lstat(path)
			ln, err := Listen(path)
			if err == nil {
				_ = ln.Close()
			}
			fixture.WantError(t, err, agent.CodeConfiguration, test.say...)
			if after, _ := os.Lstat(path); before != nil && (after == nil || !os.SameFile(before, after)) {
				t.Error("what was there is gone")
			}
		})
	}
}

func mkdir(t *testing.T, path string, mode fs.FileMode) string {
	t.Helper()
	if err := errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
	return path
}

func writeFile(t *testing.T, path string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Go would take "@agent" for a name in the abstract namespace, which has no mode.
func TestListenAtRelativePaths(t *testing.T) {
	dir := testsocket.ShortDir(t)
	t.Chdir(dir)
	for _, name := range []string{"agent.sock", "@agent"} {
		listen(t, name)
		if got := mode(t, filepath.Join(dir, name)); got != fs.ModeSocket|0o600 {
			t.Errorf("%s is %s", name, got)
		}
	}
}

// Another process listens without the lock, as systemd does.
func TestLiveSocketWithoutLockIsRefused(t *testing.T) {
	path := filepath.Join(testsocket.ShortDir(t), "agent.sock")
	other, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	_, err = Listen(path)
	fixture.WantError(t, err, agent.CodeUnavailable, "already answers on "+path)
	if c, err := net.Dial("unix", path); err != nil {
		t.Errorf("it does not answer any more: %v", err)
	} else {
		_ = c.Close()
	}
}

// Under socket activation the user's service manager listens, and no hint may say to kill
// that.
func TestSocketOfSystemdIsRefused(t *testing.T) {
	const name = "/proc/self/comm"
	before, err := os.ReadFile(name)
	if err != nil {
		t.Skipf("no %s here", name)
	}
	defer func() { _ = os.WriteFile(name, before, 0) }()
	if err := os.WriteFile(name, []byte("systemd"), 0); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(testsocket.ShortDir(t), "agent.sock")
	other, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	_, err = Listen(path)
	fixture.WantError(t, err, agent.CodeUnavailable, "systemd already listens on "+path,
		"systemctl --user stop kyc-agentd.socket kyc-agentd.service")
	if strings.Contains(err.Error(), "kill") {
		t.Errorf("dangerous advice: %v", err)
	}
}

func TestLockWithoutSocket(t *testing.T) {
	path := filepath.Join(testsocket.ShortDir(t), "agent.sock")
	dir, err := openFolder(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.close()
	lock, err := takeLock(path, dir, "agent.sock.lock")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Listen(path)
	fixture.WantError(t, err, agent.CodeUnavailable, "another agent is just starting or stopping", "try again in a second")
	_ = lock.Close()
	listen(t, path)
}

func TestSocketOfAnotherKind(t *testing.T) {
	path := filepath.Join(testsocket.ShortDir(t), "agent.sock")
	other, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	_, err = Listen(path)
	fixture.WantError(t, err, agent.CodeUnavailable, "cannot tell whether an agent answers")
}

// Of many agents that start at once on a stale socket exactly one gets it, and answers.
func TestStartingRace(t *testing.T) {
	for range 20 {
		path := fixture.StaleSocket(t, testsocket.ShortDir(t))
		var mu sync.Mutex
		var winners []net.Listener
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				ln, err := Listen(path)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					winners = append(winners, ln)
				} else if agent.CodeOf(err) != agent.CodeUnavailable {
					t.Errorf("a loser got %v", err)
				}
			})
		}
		wg.Wait()
		if len(winners) != 1 {
			t.Fatalf("%d agents on one socket", len(winners))
		}
		c := fixture.DialUnix(t, path)
		accepted, err := winners[0].Accept()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = accepted.Close(), c.Close()
		_ = winners[0].Close()
	}
}

func TestCloseRemovesOnlyItsOwn(t *testing.T) {
	path := filepath.Join(testsocket.ShortDir(t), "agent.sock")
	ln := listen(t, path)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Close: %v", err)
	}
	if err := ln.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}

	ln = listen(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path)
	_ = ln.Close()
	if got, err := os.ReadFile(path); err != nil || string(got) != "precious" {
		t.Errorf("Close removed what was not its own: %v", err)
	}
}

// A successor has removed the agent's folder and made it again.
func TestCloseLeavesTheSuccessorAlone(t *testing.T) {
	path := filepath.Join(testsocket.ShortDir(t), "kyc-agentd", "agent.sock")
	first := listen(t, path)
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	second := listen(t, path)
	_ = first.Close()
	if got := mode(t, path); got.Type() != fs.ModeSocket {
		t.Errorf("the successor's socket is %s", got)
	}
	_ = second.Close()
}

func TestFolderSwappedMeanwhile(t *testing.T) {
	dir := testsocket.ShortDir(t)
	path := filepath.Join(mkdir(t, dir+"/mine", 0o700), "agent.sock")
	opened, err := openFolder(dir + "/mine")
	if err != nil {
		t.Fatal(err)
	}
	defer opened.close()
	if err := os.Rename(dir+"/mine", dir+"/old"); err != nil {
		t.Fatal(err)
	}
	mkdir(t, dir+"/mine", 0o700)
	_, err = bindIn(opened, filepath.Base(path))
	fixture.WantError(t, err, agent.CodeConfiguration, "the socket "+path, "replaced meanwhile")
	for _, folder := range []string{"/mine", "/old"} {
		if got := names(t, dir+folder); got != "" {
			t.Errorf("%s has %s", folder, got)
		}
	}
}

// Where bind(2) goes by the path, as on macOS, a socket that was made elsewhere is removed.
func TestSocketMadeElsewhereIsRemoved(t *testing.T) {
	dir := testsocket.ShortDir(t)
	opened, err := openFolder(mkdir(t, dir+"/mine", 0o700))
	if err != nil {
		t.Fatal(err)
	}
	defer opened.close()
	if err := errors.Join(os.Rename(dir+"/mine", dir+"/old"), os.Symlink(mkdir(t, dir+"/theirs", 0o777), dir+"/mine")); err != nil {
		t.Fatal(err)
	}
	ln, err := bind(dir + "/mine/agent.sock")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, err = checkBound(opened, "agent.sock", nil)
	fixture.WantError(t, err, agent.CodeConfiguration, "the new socket "+dir+"/mine/agent.sock is gone")
	if got := names(t, dir+"/theirs"); got != "" {
		t.Errorf("the other folder has %s", got)
	}
}

func TestPeerOfIsUs(t *testing.T) {
	path := filepath.Join(testsocket.ShortDir(t), "agent.sock")
	listen(t, path)
	p, err := PeerOf(fixture.DialUnix(t, path))
	if err != nil || p.UID != os.Getuid() || p.PID != os.Getpid() {
		t.Errorf("%+v, %v", p, err)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if _, err := PeerOf(a); err == nil {
		t.Error("a pipe has no peer")
	}
}
