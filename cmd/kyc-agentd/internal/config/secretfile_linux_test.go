package config

import (
	"os"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSecretFileThatCannotBeOpened(t *testing.T) {
	path := secretAt(t, "p", "s3cret", 0)
	want := "cannot read " + path + ": permission denied; run: chown " + strconv.Itoa(os.Getuid()) + " " + path
	boundByModes(t, func() {
		if _, _, err := (secretFile{path: path}).read(); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	})
}

// boundByModes runs f as if file modes meant something to root: without capabilities
// in effect, on this thread.
func boundByModes(t *testing.T, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var was [2]unix.CapUserData
	if err := unix.Capget(&head, &was[0]); err != nil {
		t.Fatal(err)
	}
	now := was
	now[0].Effective, now[1].Effective = 0, 0
	if err := unix.Capset(&head, &now[0]); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Capset(&head, &was[0]); err != nil {
			panic(err) // this thread must not go on to other tests
		}
	}()
	f()
}
