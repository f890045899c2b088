package testpeer

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// Tmpfs mounts a file system of 64 kB and returns its folder, for tests of full and
// read-only disks.
func Tmpfs(t testing.TB) string {
	t.Helper()
	Root(t)
	dir := t.TempDir()
	Mount(t, "tmpfs", dir, "tmpfs", 0, "size=64k,mode=0700")
	return dir
}

// Mount is mount(2). Unless it is a remount, it is undone at the end of the test.
func Mount(t testing.TB, source, target, kind string, flags uintptr, data string) {
	t.Helper()
	err := unix.Mount(source, target, kind, flags, data)
	if errors.Is(err, unix.EPERM) {
		Missing(t, "the right to mount", "run: sudo make test")
	}
	if err != nil {
		t.Fatalf("mount %s: %v", target, err)
	}
	if flags&unix.MS_REMOUNT == 0 {
		t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
	}
}
