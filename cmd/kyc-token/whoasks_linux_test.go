package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// The situations in which a person or a job is not who signed in, with the real programs
// that make them. /run is an empty one, as in a container, and what a case adds.
func TestWhoAsks(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become others")
	}
	unshare := testpeer.Program(t, "unshare", "util-linux")
	sudo, doas, su, setpriv := testpeer.Program(t, "sudo", "sudo"), testpeer.Program(t, "doas", "opendoas"),
		testpeer.Program(t, "su", "util-linux"), testpeer.Program(t, "setpriv", "util-linux")
	const (
		nobody = "65534"
		line   = "kyc-token: no agent answers on "
		bare   = "; run: export KYC_AGENT_SOCK=~/.kyc-agentd/agent.sock, then: kyc-agentd serve\n"
	)
	asNobody := setpriv + " --reuid " + nobody + " --regid " + nobody + " --clear-groups "
	for _, test := range []struct{ name, before, command, words string }{
		{"sudo", "", asNobody + sudo + " -n kyc-token", line + "/run/user/0/kyc-agentd/agent.sock; you are uid 0 (sudo); run kyc-token as yourself, and sudo what needs it\n"},
		{"sudo -i", "", asNobody + sudo + " -n -i kyc-token", "you are uid 0 (sudo)"},
		{"sudo that keeps the variable", "mkdir -p /run/user/" + nobody, asNobody + "env XDG_RUNTIME_DIR=/run/user/" + nobody + " " + sudo + " -n --preserve-env=XDG_RUNTIME_DIR kyc-token", "you are uid 0 (sudo)"},
		{"sudo of root", "", sudo + " -n kyc-token", bare},
		{"doas", "", asNobody + doas + " -n kyc-token", "you are uid 0 (doas); run kyc-token as yourself, and doas what needs it\n"},
		{"su", "", "XDG_RUNTIME_DIR=/run/user/0 " + su + " -s /bin/sh nobody -c kyc-token", line + "/run/user/0/kyc-agentd/agent.sock; XDG_RUNTIME_DIR is another user's: run: unset XDG_RUNTIME_DIR\n"},
		{"su, and the step", "", "XDG_RUNTIME_DIR=/run/user/0 " + su + " -s /bin/sh nobody -c 'unset XDG_RUNTIME_DIR; kyc-token'", line + "/run/user/" + nobody + "/kyc-agentd/agent.sock" + bare},
		{"su into a closed folder", "mkdir -p -m 700 /run/user/0", "XDG_RUNTIME_DIR=/run/user/0 " + su + " -s /bin/sh nobody -c kyc-token", "permission denied; XDG_RUNTIME_DIR is another user's: run: unset XDG_RUNTIME_DIR\n"},
		{"su - on a machine with systemd", "mkdir -p /run/systemd/system", su + " -s /bin/sh - nobody -c 'kyc-token'", "your user manager does not run; run: sudo loginctl enable-linger " + nobody + "\n"},
		{"cron with a user manager", "mkdir -p /run/systemd/system /run/user/0/systemd", "env -i PATH=\"$PATH\" /bin/sh -c kyc-token", "; run: XDG_RUNTIME_DIR=/run/user/0 systemctl --user "},
		{"a container", "", "kyc-token", bare},
		{"a container with the folder", "mkdir -p /run/user/0", "kyc-token", "; run: kyc-agentd serve\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := publicDir(t)
			for path, text := range map[string]string{
				"sudoers": "Defaults !requiretty\nDefaults secure_path=\"" + dir + ":/usr/bin:/bin\"\nALL ALL=(ALL) NOPASSWD:SETENV: ALL\n",
				"doas":    "permit nopass keepenv :nogroup as root\npermit nopass setenv { PATH=" + dir + ":/usr/bin:/bin } nobody as root\n",
				"profile": "PATH=" + dir + ":$PATH\nexport PATH\n",
			} {
				if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o440); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(filepath.Join(dir, "profile"), 0o444); err != nil {
				t.Fatal(err)
			}
			// In a mount namespace, and not under bubblewrap, which takes sudo's setuid bit away.
			cmd := exec.Command(unshare, "-m", "sh", "-euc", `
				mount -t tmpfs none /mnt
				cp -a /etc/. /mnt
				cp "$1/sudoers" /mnt/sudoers
				cp "$1/doas" /mnt/doas.conf
				cp "$1/profile" /mnt/profile
				mount --move /mnt /etc
				mount -t tmpfs none /run
				`+test.before+"\n"+test.command, "sh", dir)
			cmd.Env = []string{"PATH=" + dir + ":/usr/bin:/bin", "HOME=/root"}
			o := finish(t, cmd)
			if !strings.Contains(o.stderr, test.words) || o.stdout != "" || o.exit != exitUnavailable && o.exit != exitDenied {
				t.Errorf("got %+v, want %q", o, test.words)
			}
		})
	}
}

// publicDir is a folder that every user can read, with kyc-token.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "kyc-who-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program, err := os.ReadFile(testpeer.Build(t, "kyc-token"))
	if err != nil {
		t.Fatal(err)
	}
	if err := testpeer.WriteProgram(filepath.Join(dir, "kyc-token"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
