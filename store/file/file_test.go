//go:build unix

package file_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"filippo.io/age"

	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/file"
	"github.com/legaltalent/kyc-agent/store/storetest"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == writerVerb {
		writer(os.Args[2], os.Args[3])
		return
	}
	os.Exit(m.Run())
}

func TestConformance(t *testing.T) {
	for _, c := range []struct {
		name string
		id   age.Identity
	}{
		{"Hybrid", newHybrid(t)},
		{"X25519", newX25519(t)},
	} {
		t.Run(c.name, func(t *testing.T) {
			open := func(t *testing.T) store.Store { return open(t, newPrivateDir(t), c.id) }
			storetest.Run(t, open, storetest.Reopen(func(t *testing.T, old store.Store) store.Store {
				return reopen(t, old.(*file.Store), c.id)
			}), storetest.Damage(func(t *testing.T, st store.Store, key string) {
				path := filepath.Join(store.Describe(st).Detail, key+".age")
				writeFile(t, path, readFile(t, path)[:100], 0o600)
			}))
		})
	}
}

func TestFilesAreEncryptedAndPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "kyc-agent")
	s := open(t, dir, newHybrid(t))
	value := []byte("a refresh token in the clear")
	put(t, s, "prod", value)
	data := readFile(t, filepath.Join(dir, "prod.age"))
	if !bytes.HasPrefix(data, []byte("age-encryption.org/v1\n")) || bytes.Contains(data, value) {
		t.Errorf("prod.age is not an encrypted age file: %.40q", data)
	}
	for path, want := range map[string]os.FileMode{
		filepath.Dir(dir): 0o700, dir: 0o700, filepath.Join(dir, "prod.age"): 0o600, filepath.Join(dir, ".lock"): 0o600,
	} {
		if got := stat(t, path).Mode().Perm(); got != want {
			t.Errorf("%s has mode %04o, want %04o", path, got, want)
		}
	}
}

func TestUnchangedValueIsNotWritten(t *testing.T) {
	id, dir := newHybrid(t), newPrivateDir(t)
	s := open(t, dir, id)
	path := filepath.Join(dir, "prod.age")
	put(t, s, "prod", []byte("value"))
	before := stat(t, path)
	put(t, s, "prod", []byte("value"))
	if !os.SameFile(before, stat(t, path)) {
		t.Error("an unchanged value was written again")
	}
	put(t, s, "prod", []byte("other"))
	if os.SameFile(before, stat(t, path)) {
		t.Error("a changed value was not written")
	}
}

// A Put fails if its rename succeeded but the sync of the folder did not. When it is
// repeated, nothing is left to write, but the folder still has to be synced.
func TestUnchangedValueIsMadeDurable(t *testing.T) {
	s := open(t, newPrivateDir(t), newHybrid(t))
	unsynced := file.UnsyncedForTest(s)
	for name, change := range map[string]func(){
		"Put":    func() { put(t, s, "prod", []byte("value")) },
		"Delete": func() { _ = s.Delete(t.Context(), "staging") },
	} {
		change()
		*unsynced = true
		change()
		if *unsynced {
			t.Errorf("a repeated %s left the folder unsynced", name)
		}
	}
}

// A key is changed by adding the new identity at the top: the old file can still be
// read, and the next Put encrypts it to the new one even if the value is the same.
func TestKeyRotation(t *testing.T) {
	oldID, newID, dir := newX25519(t), newHybrid(t), newPrivateDir(t)
	s := open(t, dir, oldID)
	put(t, s, "prod", []byte("value"))
	s = reopen(t, s, newID, oldID)
	want(t, s, "prod", "value")
	put(t, s, "prod", []byte("value"))
	s = reopen(t, s, newID)
	want(t, s, "prod", "value")
}

