package strictmodes

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// A ConfigMap of Kubernetes: links to files, in folders that everybody can write, on a file
// system that nobody can write.
func TestReadOnlyMount(t *testing.T) {
	dir := testpeer.Tmpfs(t)
	h := home{t, dir}
	h.must(os.Chmod(dir, 0o777))
	h.must(os.Mkdir(h.path("..2026"), 0o777))
	h.must(os.Chmod(h.path("..2026"), 0o777))
	h.must(os.Symlink("..2026", h.path("conf")))
	h.must(os.WriteFile(h.path("..2026/config.toml"), nil, 0o600))
	h.chmod("..2026/config.toml", 0o666)
	h.wants("HOME/conf/config.toml can be written by others (mode 0666)")
	testpeer.Mount(t, "", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
	h.wants("")
	testpeer.Mount(t, "", dir, "", unix.MS_REMOUNT|unix.MS_BIND, "")
	h.chown("..2026/config.toml")
	testpeer.Mount(t, "", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
	h.wants("HOME/conf/config.toml belongs to uid 12345")
}

// The group's permissions of a file with an access control list are those of whom it lists.
func TestAccessControlList(t *testing.T) {
	h := newHome(t)
	h.alone()
	h.chmod("conf/config.toml", 0o660)
	h.wants("")
	// linux/posix_acl_xattr.h: version 2, then tag, permissions and id of each entry.
	acl := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range [][3]int{{0x01, 6, -1}, {0x02, 6, somebody}, {0x04, 0, -1}, {0x10, 6, -1}, {0x20, 0, -1}} {
		acl = binary.LittleEndian.AppendUint16(acl, uint16(e[0]))
		acl = binary.LittleEndian.AppendUint16(acl, uint16(e[1]))
		acl = binary.LittleEndian.AppendUint32(acl, uint32(e[2]))
	}
	if err := unix.Setxattr(h.path("conf/config.toml"), "system.posix_acl_access", acl, 0); err != nil {
		t.Skipf("this file system has no access control lists: %v", err)
	}
	h.wants("HOME/conf/config.toml can be written by others (mode 0660); run: chmod go-w HOME/conf/config.toml")
	h.chmod("conf/config.toml", 0o640)
	h.wants("")
}

// In a user namespace that maps nobody but the user, root's / looks like anybody's.
func TestUserNamespace(t *testing.T) {
	if os.Getenv("KYC_TEST_HOME") != "" {
		home{t, os.Getenv("KYC_TEST_HOME")}.wants(os.Getenv("KYC_TEST_WANT"))
		return
	}
	testpeer.Root(t)
	for _, tt := range []struct {
		owner int // of the file
		want  string
	}{
		{somebody, ""},
		{54321, "belongs to a user whom this user namespace does not map; put a copy of your own in its place"},
	} {
		h := newHome(t)
		h.must(os.Chmod(filepath.Dir(h.dir), 0o755))
		h.chown("conf")
		h.chmod("conf/config.toml", 0o644)
		h.must(os.Chown(h.path("conf/config.toml"), tt.owner, -1))
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestUserNamespace$")
		cmd.Env = append(os.Environ(), "KYC_TEST_HOME="+h.dir, "KYC_TEST_WANT="+tt.want)
		one := []syscall.SysProcIDMap{{ContainerID: somebody, HostID: somebody, Size: 1}}
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWUSER, UidMappings: one, GidMappings: one,
			Credential: &syscall.Credential{Uid: somebody, Gid: somebody, NoSetGroups: true},
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("owner %d: %v: %s", tt.owner, err, out)
		}
	}
}
