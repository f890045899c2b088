package sink_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// rootTouches are those that only root can do.
func rootTouches() []touch {
	if os.Geteuid() != 0 {
		return nil
	}
	mount := func(source, target string) error { return unix.Mount(source, target, "", unix.MS_BIND, "") }
	umount := func(target string) error { return unix.Unmount(target, unix.MNT_DETACH) }
	other := func(f *fixture) string { return filepath.Join(f.top, "other") }
	return []touch{
		{name: "given away", do: func(_ *fixture, path string) error { return os.Chown(path, 65534, 65534) }},
		{name: "given away, for all", do: func(_ *fixture, path string) error {
			return firstError(os.Chmod(path, 0o644), os.Chown(path, 65534, 65534))
		}},
		{name: "given to a group", do: func(_ *fixture, path string) error { return os.Chown(path, -1, 65534) }},
		{name: "the folder given away", do: func(f *fixture, _ string) error { return os.Chown(f.dir, 65534, 65534) }},
		{name: "mounted elsewhere",
			do: func(f *fixture, path string) error {
				return firstError(os.WriteFile(other(f), nil, 0o600), mount(path, other(f)))
			},
			undo: func(f *fixture, _ string) error { return umount(other(f)) }},
		{name: "mounted over",
			do: func(f *fixture, path string) error {
				return firstError(os.WriteFile(other(f), []byte("mine"), 0o600), mount(other(f), path))
			},
			undo: func(_ *fixture, path string) error { return umount(path) }, lost: true},
		{name: "mounted on itself",
			do:   func(f *fixture, path string) error { return mount(path, path) },
			undo: func(_ *fixture, path string) error { return umount(path) }},
		{name: "the folder mounted read-only",
			do: func(f *fixture, _ string) error {
				return firstError(mount(f.dir, f.dir), unix.Mount("", f.dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
			},
			undo: func(f *fixture, _ string) error { return umount(f.dir) }},
		{name: "the folder under another mount", lost: true,
			do:   func(f *fixture, _ string) error { return unix.Mount("tmpfs", f.dir, "tmpfs", 0, "mode=0700") },
			undo: func(f *fixture, _ string) error { return umount(f.dir) }},
		{name: "immutable", do: func(_ *fixture, path string) error { return setImmutable(path, true) },
			undo: func(_ *fixture, path string) error { return setImmutable(path, false) }},
		{name: "immutable under another name",
			do: func(f *fixture, path string) error {
				return firstError(os.Link(path, other(f)), setImmutable(path, true))
			},
			undo: func(f *fixture, _ string) error { return setImmutable(other(f), false) }},
	}
}

func setImmutable(path string, set bool) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	flags := 0
	if set {
		flags = 0x10 // FS_IMMUTABLE_FL
	}
	return unix.IoctlSetPointerInt(int(file.Fd()), unix.FS_IOC_SETFLAGS, flags)
}

// TestAsAnOrdinaryUser runs the tests of this package that depend on permissions as a user who has
// none, if this one is root.
func TestAsAnOrdinaryUser(t *testing.T) {
	testpeer.Slow(t)
	testpeer.Root(t)
	dir, err := os.MkdirTemp("/tmp", "kyc-sink-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	self, err := os.ReadFile("/proc/self/exe")
	program := filepath.Join(dir, "sink.test")
	if err := firstError(err, testpeer.WriteProgram(program, self, 0o755), os.Chown(dir, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run", "^(TestTouched|TestForeign|TestForeignAfterAKill|TestNotes|TestFolder|TestUnwritten|TestPrivateFilesStay)")
	cmd.Dir, cmd.Env = dir, []string{"TMPDIR=" + dir, "HOME=" + dir, "GOCOVERDIR=" + dir, testpeer.NoRaceSleep}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestForeignAbove checks that a path does not go through what another user can move or replace.
func TestForeignAbove(t *testing.T) {
	testpeer.Root(t)
	for name, prev := range map[string]func(f *fixture) error{
		"a folder": func(f *fixture) error {
			return firstError(mkdirs(f, "a", 0o755, "a/b", 0o700), os.Chown(filepath.Join(f.top, "a"), 65534, 65534))
		},
		"a link": func(f *fixture) error {
			return firstError(mkdirs(f, "x", 0o700, "x/b", 0o700), os.Symlink("x", filepath.Join(f.top, "a")), os.Lchown(filepath.Join(f.top, "a"), 65534, 65534))
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(f *fixture) {
				if err := prev(f); err != nil {
					f.Fatal(err)
				}
				f.login("prod")
				s := f.prod()
				s.Path = filepath.Join(f.top, "a/b/x.jwt")
				f.configure(s)
				st := f.m.Status()[0]
				if _, err := os.Lstat(s.Path); err == nil || !strings.Contains(st.Error, "/a belongs to uid 65534") || !strings.Contains(st.Error, "such as ~/x.jwt") {
					f.Errorf("%v, status %+v", err, st)
				}
			})
		})
	}
}