func TestKeysNeedsNoIdentityAndListsOnlyKeys(t *testing.T) {
	dir := newPrivateDir(t)
	s := open(t, dir, newHybrid(t))
	put(t, s, "staging", []byte("s"))
	put(t, s, "prod", []byte("p"))
	for _, name := range []string{"notes.txt", "UPPER.age", ".age", "a.b.age", "prod.age.bak"} {
		writeFile(t, filepath.Join(dir, name), nil, 0o600)
	}
	s = reopen(t, s, newX25519(t)) // another key: no value can be read
	keys, err := s.Keys(t.Context())
	if err != nil || strings.Join(keys, " ") != "prod staging" {
		t.Errorf("Keys = %q, %v; want prod staging", keys, err)
	}
}

func TestLeftoversOfAKilledProcessAreRemoved(t *testing.T) {
	dir := newPrivateDir(t)
	writeFile(t, filepath.Join(dir, ".new-ABC"), []byte("half"), 0o600)
	writeFile(t, filepath.Join(dir, "mine.txt"), []byte("kept"), 0o600)
	open(t, dir, newHybrid(t))
	if _, err := os.Stat(filepath.Join(dir, ".new-ABC")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the leftover is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "mine.txt")); err != nil {
		t.Errorf("another program's file was removed: %v", err)
	}
}

func TestUnreadableFiles(t *testing.T) {
	id := newHybrid(t)
	sealed := func(t *testing.T) []byte {
		dir := newPrivateDir(t)
		put(t, open(t, dir, id), "prod", []byte("value"))
		return readFile(t, filepath.Join(dir, "prod.age"))
	}(t)
	foreign := func(t *testing.T) []byte {
		dir := newPrivateDir(t)
		put(t, open(t, dir, newX25519(t)), "prod", []byte("value"))
		return readFile(t, filepath.Join(dir, "prod.age"))
	}(t)
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	header := bytes.Clone(sealed)
	header[bytes.Index(header, []byte("\n--- "))+10] ^= 1 // its MAC
	regular := func(data []byte, mode os.FileMode) func(*testing.T, string) {
		return func(t *testing.T, path string) { writeFile(t, path, data, mode) }
	}
	for _, c := range []struct {
		name string
		make func(t *testing.T, path string)
		is   error
		want string
	}{
		{"wrong key", regular(foreign, 0o600), file.ErrWrongKey, "prod.age is encrypted to another key; give the daemon the right store_key_file, or sign in again: kyc-agentd login prod"},
		{"last byte altered", regular(flipped, 0o600), file.ErrDamaged, "prod.age is damaged (no age file, cut short or altered); sign in again: kyc-agentd login prod"},
		{"header altered", regular(header, 0o600), file.ErrDamaged, "damaged"},
		{"cut short", regular(sealed[:len(sealed)-5], 0o600), file.ErrDamaged, "damaged"},
		{"cut in the header", regular(sealed[:30], 0o600), file.ErrDamaged, "damaged"},
		{"empty", regular(nil, 0o600), file.ErrDamaged, "damaged"},
		{"plain text", regular([]byte("refresh-token-in-the-clear"), 0o600), file.ErrDamaged, "damaged"},
		{"too large", regular(bytes.Repeat([]byte("x"), 1<<20+1), 0o600), store.ErrUnusable, "above the limit of 1048576 bytes; move it away: mv "},
		{"open to the group", regular(sealed, 0o640), store.ErrUnusable, "is open to others (mode 0640); run: chmod 600 "},
		{"named pipe", func(t *testing.T, path string) {
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}, store.ErrUnusable, "is not a regular file; move it away: mv "},
		{"3 GB of nothing", func(t *testing.T, path string) {
			writeFile(t, path, nil, 0o600)
			if err := os.Truncate(path, 3<<30); err != nil {
				t.Fatal(err)
			}
		}, store.ErrUnusable, "above the limit of 1048576 bytes; move it away: mv "},
		{"link to a device without end", func(t *testing.T, path string) {
			if err := os.Symlink("/dev/zero", path); err != nil {
				t.Fatal(err)
			}
		}, store.ErrUnusable, "is not a regular file; move it away: mv "},
		{"socket", func(t *testing.T, path string) {
			fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
			if err == nil {
				defer syscall.Close(fd)
				t.Chdir(filepath.Dir(path)) // its path may be too long for a socket
				err = syscall.Bind(fd, &syscall.SockaddrUnix{Name: filepath.Base(path)})
			}
			if err != nil {
				t.Fatal(err)
			}
		}, store.ErrUnusable, "is not a regular file; move it away: mv "},
		{"link out of the folder", func(t *testing.T, path string) {
			if err := os.Symlink("/etc/passwd", path); err != nil {
				t.Fatal(err)
			}
		}, store.ErrUnusable, "is not a regular file; move it away: mv "},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := newPrivateDir(t)
			c.make(t, filepath.Join(dir, "prod.age"))
			s := open(t, dir, id)
			_, err := s.Get(t.Context(), "prod")
			wantError(t, err, c.want)
			if !errors.Is(err, c.is) {
				t.Errorf("error %v does not wrap %v", err, c.is)
			}
			if errors.Is(err, store.ErrDamaged) == errors.Is(err, store.ErrUnusable) {
				t.Errorf("error %v does not say whether to sign in again or to correct the file", err)
			}
			if errors.Is(err, store.ErrNotFound) {
				t.Errorf("%v wraps ErrNotFound: the sign-in would count as deleted", err)
			}
			if strings.Contains(err.Error(), "in-the-clear") {
				t.Errorf("the message quotes the file: %v", err)
			}
			// A new sign-in replaces the file.
			put(t, s, "prod", []byte("new"))
			want(t, s, "prod", "new")
		})
	}
}

