package socket

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
)

// TestNamedSocketIsAlone checks that the folder has the socket and nothing else, and
// stays when the socket is closed: a container has it mounted.
func TestNamedSocketIsAlone(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	agentSocket := filepath.Join(testsocket.ShortDir(t), "kyc-agentd", "agent.sock")
	listen(t, agentSocket)
	ln, err := ListenNamed(agentSocket, "extra")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(filepath.Dir(agentSocket), "sockets", "extra", "agent.sock")
	if got := ln.Addr().String(); got != path || got != NamedPath(agentSocket, "extra") {
		t.Errorf("address %s, want %s", got, path)
	}
	folder := filepath.Dir(path)
	for _, dir := range []string{folder, filepath.Dir(folder)} {
		if got := mode(t, dir); got != fs.ModeDir|0o700 {
			t.Errorf("%s is %s", dir, got)
		}
	}
	if got := mode(t, path); got != fs.ModeSocket|0o600 {
		t.Errorf("socket is %s", got)
	}
	if got := names(t, folder); got != "agent.sock" {
		t.Errorf("the folder has %s", got)
	}
	if _, err := ListenNamed(agentSocket, "extra"); agent.CodeOf(err) != agent.CodeUnavailable {
		t.Errorf("the second one: %v", err)
	}
	before, err := os.Stat(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if got := names(t, folder); got != "" {
		t.Errorf("after Close the folder has %s", got)
	}
	again, err := ListenNamed(agentSocket, "extra")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if after, err := os.Stat(folder); err != nil || !os.SameFile(before, after) {
		t.Errorf("another folder: %v", err)
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func TestNamedSocketRefuses(t *testing.T) {
	dir := testsocket.ShortDir(t)
	agentSocket := filepath.Join(dir, "agent.sock")
	for _, name := range []string{"", ".", "..", "a/b", "../x", "/", "a\x00", strings.Repeat("x", MaxPath)} {
		_, err := ListenNamed(agentSocket, name)
		fixture.WantError(t, err, agent.CodeConfiguration)
	}
	if got := names(t, dir); got != "" {
		t.Errorf("left %s", got)
	}
	if err := os.Symlink(t.TempDir(), filepath.Join(dir, "sockets")); err != nil {
		t.Fatal(err)
	}
	_, err := ListenNamed(agentSocket, "extra")
	fixture.WantError(t, err, agent.CodeConfiguration, "sockets is a symbolic link")
	if err := os.Remove(filepath.Join(dir, "sockets")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "sockets", "extra"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "sockets", "extra"), 0o777); err != nil {
		t.Fatal(err)
	}
	_, err = ListenNamed(agentSocket, "extra")
	fixture.WantError(t, err, agent.CodeConfiguration, "extra has mode 0777; run: chmod 700 ")
}

func TestRemoveNamed(t *testing.T) {
	agentSocket := filepath.Join(testsocket.ShortDir(t), "kyc-agentd", "agent.sock")
	if got := RemoveNamed(agentSocket, nil); got != nil {
		t.Errorf("without a folder: %v", got)
	}
	listen(t, agentSocket)
	lns := map[string]*Listener{}
	for _, name := range []string{"ai", "ci", "killed", "kept", "notes"} {
		ln, err := ListenNamed(agentSocket, name)
		if err != nil {
			t.Fatal(err)
		}
		lns[name] = ln
	}
	sockets := filepath.Join(filepath.Dir(agentSocket), "sockets")
	for _, name := range []string{"ai", "kept", "notes"} {
		_ = lns[name].Close()
	}
	// A killed agent leaves its socket and its lock file.
	_ = lns["killed"].Close()
	stale := fixture.StaleSocket(t, filepath.Join(sockets, "killed"))
	if err := os.Rename(stale, filepath.Join(sockets, "killed", "agent.sock")); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(sockets, "notes", "mine"))
	mkdir(t, filepath.Join(sockets, "Other"), 0o700)
	mkdir(t, filepath.Join(filepath.Dir(agentSocket), "away"), 0o700)
	if err := os.Symlink("../away", filepath.Join(sockets, "link")); err != nil {
		t.Fatal(err)
	}
	got := RemoveNamed(agentSocket, []string{"kept"})
	slices.Sort(got)
	if strings.Join(got, " ") != "ai killed" {
		t.Errorf("removed %v", got)
	}
	if got, want := names(t, sockets), "Other ci ci.lock kept kept.lock link notes notes.lock"; got != want {
		t.Errorf("left %s\nwant %s", got, want)
	}
	again, err := ListenNamed(agentSocket, "ai")
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
	_ = lns["ci"].Close()
}
