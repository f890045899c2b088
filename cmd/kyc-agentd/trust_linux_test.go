package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// Two users of a machine, who are in none of its lists, as in a container.
const (
	ana = 54001
	bob = 54002
)

// serveNowhere starts a daemon that ends in any case: it looks at its socket after its configuration.
var serveNowhere = []string{"serve", "--store", "memory", "--socket", "/dev/null/agent.sock"}

// as runs cmd as uid, whose home is the fixture's folder. The new process has the rights to
// execute the test binary already.
func (h *fixture) as(uid uint32, cmd *exec.Cmd) *exec.Cmd {
	cmd.Path, cmd.Dir = "/proc/self/exe", h.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	return cmd
}

// own gives files of the fixture to uid and their groups to gid.
func (h *fixture) own(uid, gid int, names ...string) {
	h.t.Helper()
	for _, name := range names {
		if err := os.Lchown(filepath.Join(h.dir, name), uid, gid); err != nil {
			h.t.Fatal(err)
		}
	}
}

// Whose config.toml an ordinary user's agent reads, at its start and at a reload.
func TestWhoseConfiguration(t *testing.T) {
	testpeer.Root(t)
	const conf, file = ".config/kyc-agent", ".config/kyc-agent/config.toml"
	chmod := func(mode uint32, name string) func(*fixture) {
		return func(h *fixture) {
			if err := syscall.Chmod(filepath.Join(h.dir, name), mode); err != nil {
				h.t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		name    string
		arrange func(*fixture)
		want    string // of the refusal; "" is none
	}{
		{"ana's", func(*fixture) {}, ""},
		{"root's", func(h *fixture) { h.own(0, 0, conf, file) }, ""},
		{"ana's, for everybody", chmod(0o666, file), fmt.Sprintf("HOME/%s can be written by others (mode 0666); run: chmod go-w HOME/%s", file, file)},
		{"root's, for everybody", func(h *fixture) { h.own(0, 0, file); chmod(0o666, file)(h) }, "; run: sudo chmod go-w HOME/" + file},
		{"bob's", func(h *fixture) { h.own(bob, bob, file) },
			fmt.Sprintf("HOME/%s belongs to uid %d; read it, then run: sudo chown %d HOME/%s", file, bob, ana, file)},
		{"in bob's folder", func(h *fixture) { h.own(bob, bob, conf) }, fmt.Sprintf("HOME/%s belongs to uid %d, who can replace ", conf, bob)},
		{"umask 002", func(h *fixture) { chmod(0o664, file)(h); chmod(0o775, conf)(h); chmod(0o775, ".config")(h) }, ""},
		{"bob's group", func(h *fixture) { h.own(ana, bob, file); chmod(0o664, file)(h) }, "(mode 0664); run: chmod go-w HOME/" + file},
		{"in a folder of bob's group", func(h *fixture) { h.own(ana, bob, conf); chmod(0o770, conf)(h) }, "they can write to HOME/" + conf + " (mode 0770)"},
		{"below a folder for everybody", chmod(0o777, ".config"), "they can write to HOME/.config (mode 0777); run: chmod go-w HOME/.config"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newFixture(t)
			h.configure(ci(map[string]string{"username": "", "password_file": ""}))
			chmod(0o755, conf)(h)
			chmod(0o644, file)(h)
			h.own(ana, ana, ".", ".config", conf, file)
			d := h.launched(h.as(ana, h.serve("--store", "memory")))
			tt.arrange(h)
			want := strings.ReplaceAll(tt.want, "HOME", h.dir)
			h.agrees(h.run("", h.as(ana, kycAgentd("reload"))), want, "configuration reloaded")
			h.stop(d)
			if want == "" {
				h.launched(h.as(ana, h.serve("--store", "memory")))
			} else {
				h.agrees(h.run("", h.as(ana, kycAgentd(serveNowhere...))), want, "")
			}
		})
	}
}

// agrees checks that a command was refused with want, or succeeded with said if want is "".
func (h *fixture) agrees(got outcome, want, said string) {
	h.t.Helper()
	if want == "" && (got.exit != exitOK || got.errOut != "kyc-agentd: "+said+"\n") ||
		want != "" && (got.exit != exitConfiguration || !strings.Contains(got.errOut, want)) {
		h.t.Errorf("%+v\nwant %s", got, want)
	}
}

// The folders of a ConfigMap are for everybody, and nobody can write there.
func TestConfigurationOnAReadOnlyMount(t *testing.T) {
	h := newFixture(t)
	h.configure(ci(nil))
	h.writeSecret(filepath.Join(h.dir, "password"), "correct horse")
	path := filepath.Join(h.dir, ".config", "kyc-agent")
	volume := testpeer.Tmpfs(t)
	text, err := os.ReadFile(filepath.Join(path, "config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.Chmod(volume, 0o777), os.WriteFile(filepath.Join(volume, "config.toml"), text, 0o644), os.RemoveAll(path), os.Symlink(volume, path),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	h.agrees(h.run("", kycAgentd(serveNowhere...)), "they can write to "+volume+" (mode 0777)", "")
	testpeer.Mount(t, "", volume, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
	h.daemon("--store", "memory")
	h.token("ci")
}
