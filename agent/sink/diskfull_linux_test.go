package sink_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// TestFullDisk checks that a token that cannot be replaced stays while it is valid, and not longer.
func TestFullDisk(t *testing.T) {
	disk := testpeer.Tmpfs(t)
	inBubble(t, func(f *fixture) {
		f.dir = disk
		f.login("prod")
		f.configure(f.prod())
		first := f.token("prod")
		noise := filepath.Join(disk, "noise")
		if err := os.WriteFile(noise, make([]byte, 64<<10), 0o600); err == nil {
			f.Fatal("there is room")
		}
		time.Sleep(57 * time.Minute) // a newer token is there
		synctest.Wait()
		if got, err := os.ReadFile(f.path("prod.jwt")); err != nil || string(got) != first || first == f.token("prod") {
			f.Errorf("the file holds %q (%v), want %q, and not the newer token", got, err, first)
		}
		if st := f.status("prod.jwt"); !strings.Contains(st.Error, "no space left on device; free some space there") || st.WrittenAt.IsZero() {
			f.Errorf("status %+v", st)
		}
		time.Sleep(8 * time.Minute)
		synctest.Wait()
		// The block of the expired token is enough room for the newer one.
		if got, err := os.ReadFile(f.path("prod.jwt")); err == nil && string(got) != f.token("prod") {
			f.Errorf("a dead token is there: %q", got)
		}
		if n := f.logged("level=WARN"); n != 1 {
			f.Errorf("%d warnings:\n%s", n, f.log.String())
		}
		if err := os.Remove(noise); err != nil {
			f.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		f.wantFile("prod.jwt", f.token("prod"), 0o600)
	})
}

// TestFullDiskAtTheEnd checks that a token that cannot be replaced is removed when it expires, and not
// at the next attempt, which may be minutes later.
func TestFullDiskAtTheEnd(t *testing.T) {
	disk := testpeer.Tmpfs(t)
	inBubble(t, func(f *fixture) {
		f.dir = disk
		f.login("prod")
		f.configure(f.prod())
		end := f.status("prod.jwt").ExpiresAt
		if err := os.WriteFile(filepath.Join(disk, "noise"), make([]byte, 64<<10), 0o600); err == nil {
			f.Fatal("there is room")
		}
		time.Sleep(time.Until(end) - time.Second)
		synctest.Wait()
		if _, err := os.Lstat(f.path("prod.jwt")); err != nil {
			f.Errorf("a token that is valid is gone: %v", err)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		// The block of the expired token is enough room for the newer one.
		if got, err := os.ReadFile(f.path("prod.jwt")); err == nil && string(got) != f.token("prod") {
			f.Errorf("a dead token is there: %q", got)
		}
	})
}

func TestReadOnlyDisk(t *testing.T) {
	disk := testpeer.Tmpfs(t)
	testpeer.Mount(t, "", disk, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
	inBubble(t, func(f *fixture) {
		f.dir = disk
		f.configure(f.prod())
		f.login("prod")
		f.wantNone("prod.jwt", "read-only file system; name a path in a folder that you own")
	})
}

func TestForeignFolder(t *testing.T) {
	testpeer.Root(t)
	inBubble(t, func(f *fixture) {
		if err := firstError(os.Mkdir(f.dir, 0o700), os.Chown(f.dir, 65534, 65534)); err != nil {
			f.Fatal(err)
		}
		f.configure(f.prod())
		f.login("prod")
		f.wantNone("prod.jwt", "belongs to uid 65534; name a path in a folder that you own")
	})
}
