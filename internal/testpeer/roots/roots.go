// Package roots makes small Debian systems for tests that install or boot a system, or
// need another release: Path returns the folder of one, Boot a running one.
//
//	m := roots.Boot(t, roots.Bookworm)
//	out, exit := m.Run(roots.User, "systemctl --user list-units", "")
//
//	root := roots.Path(t, roots.Trixie) // never write there; put an overlay on it
//
// A root is made once, by mmdebstrap from the mirror that this machine's apt uses, and
// then shared by all tests of all packages. It stays in kyc-agent/roots in the user's
// cache folder, which may be deleted. Every root has systemd, a system and a user bus,
// polkit, and the ordinary user [User].
package roots

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// User is the ordinary user of every root, with a home folder and user id 1000.
const User = "tester"

// A Suite is a release of Debian.
type Suite string

const (
	Bookworm Suite = "bookworm" // systemd 252
	Trixie   Suite = "trixie"   // systemd 257, git 2.47 and other clients of the agent
)

var (
	basePackages = []string{"ca-certificates", "systemd", "systemd-sysv", "dbus-user-session", "libpam-systemd", "polkitd"}
	packages     = map[Suite][]string{
		Bookworm: basePackages,
		Trixie:   append([]string{"curl", "git", "openssh-client", "wget"}, basePackages...),
	}
)

// mmdebstrapArgs are mmdebstrap's arguments without the target and the mirror.
func (s Suite) mmdebstrapArgs() []string {
	return []string{
		"--quiet", "--variant=minbase", "--include=" + strings.Join(packages[s], ","),
		`--customize-hook=chroot "$1" useradd --create-home --uid 1000 --shell /bin/bash ` + User,
		string(s),
	}
}

// Path returns the folder of a root of suite and makes it if there is none. It skips or
// fails the test, as testpeer.Missing does, unless it runs as root, which alone can make
// one, or if mmdebstrap or the mirror is missing.
func Path(t testing.TB, suite Suite) string {
	t.Helper()
	testpeer.Root(t)
	program := testpeer.Program(t, "mmdebstrap", "mmdebstrap")
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(strings.Join(suite.mmdebstrapArgs(), "\x00")))
	path := filepath.Join(cache, "kyc-agent", "roots", fmt.Sprintf("%s-%x", suite, sum[:6]))
	if err := build(t.Context(), program, suite, path); err != nil {
		testpeer.Missing(t, "a root of Debian "+string(suite), err.Error())
	}
	return path
}

// build makes the root at path unless it exists. Only one process at a time does so, and
// others wait for it. A root that exists is complete.
func build(ctx context.Context, program string, suite Suite, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	mirror, err := mirror(ctx)
	if err != nil {
		return err
	}
	partial := path + ".half"
	if err := os.RemoveAll(partial); err != nil { // left by an interrupted build
		return err
	}
	cmd := exec.CommandContext(ctx, program, append(suite.mmdebstrapArgs(), partial, mirror)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mmdebstrap: %w\n%s", err, out)
	}
	return os.Rename(partial, path)
}

// mirror returns the address from which this machine's apt gets Debian.
func mirror(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI)",
		"Created-By: Packages", "Origin: Debian", "Label: Debian").Output()
	if err != nil {
		return "", fmt.Errorf("apt-get indextargets: %w", err)
	}
	first, _, _ := bytes.Cut(out, []byte("\n"))
	if len(first) == 0 {
		return "", errors.New("apt knows no mirror of Debian; run: apt-get update")
	}
	return string(first), nil
}