// What is not a file cannot be replaced by one: a person has to move it away.
func TestFolderInPlaceOfAFile(t *testing.T) {
	dir := newPrivateDir(t)
	s, path := open(t, dir, newHybrid(t)), filepath.Join(dir, "prod.age")
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, getErr := s.Get(t.Context(), "prod")
	for op, err := range map[string]error{
		"Get": getErr, "Put": s.Put(t.Context(), "prod", []byte("new")), "Delete": s.Delete(t.Context(), "prod"),
	} {
		wantError(t, err, "move it away: mv "+path+" "+path+".old")
		if !errors.Is(err, store.ErrUnusable) {
			t.Errorf("%s: %v does not wrap store.ErrUnusable", op, err)
		}
	}
	if n := len(readFolder(t, dir)); n != 2 { // and .lock
		t.Errorf("%d files are in the folder", n)
	}
}

func TestOpenRefuses(t *testing.T) {
	id := newHybrid(t)
	for _, c := range []struct {
		name string
		dir  func(t *testing.T) string
		ids  []age.Identity
		want string
	}{
		{"no folder", func(*testing.T) string { return "" }, []age.Identity{id}, "set HOME or XDG_STATE_HOME"},
		{"no key", newPrivateDir, nil, "no key; run: kyc-agentd keygen"},
		{"a key that cannot encrypt", newPrivateDir, []age.Identity{age.NewInjectedFileKeyIdentity(make([]byte, 16))}, "cannot encrypt; make another: kyc-agentd keygen"},
		{"open to others", func(t *testing.T) string {
			dir := filepath.Join(newPrivateDir(t), "it's open")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			chmod(t, dir, 0o755)
			return dir
		}, []age.Identity{id}, `it's open is open to others (mode 0755); run: chmod 700 '`},
		{"a file", func(t *testing.T) string {
			path := filepath.Join(newPrivateDir(t), "f")
			writeFile(t, path, nil, 0o600)
			return path
		}, []age.Identity{id}, "cannot make the folder"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := file.Open(c.dir(t), c.ids...)
			wantError(t, err, c.want)
		})
	}
}

func TestSecondOpenIsRefused(t *testing.T) {
	id, dir := newHybrid(t), newPrivateDir(t)
	first := open(t, dir, id)
	_, err := file.Open(dir, id)
	wantError(t, err, dir+" is in use by another kyc-agentd")
	if !errors.Is(err, store.ErrUnusable) {
		t.Errorf("%v does not wrap store.ErrUnusable", err)
	}
	put(t, first, "prod", []byte("value"))
	want(t, reopen(t, first, id), "prod", "value")
}

