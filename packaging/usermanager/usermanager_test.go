package usermanager_test

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/packaging/usermanager"
)

func TestRun(t *testing.T) {
	usermanager.Run(t, func() usermanager.Machine {
		home := t.TempDir()
		if err := os.WriteFile(filepath.Join(home, "note"), []byte("from outside"), 0o600); err != nil {
			t.Fatal(err)
		}
		return usermanager.Machine{Home: home}
	}, func(t *testing.T) {
		t.Run("an ordinary user", func(t *testing.T) {
			me, err := user.Current()
			if err != nil || me.Username != usermanager.User || me.HomeDir != usermanager.Home || os.Getuid() < 1000 {
				t.Errorf("%+v, %v", me, err)
			}
		})
		t.Run("the files brought", func(t *testing.T) {
			note := filepath.Join(usermanager.Home, "note")
			if got, err := os.ReadFile(note); err != nil || string(got) != "from outside" {
				t.Errorf("%q, %v", got, err)
			}
			if err := os.Remove(note); err != nil {
				t.Error(err)
			}
		})
		t.Run("a manager with a bus and a journal", func(t *testing.T) {
			// If a program ends before the journal has looked it up, its entry names no unit.
			const script = `test "$(systemctl --user is-system-running)" = running
				systemd-run --user --quiet --unit speaker sh -c 'echo a word; exec tail -f /dev/null'
				timeout 20 journalctl --user --unit speaker --output cat --follow | grep -qx 'a word'`
			if out, err := exec.Command("sh", "-ec", script).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	})
}

// userSystemd returns a command that runs user-systemd.
func userSystemd(t *testing.T, args ...string) (cmd *exec.Cmd, stdout, stderr *strings.Builder) {
	t.Helper()
	testpeer.Slow(t)
	testpeer.Root(t)
	stdout, stderr = new(strings.Builder), new(strings.Builder)
	cmd = exec.Command(filepath.Join(testpeer.ModuleRoot(), "packaging", "systemd", "user-systemd"), args...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = 20 * time.Second // for processes left behind, which keep the pipes open
	return cmd, stdout, stderr
}

func run(t *testing.T, args ...string) (exit int, stdout, stderr string) {
	t.Helper()
	cmd, out, errOut := userSystemd(t, args...)
	_ = cmd.Run()
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

func TestExitStatusIsTheCommands(t *testing.T) {
	exit, out, errOut := run(t, "--quiet", "--env", "WORD=two words", "--", "sh", "-c", `echo "$WORD"; exit 7`)
	if exit != 7 || out != "two words\n" || errOut != "" {
		t.Errorf("exit %d, %q, %q", exit, out, errOut)
	}
}

func TestPrivateNet(t *testing.T) {
	testpeer.Program(t, "ip", "iproute2")
	exit, out, errOut := run(t, "--quiet", "--private-net", "cat", "/sys/class/net/lo/operstate", "/proc/net/dev")
	if exit != 0 || errOut != "" || strings.Count(out, ":") != 1 {
		t.Errorf("exit %d, %q, %q", exit, out, errOut)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	for name, c := range map[string]struct {
		last string
		exit int
	}{
		"the end": {"exit 3", 3},
		"SIGTERM": {"echo runs; exec tail -f /dev/null", 128 + int(syscall.SIGTERM)},
	} {
		t.Run(name, func(t *testing.T) {
			mark := strconv.Itoa(1e9 + os.Getpid()) // of the processes
			cmd, _, _ := userSystemd(t, "--quiet", "--user", "passer-by", "sh", "-c",
				`touch ~/here; systemd-run --user --quiet tail -s `+mark+` -f /dev/null; (tail -s `+mark+` -f /dev/null >/dev/null &); `+c.last)
			cmd.Stdout = nil
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			if n, _ := out.Read(make([]byte, 9)); n > 0 {
				_ = cmd.Process.Signal(syscall.SIGTERM)
			}
			_ = cmd.Wait()
			if exit := cmd.ProcessState.ExitCode(); exit != c.exit {
				t.Errorf("exit %d, want %d", exit, c.exit)
			}
			group := "user-systemd-" + strconv.Itoa(cmd.Process.Pid)
			for _, look := range [][]string{
				{"pgrep", "-a", "-f", "tail -s " + mark},
				{"grep", "passer-by", "/etc/passwd"},
				{"grep", "user-systemd", "/proc/self/mounts"},
				{"find", "/home", "-name", "passer-by"},
				{"find", "/sys/fs/cgroup", "-name", group},
			} {
				if left, _ := exec.CommandContext(t.Context(), look[0], look[1:]...).Output(); len(left) > 0 {
					t.Errorf("%q finds %s", look, left)
				}
			}
		})
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "no command"},
		{[]string{"--quiet"}, "no command"},
		{[]string{"--root"}, "--root needs a value"},
		{[]string{"--root", "/no/such", "true"}, "--root: no folder /no/such"},
		{[]string{"--root", t.TempDir(), "true"}, "no systemd in "},
		{[]string{"--wrong", "true"}, "unknown option --wrong"},
		{[]string{"--user", "root", "true"}, "root is no ordinary user"},
		{[]string{"--bind", "/no/such:/run/x", "true"}, "--bind /no/such:/run/x: cannot be done"},
	} {
		exit, out, errOut := run(t, c.args...)
		if exit != 125 || out != "" || !strings.Contains(errOut, "user-systemd: "+c.want) {
			t.Errorf("%q: exit %d, %q, %q; want 125 and %q", c.args, exit, out, errOut, c.want)
		}
	}
}
