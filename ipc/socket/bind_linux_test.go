package socket

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
)

// exchanged makes a private folder and one of another user, and exchanges the first with
// a symbolic link to the second all the time until the test ends. The path it returns
// leads to one of them or to the other.
func exchanged(t *testing.T) (path string, mine *os.Root, theirs string, times *atomic.Int64) {
	t.Helper()
	dir := testsocket.ShortDir(t)
	theirs = mkdir(t, dir+"/theirs", 0o777)
	path = mkdir(t, dir+"/mine", 0o700)
	mine, err := os.OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(theirs, dir+"/link"); err != nil {
		t.Fatal(err)
	}
	times = new(atomic.Int64)
	var ended atomic.Bool
	var exchanging sync.WaitGroup
	exchanging.Go(func() {
		for !ended.Load() {
			if err := unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, dir+"/link", unix.RENAME_EXCHANGE); err != nil {
				t.Error(err)
				return
			}
			times.Add(1)
		}
	})
	t.Cleanup(func() {
		ended.Store(true)
		exchanging.Wait()
		_ = mine.Close()
	})
	return path, mine, theirs, times
}

// TestFolderIsExchanged listens at a path that another user makes lead to a folder of
// hers, again and again. Nothing is made or removed there.
func TestFolderIsExchanged(t *testing.T) {
	for name, test := range map[string]struct {
		confine func(int) error
		stale   bool // a socket on which nobody listens is in the other folder
	}{
		"Landlock":                     {confineSockets, false},
		"Landlock, stale socket":       {confineSockets, true},
		"without it":                   {func(int) error { return errNotConfined }, false},
		"without it, and stale socket": {func(int) error { return errNotConfined }, true},
	} {
		t.Run(name, func(t *testing.T) {
			confine = test.confine
			defer func() { confine = confineSockets }()
			path, mine, theirs, times := exchanged(t)
			if test.stale {
				if err := os.Rename(fixture.StaleSocket(t, theirs), theirs+"/agent.sock"); err != nil {
					t.Fatal(err)
				}
			}
			before, made := state(t, theirs), 0
			// A socket is made in one of ten rounds or so.
			for round := 0; round < testpeer.Rounds(500, 20_000) || made == 0; round++ {
				ln, err := Listen(path + "/agent.sock")
				if now := state(t, theirs); now != before {
					t.Fatalf("round %d: the other folder has %q, and had %q (%v)", round, now, before, err)
				}
				if err != nil {
					if agent.CodeOf(err) != agent.CodeConfiguration || strings.Contains(err.Error(), "\n") {
						t.Fatal(err)
					}
					continue
				}
				made++
				if info, err := mine.Lstat("agent.sock"); err != nil || info.Mode() != fs.ModeSocket|0o600 {
					t.Fatalf("the socket is not in the folder: %v", err)
				}
				_ = ln.Close()
				if _, err := mine.Lstat("agent.sock"); !errors.Is(err, fs.ErrNotExist) {
					t.Fatalf("after Close: %v", err)
				}
			}
			t.Logf("%d made while the folder was exchanged %d times", made, times.Load())
		})
	}
}

// state describes what is in dir.
func state(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			fmt.Fprintln(&b, info.Name(), info.Mode(), info.ModTime())
		}
	}
	return b.String()
}

// Programs that list sockets, doctor and `run --sandbox` among them, look for the path.
func TestBoundAddressIsThePath(t *testing.T) {
	path := filepath.Join(testsocket.ShortDir(t), "agent.sock")
	if confined(t) != nil {
		t.Skip("no Landlock here")
	}
	l := listen(t, path).(*Listener)
	if got := l.bindings[0].unix.Addr().String(); got != path {
		t.Errorf("bound to %s, want %s", got, path)
	}
}

// confined asks whether this machine has Landlock, in a thread for it alone.
func confined(t *testing.T) error {
	t.Helper()
	dir, err := openPrivate(testsocket.ShortDir(t))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.close()
	ln, err := dir.bindConfined("s")
	if err == nil {
		_ = ln.Close()
	}
	return err
}