func TestClosedStore(t *testing.T) {
	s := open(t, newPrivateDir(t), newHybrid(t))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantError(t, s.Put(t.Context(), "prod", []byte("v")), "closed")
	_, err := s.Get(t.Context(), "prod")
	wantError(t, err, "closed")
	if errors.Is(err, store.ErrNotFound) {
		t.Error("a closed store reports that there is no value")
	}
}

// What has the folder's name while the daemon runs is what the next operation uses, made
// or checked as at the start: the only copy of a sign-in may be in the daemon's memory.
func TestFolderReplacedInUse(t *testing.T) {
	id := newHybrid(t)
	for _, c := range []struct {
		name    string
		replace func(t *testing.T, dir string)
	}{
		{"removed", func(t *testing.T, dir string) { removeAll(t, dir) }},
		{"removed with the folder above", func(t *testing.T, dir string) { removeAll(t, filepath.Dir(dir)) }},
		{"emptied, with the lock", func(t *testing.T, dir string) {
			removeAll(t, filepath.Join(dir, ".lock"))
			removeAll(t, filepath.Join(dir, "prod.age"))
		}},
		{"moved away", func(t *testing.T, dir string) { rename(t, dir, dir+".old") }},
		{"made anew", func(t *testing.T, dir string) {
			removeAll(t, dir)
			mkdir(t, dir)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(newPrivateDir(t), "state", "kyc-agent")
			s := open(t, dir, id)
			put(t, s, "prod", []byte("old"))
			c.replace(t, dir)
			if _, err := s.Get(t.Context(), "prod"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("Get = %v, want ErrNotFound", err)
			}
			c.replace(t, dir)
			put(t, s, "prod", []byte("new"))
			want(t, s, "prod", "new")
			if got := stat(t, dir).Mode().Perm(); got != 0o700 {
				t.Errorf("the folder has mode %04o, want 0700", got)
			}
			_, err := file.Open(dir, id)
			wantError(t, err, "is in use by another kyc-agentd") // the new folder is locked, too
			want(t, reopen(t, s, id), "prod", "new")
		})
	}
}

