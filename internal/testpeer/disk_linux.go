package testpeer

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Ioctls of <linux/fs.h>, which golang.org/x/sys does not have.
const (
	fiFreeze = 0xc0045877
	fiThaw   = 0xc0045878
)

// A Disk is a small ext4 file system of its own.
type Disk struct {
	// Dir is where it is mounted, with mode 0700.
	Dir string
	t   testing.TB
}

// NewDisk makes a Disk, which is removed at the end of the test.
func NewDisk(t testing.TB) *Disk {
	t.Helper()
	Root(t)
	mkfs, mount := Program(t, "mkfs.ext4", "e2fsprogs"), Program(t, "mount", "mount")
	image := filepath.Join(t.TempDir(), "image")
	d := &Disk{Dir: t.TempDir(), t: t}
	for _, argv := range [][]string{
		{mkfs, "-q", "-E", "root_owner", image, "16M"},
		{mount, "-o", "loop", image, d.Dir},
	} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			Missing(t, "a loop device", "run: sudo make test ("+argv[0]+": "+string(out)+")")
		}
	}
	t.Cleanup(func() { _ = unix.Unmount(d.Dir, unix.MNT_DETACH) })
	if err := os.Chmod(d.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return d
}

// Freeze makes every write to the disk wait until thaw is called, or the test ends: as a
// network file system whose server is away. What is in the page cache can still be read.
//
// It is thawed after 30 s in any case: a process that waits for a disk cannot be killed.
func (d *Disk) Freeze() (thaw func()) {
	d.t.Helper()
	d.ioctl(fiFreeze)
	thaw = sync.OnceFunc(func() { d.ioctl(fiThaw) })
	limit := time.AfterFunc(30*time.Second, thaw)
	d.t.Cleanup(func() {
		limit.Stop()
		thaw()
	})
	return thaw
}

func (d *Disk) ioctl(request uint) {
	d.t.Helper()
	f, err := os.Open(d.Dir)
	if err == nil {
		defer f.Close()
		err = unix.IoctlSetInt(int(f.Fd()), request, 0)
	}
	if err != nil {
		d.t.Errorf("freeze or thaw %s: %v", d.Dir, err)
	}
}
