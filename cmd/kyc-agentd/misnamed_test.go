package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// TestMisnamedSocket checks that both a client and serve say what KYC_AGENT_SOCK names, and
// that serve leaves nothing behind.
func TestMisnamedSocket(t *testing.T) {
	h := newFixture(t)
	at := func(name string) string { return filepath.Join(h.dir, name) }
	for _, err := range []error{
		os.Mkdir(at("folder"), 0o700), os.WriteFile(at("file"), []byte("precious"), 0o600), syscall.Mkfifo(at("pipe"), 0o600),
		os.Symlink(at("gone"), at("dangling")), os.Symlink(at("loop"), at("loop")), os.Mkdir(at("work"), 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for path, say := range map[string]struct{ client, serve string }{
		at("folder"):                  {"is a folder; " + at("folder/agent.sock") + " is meant", "is there and is not a socket but a folder; name a path in it, such as " + at("folder/agent.sock")},
		at("file"):                    {"is a file, not a socket", "is there and is not a socket"},
		at("pipe"):                    {"is a pipe, not a socket", "is there and is not a socket"},
		os.DevNull:                    {"is a device, not a socket", "is there and is not a socket"},
		at("dangling"):                {"is a symbolic link to nothing", "is there and is not a socket"},
		at("loop"):                    {"is a symbolic link that leads to itself", "is there and is not a socket"},
		"~/x":                         {"~/x begins with ~, which is not replaced here", "~/x begins with ~, which is not replaced here"},
		"$XDG_RUNTIME_DIR/agent.sock": {"begins with $, which", "begins with $, which"},
		"unix:///run/x/agent.sock":    {"is a URL, and a path is needed", "is a URL, and a path is needed"},
		"work/agent.sock":             {"no agent answers on work/agent.sock, a relative path", "work/agent.sock is a relative path, which names another socket in every folder"},
	} {
		for _, c := range []struct {
			args []string
			exit int
			say  string
		}{{[]string{"status"}, exitNoAgent, say.client}, {[]string{"serve", "--store", "memory"}, exitConfiguration, say.serve}} {
			cmd := kycAgentd(c.args...)
			cmd.Dir = h.dir
			env := h.env
			h.env = append(h.env[:len(h.env):len(h.env)], "KYC_AGENT_SOCK="+path)
			got := h.run("", cmd)
			h.env = env
			if got.exit != c.exit || !strings.Contains(got.errOut, c.say) || strings.Contains(got.errOut, "kill") {
				t.Errorf("%s with %s: %+v, want exit %d and %q", c.args[0], path, got, c.exit, c.say)
			}
		}
	}
	if left, _ := filepath.Glob(at("*")); len(left) != 6 {
		t.Errorf("left behind: %q", left)
	}
	if left, _ := filepath.Glob(at("*/*")); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestSocketOfAnotherProgram checks that neither a client nor serve takes another program
// for an agent, that nobody is told to kill it, and that no lock file is left beside it.
func TestSocketOfAnotherProgram(t *testing.T) {
	h := newFixture(t)
	path := filepath.Join(h.dir, "ssh")
	ssh := exec.CommandContext(t.Context(), testpeer.Program(t, "ssh-agent", "openssh-client"), "-D", "-a", path)
	out, err := ssh.StdoutPipe()
	if err == nil {
		err = ssh.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ssh.Process.Kill(); _ = ssh.Wait() })
	if _, err := out.Read(make([]byte, 1)); err != nil { // it listens by then
		t.Fatal(err)
	}
	h.env = append(h.env, "KYC_AGENT_SOCK="+path)
	for _, args := range [][]string{{"status"}, {"serve", "--store", "memory"}} {
		got := h.run("", kycAgentd(args...))
		if got.exit != exitConfiguration || !strings.Contains(got.errOut, path+" is not kyc-agentd's socket: ssh-agent ") || strings.Contains(got.errOut, "kill") {
			t.Errorf("%q: %+v", args, got)
		}
	}
	if left, _ := filepath.Glob(path + "?*"); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestSecondAgentBesideAStoppedOne checks that the line does not say that the first one
// answers, or to end it with a signal that it would not take.
func TestSecondAgentBesideAStoppedOne(t *testing.T) {
	h := newFixture(t)
	d := h.daemon("--store", "memory")
	pid := d.Process.Pid
	if err := d.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Process.Signal(syscall.SIGCONT) }()
	got := h.run("", kycAgentd("serve", "--store", "memory"))
	want := fmt.Sprintf("an agent (pid %d) holds %s, and is stopped: it does not answer; let it go on with: kill -CONT %d, or end it with: kill -KILL %d",
		pid, h.socket(), pid, pid)
	if got.exit != exitTemporary || !strings.Contains(got.errOut, want) {
		t.Errorf("%+v, want %q", got, want)
	}
	if c, err := net.Dial("unix", h.socket()); err != nil {
		t.Errorf("its socket: %v", err)
	} else {
		_ = c.Close()
	}
}