// Intact is false once after values were taken away, however that was done, and true after a
// Delete.
func TestIntact(t *testing.T) {
	id := newHybrid(t)
	for _, c := range []struct {
		name string
		take func(t *testing.T, s *file.Store, dir string)
		want bool
	}{
		{"nothing", func(*testing.T, *file.Store, string) {}, true},
		{"deleted", func(t *testing.T, s *file.Store, _ string) {
			if err := s.Delete(t.Context(), "prod"); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"a file that nobody asked for", func(t *testing.T, _ *file.Store, dir string) { removeAll(t, filepath.Join(dir, "other.age")) }, true},
		{"the file", func(t *testing.T, _ *file.Store, dir string) { removeAll(t, filepath.Join(dir, "prod.age")) }, false},
		{"the folder", func(t *testing.T, _ *file.Store, dir string) { removeAll(t, dir) }, false},
		{"the folder above", func(t *testing.T, _ *file.Store, dir string) { removeAll(t, filepath.Dir(dir)) }, false},
		{"the folder, which somebody asked for since", func(t *testing.T, s *file.Store, dir string) {
			removeAll(t, dir)
			_, _ = s.Keys(t.Context())
		}, false},
		{"the folder for an older one", func(t *testing.T, s *file.Store, dir string) {
			rename(t, dir, dir+".old")
			mkdir(t, dir)
			writeFile(t, filepath.Join(dir, "prod.age"), []byte("older"), 0o600)
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(newPrivateDir(t), "state", "kyc-agent")
			s := open(t, dir, id)
			put(t, s, "other", []byte("x"))
			put(t, s, "prod", []byte("x"))
			s = reopen(t, s, id)
			want(t, s, "prod", "x")
			c.take(t, s, dir)
			for _, expected := range []bool{c.want, true} {
				if got, err := s.Intact(t.Context()); got != expected || err != nil {
					t.Errorf("Intact = %t, %v, want %t", got, err, expected)
				}
			}
		})
	}
}

// A folder that Open would refuse is refused while the daemon runs, too, and used as soon
// as it is corrected.
func TestFolderReplacedByARefusedOne(t *testing.T) {
	id := newHybrid(t)
	for _, c := range []struct {
		name    string
		replace func(t *testing.T, dir string) (correct func())
		want    string
	}{
		{"open to others", func(t *testing.T, dir string) func() {
			mkdir(t, dir)
			chmod(t, dir, 0o755)
			return func() { chmod(t, dir, 0o700) }
		}, "is open to others (mode 0755); run: chmod 700 "},
		{"a link to a folder that is open to others", func(t *testing.T, dir string) func() {
			elsewhere := t.TempDir()
			if err := os.Symlink(elsewhere, dir); err != nil {
				t.Fatal(err)
			}
			return func() { removeAll(t, dir) }
		}, "is open to others (mode 0755); run: chmod 700 "},
		{"a link to nothing", func(t *testing.T, dir string) func() {
			if err := os.Symlink("/nonexistent", dir); err != nil {
				t.Fatal(err)
			}
			return func() { removeAll(t, dir) }
		}, "file exists; move it away: mv "},
		{"a file", func(t *testing.T, dir string) func() {
			writeFile(t, dir, nil, 0o600)
			return func() { removeAll(t, dir) }
		}, "not a directory; move it away: mv "},
		{"in use by another", func(t *testing.T, dir string) func() {
			other := open(t, dir, id)
			return func() { _ = other.Close() }
		}, "is in use by another kyc-agentd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(newPrivateDir(t), "kyc-agent")
			s := open(t, dir, id)
			removeAll(t, dir)
			correct := c.replace(t, dir)
			_, getErr := s.Get(t.Context(), "prod")
			for op, err := range map[string]error{"Get": getErr, "Put": s.Put(t.Context(), "prod", []byte("new"))} {
				wantError(t, err, c.want)
				if !errors.Is(err, store.ErrUnusable) || errors.Is(err, store.ErrNotFound) {
					t.Errorf("%s: %v is not a store.ErrUnusable alone", op, err)
				}
			}
			correct()
			put(t, s, "prod", []byte("new"))
			want(t, s, "prod", "new")
		})
	}
}

func TestTooLargeAValue(t *testing.T) {
	s := open(t, newPrivateDir(t), newHybrid(t))
	wantError(t, s.Put(t.Context(), "prod", make([]byte, 1<<19+1)), "a value of 524289 bytes is above the limit of 524288")
	put(t, s, "prod", make([]byte, 1<<19))
	want(t, s, "prod", strings.Repeat("\x00", 1<<19))
}

func TestDefaultDir(t *testing.T) {
	for _, c := range []struct{ xdg, home, want string }{
		{"/state", "/home/ana", "/state/kyc-agent"},
		{"", "/home/ana", "/home/ana/.local/state/kyc-agent"},
		{"relative", "/home/ana", "/home/ana/.local/state/kyc-agent"},
		{"", "", ""},
		{"relative", "relative", ""},
	} {
		got := file.DefaultDir(getenv(map[string]string{"XDG_STATE_HOME": c.xdg, "HOME": c.home}))
		if got != c.want {
			t.Errorf("DefaultDir(XDG_STATE_HOME=%q, HOME=%q) = %q, want %q", c.xdg, c.home, got, c.want)
		}
	}
}

func TestDescribe(t *testing.T) {
	dir := newPrivateDir(t)
	want := store.Info{Kind: "file", Detail: dir, Lasting: true}
	if got := open(t, dir, newHybrid(t)).Describe(); got != want {
		t.Errorf("Describe = %+v, want %+v", got, want)
	}
}
