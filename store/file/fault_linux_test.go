package file_test

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/file"
)

func TestDiskFull(t *testing.T) {
	dir := testpeer.Tmpfs(t)
	s := open(t, dir, newHybrid(t))
	put(t, s, "prod", []byte("old"))
	noise := make([]byte, 64<<10)
	_, _ = rand.Read(noise)
	err := s.Put(t.Context(), "prod", noise)
	wantError(t, err, "file store: cannot write "+dir+"/prod.age: no space left on device; free some space there")
	if !errors.Is(err, syscall.ENOSPC) || errors.Is(err, store.ErrUnusable) {
		t.Errorf("%v does not wrap ENOSPC alone", err)
	}
	want(t, s, "prod", "old")
	if n := countTemps(t, dir); n != 0 {
		t.Errorf("%d half-written files take up the space", n)
	}
	put(t, s, "prod", []byte("new"))
	want(t, s, "prod", "new")
}

func TestReadOnlyFileSystem(t *testing.T) {
	id, dir := newHybrid(t), testpeer.Tmpfs(t)
	s := open(t, dir, id)
	put(t, s, "prod", []byte("old"))
	// A bind mount can be made read-only though files are open for writing.
	testpeer.Mount(t, dir, dir, "", unix.MS_BIND, "")
	testpeer.Mount(t, "", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
	_, err := file.Open(dir, id)
	wantError(t, err, "file store: cannot write to "+dir+": read-only file system; mount it writable, or set XDG_STATE_HOME to a folder that is")
}

func TestBecomesReadOnlyInUse(t *testing.T) {
	outer := testpeer.Tmpfs(t)
	dir := filepath.Join(outer, "kyc-agent")
	s := open(t, dir, newHybrid(t))
	put(t, s, "prod", []byte("old"))
	file.CloseLockForTest(s)
	testpeer.Mount(t, "", outer, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
	wantError(t, s.Put(t.Context(), "prod", []byte("new")), "cannot write "+dir+"/prod.age: read-only file system; mount it writable")
	wantError(t, s.Delete(t.Context(), "prod"), "cannot remove "+dir+"/prod.age: read-only file system")
}

func TestNoRightToWrite(t *testing.T) {
	id, dir := newHybrid(t), newPrivateDir(t)
	s := open(t, dir, id)
	put(t, s, "prod", []byte("old"))
	asNobody(t, func() {
		wantError(t, s.Put(t.Context(), "prod", []byte("new")), "permission denied; give yourself access to it, or set XDG_STATE_HOME")
		_, err := s.Get(t.Context(), "prod")
		wantError(t, err, "permission denied")
		if !errors.Is(err, store.ErrUnusable) || errors.Is(err, store.ErrNotFound) {
			t.Errorf("%v: a file that may not be opened is a person's to correct", err)
		}
	})
	want(t, s, "prod", "old")
}

func TestForeignOwner(t *testing.T) {
	testpeer.Root(t)
	id := newHybrid(t)
	dir := newPrivateDir(t)
	chown(t, dir, 12345)
	_, err := file.Open(dir, id)
	wantError(t, err, "belongs to user id 12345, and yours is 0; run: sudo chown -R 0 ")

	dir = newPrivateDir(t)
	s := open(t, dir, id)
	put(t, s, "prod", []byte("old"))
	chown(t, filepath.Join(dir, "prod.age"), 12345)
	_, err = s.Get(t.Context(), "prod")
	wantError(t, err, "prod.age belongs to user id 12345")
	if !errors.Is(err, store.ErrUnusable) {
		t.Errorf("%v does not wrap store.ErrUnusable", err)
	}

	key := filepath.Join(t.TempDir(), "store.key")
	if _, err := file.Keygen(key); err != nil {
		t.Fatal(err)
	}
	chown(t, key, 12345)
	_, _, err = file.FindIdentity(getenv(nil), key)
	wantError(t, err, "store.key belongs to user id 12345")
}

func TestKeygenOnAFullDisk(t *testing.T) {
	dir := testpeer.Tmpfs(t)
	fill, err := os.Create(filepath.Join(dir, "fill"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = fill.Write(make([]byte, 4096))
	}
	if err := fill.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "store.key")
	_, err = file.Keygen(path)
	wantError(t, err, "cannot write the key "+path+": no space left on device; free some space there")
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half a key was left: %v", err)
	}
}

// asNobody runs do while this process, all its threads, has the rights of nobody.
func asNobody(t *testing.T, do func()) {
	t.Helper()
	testpeer.Root(t)
	if err := syscall.Seteuid(65534); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Seteuid(0); err != nil {
			panic(err)
		}
	}()
	do()
}

func chown(t *testing.T, path string, uid int) {
	t.Helper()
	if err := os.Chown(path, uid, -1); err != nil {
		t.Fatal(err)
	}
}
