package integrations_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testpeer/freeport"
	"github.com/legaltalent/kyc-agent/internal/testpeer/roots"
)

// cron runs a job as cron does, but at once: with almost no variables, and with the socket
// at the path that systemd uses.
func cron(t *testing.T) toolset {
	bwrap := testpeer.Program(t, "bwrap", "bubblewrap")
	job := `job=$(sed 's/^\([^ ]* \)\{5\}//')
exec ` + bwrap + ` --dev-bind / / --tmpfs /run/user --bind "$XDG_RUNTIME_DIR" "/run/user/$(id -u)" \
  /usr/bin/env -i HOME="$HOME" LOGNAME="$(id -un)" SHELL=/bin/sh PATH="$PATH" CURL_CA_BUNDLE="$CURL_CA_BUNDLE" /bin/sh -c "$job"`
	return toolset{names: "cron's environment", bin: map[string]string{"crontab": script(t, "%s", job)}}
}

// container is a separate system, such as the one in a container.
func container(t *testing.T) toolset {
	k := program("bwrap", "bubblewrap")(t)
	k.env = []string{"CONTAINER=" + roots.Path(t, roots.Trixie)}
	return k
}

// ssh is a client for which build.example is this machine, through an sshd on loopback.
func ssh(t *testing.T) toolset {
	k := program("ssh", "openssh-client", "-V")(t)
	sshd := testpeer.Program(t, "sshd", "openssh-server")
	dir := t.TempDir()
	keygen := testpeer.Program(t, "ssh-keygen", "openssh-client")
	for _, name := range []string{"host", "user"} {
		if out, err := exec.CommandContext(t.Context(), keygen, "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, name)).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	address := freeAddress(t)
	serveSSH(t, sshd, dir, address)
	host, port, _ := net.SplitHostPort(address)
	config := filepath.Join(dir, "ssh_config")
	write(t, config, fmt.Sprintf(`Host build.example
  HostName %s
  Port %s
  IdentityFile %s/user
  IdentitiesOnly yes
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
  ExitOnForwardFailure yes
  SendEnv REMOTE_PATH CURL_CA_BUNDLE
`, host, port, dir))
	k.bin = map[string]string{"ssh": script(t, `REMOTE_PATH="$PATH" exec %s -F %s "$@"`, testpeer.Program(t, "ssh", "openssh-client"), config)}
	return k
}

// serveSSH runs an sshd until the test ends.
func serveSSH(t *testing.T, sshd, dir, address string) {
	t.Helper()
	if os.Getuid() == 0 { // sshd needs the folder, which on a booted system systemd makes
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(dir, "sshd_config")
	write(t, config, fmt.Sprintf(`ListenAddress %s
HostKey %[2]s/host
AuthorizedKeysFile %[2]s/user.pub
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
AcceptEnv REMOTE_PATH CURL_CA_BUNDLE
ForceCommand PATH="$REMOTE_PATH" bash -c "$SSH_ORIGINAL_COMMAND"
StreamLocalBindUnlink yes
`, address, dir))
	var log bytes.Buffer
	cmd := exec.Command(sshd, "-D", "-e", "-f", config)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("sshd: %s", log.Bytes())
		}
	})
	awaitAddress(t, address)
}

// freeAddress returns an address on which most likely no program listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := freeport.Find()
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

func awaitAddress(t *testing.T, address string) {
	t.Helper()
	for poll, end := time.NewTicker(10*time.Millisecond), time.After(time.Minute); ; {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-poll.C:
		case <-end:
			t.Fatalf("no program listens on %s", address)
		}
	}
}

// TestForwardedSocketRefuses checks what ssh's section says: a user at the other end can
// neither sign in nor out, nor get another environment's token or use the API.
func TestForwardedSocketRefuses(t *testing.T) {
	e := newEnv(t)
	if err := e.base.SignIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	k := ssh(t)
	remote := func(line string) result {
		return e.shell(t, t.TempDir(), fmt.Sprintf(
			`ssh -R "%[1]s/kyc.sock:$XDG_RUNTIME_DIR/kyc-agentd/agent.extra.sock" build.example 'export KYC_AGENT_SOCK=%[1]s/kyc.sock; %[2]s'`, e.remote, line), k)
	}
	if r := remote("kyc-token staging"); r.code != 0 || !bytes.HasPrefix([]byte(r.stdout), []byte("eyJ")) {
		t.Errorf("a token: %s", r)
	}
	for _, line := range []string{
		"echo secret | kyc-agentd login -u ana --password-stdin staging",
		"kyc-agentd logout staging",
		"kyc-token prod",
	} {
		if r := remote(line); r.code != 77 || r.stdout != "" || !bytes.Contains([]byte(r.stderr), []byte("not for this socket")) {
			t.Errorf("%s: %s", line, r)
		}
	}
	if r := remote("kyc-token staging"); r.code != 0 {
		t.Errorf("after all that: %s", r)
	}
}
