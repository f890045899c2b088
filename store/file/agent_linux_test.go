package file_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/store/file"
)

// The message names a process to kill only if that is an agent of this user: a lock held
// in another PID namespace carries the id of some process here that has nothing to do
// with it.
func TestLockNamesOnlyAnAgentToKill(t *testing.T) {
	const unnamed = " is in use by another kyc-agentd, maybe in a container with the same home; stop that one first"
	for _, c := range []struct {
		name string // of the program that holds the lock
		uid  uint32
		want string // PID stands for its process id
	}{
		{"kyc-agentd", 0, " is in use by another kyc-agentd (pid PID); stop it first: kill PID"},
		{"postgres", 0, unnamed},
		{"kyc-agentd", 65534, unnamed},
	} {
		dir, key := newPrivateDir(t), filepath.Join(t.TempDir(), "store.key")
		if _, err := file.Keygen(key); err != nil {
			t.Fatal(err)
		}
		pid := itoa(startWriter(t, c.name, dir, key))
		if c.uid != 0 {
			testpeer.Root(t)
			pid = itoa(startAs(t, c.name, c.uid))
			lock, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_WRONLY|os.O_TRUNC, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := lock.WriteString(pid + "\n"); err != nil {
				t.Fatal(err)
			}
			_ = lock.Close()
		}
		_, err := file.Open(dir, newHybrid(t))
		wantError(t, err, dir+strings.ReplaceAll(c.want, "PID", pid))
	}
}

// A process that was killed while it started a child leaves the lock to that, which has it until it
// executes its program.
func TestLockOutlivesItsProcess(t *testing.T) {
	for name, end := range map[string]func(*exec.Cmd) error{
		"gone": (*exec.Cmd).Wait,
		"a zombie": func(cmd *exec.Cmd) error {
			t.Cleanup(func() { _ = cmd.Wait() })
			return unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dead := exec.Command(linkToSelf(t, "kyc-agentd"), "-test.run=^$")
			if err := dead.Start(); err != nil {
				t.Fatal(err)
			}
			if err := end(dead); err != nil {
				t.Fatal(err)
			}
			dir := newPrivateDir(t)
			lock, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_RDWR|os.O_CREATE, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			defer lock.Close()
			if _, err := lock.WriteString(itoa(dead.Process.Pid) + "\n"); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
				t.Fatal(err)
			}
			child := exec.Command("sleep", "0.3")
			child.ExtraFiles = []*os.File{lock}
			start(t, child)
			_ = lock.Close()
			open(t, dir, newHybrid(t))
		})
	}
}

// startWriter starts this binary as the writer of a store, under another name. It returns
// the process id once the writer has the folder open.
func startWriter(t *testing.T, name, dir, key string) (pid int) {
	t.Helper()
	cmd := exec.Command(linkToSelf(t, name), writerVerb, dir, key)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(t, cmd)
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

// startAs starts a process of uid that only waits.
func startAs(t *testing.T, name string, uid uint32) (pid int) {
	t.Helper()
	sleep := filepath.Join(t.TempDir(), name)
	if err := os.Symlink("/bin/sleep", sleep); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(sleep); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		chmod(t, dir, 0o755)
	}
	cmd := exec.Command(sleep, "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	start(t, cmd)
	return cmd.Process.Pid
}

func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

func linkToSelf(t *testing.T, name string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	return path
}
