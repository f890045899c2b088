package usermanager_test

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

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
			// A program that ends before the journal has looked at it belongs to no unit.
			const script = `test "$(systemctl --user is-system-running)" = running
				systemd-run --user --quiet --unit speaker sh -c 'echo a word; exec tail -f /dev/null'
				timeout 20 journalctl --user --unit speaker --output cat --follow | grep -qx 'a word'`
			if out, err := exec.Command("sh", "-ec", script).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	})
}

// userSystemd runs the program itself.
func userSystemd(t *testing.T, args ...string) (exit int, stdout, stderr string) {
	t.Helper()
	testpeer.Root(t)
	var out, errOut strings.Builder
	cmd := exec.CommandContext(t.Context(), filepath.Join(testpeer.ModuleRoot(), "packaging/systemd/user-systemd"), args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	_ = cmd.Run()
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

func TestExitStatusIsTheCommands(t *testing.T) {
	exit, out, errOut := userSystemd(t, "--quiet", "--env", "WORD=two words", "--", "sh", "-c", `echo "$WORD"; exit 7`)
	if exit != 7 || out != "two words\n" || errOut != "" {
		t.Errorf("exit %d, %q, %q", exit, out, errOut)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	before := outside(t)
	exit, _, errOut := userSystemd(t, "--user", "passer-by", "sh", "-c",
		`systemd-run --user --quiet sleep 54321; touch ~/here; (sleep 54321 &)`)
	if exit != 0 {
		t.Fatalf("exit %d, %s", exit, errOut)
	}
	if after := outside(t); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// outside is what a run could leave: processes, the user, files, mounts, cgroups.
func outside(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "-c", `
		pgrep -x -a sleep
		grep passer-by /etc/passwd
		ls /home /run /tmp/user-systemd* 2>/dev/null
		cat /proc/self/mounts
		find /sys/fs/cgroup -name 'user-systemd-*'`).Output()
	if len(out) == 0 {
		t.Fatal(err)
	}
	return string(out)
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
		exit, out, errOut := userSystemd(t, c.args...)
		if exit != 125 || out != "" || !strings.Contains(errOut, "user-systemd: "+c.want) {
			t.Errorf("%q: exit %d, %q, %q; want 125 and %q", c.args, exit, out, errOut, c.want)
		}
	}
}
