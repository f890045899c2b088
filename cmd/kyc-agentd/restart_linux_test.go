package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// install puts a kyc-agentd of its own into the home folder, as a package does: by a rename.
func (s *binaries) install(content []byte, mode os.FileMode) {
	s.t.Helper()
	s.installed = filepath.Join(s.dir, "bin", "kyc-agentd")
	err := os.MkdirAll(filepath.Dir(s.installed), 0o755)
	if err == nil {
		err = testpeer.WriteProgram(s.installed+".new", content, 0o700)
	}
	if err == nil {
		err = os.Chmod(s.installed+".new", mode)
	}
	if err == nil {
		err = os.Rename(s.installed+".new", s.installed)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// installVersion installs a kyc-agentd that says it has this version.
func (s *binaries) installVersion(version string) {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "kyc-agentd")
	cmd := exec.Command("go", "build", "-o", path, "-ldflags=-s -w -X main.version="+version, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	s.install(program, 0o755)
}

func (s *binaries) status() agent.Status {
	s.t.Helper()
	st, err := s.client().Status(within(s.t, time.Minute))
	if err != nil {
		s.t.Fatal(err)
	}
	return st
}

// anotherImage waits until another image than before answers.
func (s *binaries) anotherImage(before agent.Status) agent.Status {
	s.t.Helper()
	var st agent.Status
	awaitState(s.t, "another image of the daemon", func() bool {
		st, _ = s.client().Status(context.Background())
		return st.Images > before.Images
	})
	return st
}

func newSignedIn(t *testing.T, options ...cognitotest.Option) (*binaries, *cognitotest.Server) {
	t.Helper()
	srv := cognitotest.New(options...)
	t.Cleanup(srv.Close)
	srv.AddUser(cognitotest.User{Name: "ada", Password: "Plum-stone-41"})
	return newBinaries(t, srv.URL, srv.PoolID, srv.ClientID), srv
}

// An upgrade keeps a memory store's sign-in, the process id and the socket's file, and no
// request of 50 busy clients fails with anything but "try again".
func TestUpgradeUnderLoad(t *testing.T) {
	s, srv := newSignedIn(t)
	testpeer.Build(t, "kyc-token")
	s.installVersion("1.0.0-old")
	p := s.start("--store", "memory")
	s.login("prod", "ada", "Plum-stone-41")
	before := s.status()
	socket, err := os.Stat(s.socket())
	if err != nil {
		t.Fatal(err)
	}
	s.installVersion("1.0.1-new")

	var busy sync.WaitGroup
	var answered, later atomic.Int64
	stop := make(chan struct{})
	for range 50 {
		busy.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				switch exit, _, errOut := s.run("", "kyc-token", "prod"); exit {
				case exitOK:
					answered.Add(1)
				case exitTemporary:
					later.Add(1)
				default:
					t.Errorf("exit %d: %s", exit, errOut)
				}
			}
		})
	}
	for round := range testpeer.Rounds(2, 30) {
		was := s.status()
		if exit, _, errOut := s.run("", "kyc-agentd", "restart", "--upgrade"); exit != exitOK {
			t.Fatalf("round %d: exit %d: %s\n%s", round, exit, errOut, p.log.String())
		}
		s.anotherImage(was)
	}
	close(stop)
	busy.Wait()
	after := s.status()
	t.Logf("%d tokens, %d told to try again, over %d images", answered.Load(), later.Load(), after.Images)
	if after.PID != before.PID || after.Version != "1.0.1-new" || answered.Load() == 0 {
		t.Errorf("process %d → %d, version %s → %s", before.PID, after.PID, before.Version, after.Version)
	}
	if now, err := os.Stat(s.socket()); err != nil || !os.SameFile(socket, now) {
		t.Errorf("the socket's file is another one: %v", err)
	}
	if n := srv.SignIns(); n != 1 {
		t.Errorf("%d sign-ins", n)
	}
	p.stop()
	if _, err := os.Stat(s.socket()); err == nil {
		t.Error("the socket is left behind")
	}
}

// Whatever is wrong with the installed program, the old daemon goes on and says what it is.
func TestUpgradeThatFails(t *testing.T) {
	s, _ := newSignedIn(t)
	program, err := os.ReadFile(testpeer.Build(t, "kyc-agentd"))
	if err != nil {
		t.Fatal(err)
	}
	s.install(program, 0o755)
	p := s.start("--store", "memory")
	s.login("prod", "ada", "Plum-stone-41")
	client := testpeer.Build(t, "kyc-agentd")
	for what, c := range map[string]struct {
		spoil func()
		want  string
	}{
		"missing":       {func() { _ = os.Remove(s.installed) }, "no such file"},
		"another arch":  {func() { s.install([]byte("\x7fELF\x01\x02garbage"), 0o755) }, "exec format error"},
		"not to be run": {func() { s.install(program, 0o644) }, "permission denied"},
		"open to all":   {func() { s.install(program, 0o777) }, "can be written by others"},
		"too old":       {func() { s.install([]byte("#!/bin/sh\necho 'kyc-agentd: unknown flag --check' >&2; exit 64\n"), 0o755) }, "unknown flag"},
		"another":       {func() { s.install([]byte("#!/bin/sh\necho hello\n"), 0o755) }, "cannot take over"},
		"wrong config": {func() {
			s.install([]byte("#!/bin/sh\necho \"kyc-agentd: config.toml:3: unknown key colour\" >&2; exit 78\n"), 0o755)
		}, "unknown key colour"},
	} {
		c.spoil()
		cmd := exec.Command(client, "restart", "--upgrade")
		cmd.Env = s.env
		out, _ := cmd.CombinedOutput()
		if exit := cmd.ProcessState.ExitCode(); exit != exitConfiguration || !strings.Contains(string(out), c.want) ||
			!strings.Contains(string(out), "goes on as before") || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%s: exit %d: %s", what, exit, out)
		}
		if exit, _, errOut := s.run("", "kyc-token", "prod"); exit != exitOK {
			t.Errorf("%s: kyc-token: exit %d: %s", what, exit, errOut)
		}
	}
	if n := s.status().Images; n != 0 {
		t.Errorf("%d images", n)
	}
	s.install(program, 0o755)
	s.must("kyc-agentd", "restart", "--upgrade")
	s.must("kyc-token", "prod")
	p.stop()
}

// What the store does not take outlives the upgrade, too, and so does the lock of its folder.
func TestUpgradeKeepsTheUnsaved(t *testing.T) {
	s, srv := newSignedIn(t, cognitotest.Rotation(time.Second))
	s.fileStore()
	p := s.start()
	s.login("prod", "ada", "Plum-stone-41")
	s.must("kyc-agentd", "restart", "--upgrade")
	if exit, _, errOut := s.run("", "kyc-agentd", "serve", "--socket", filepath.Join(s.dir, "run", "second.sock")); exit == exitOK || !strings.Contains(errOut, "in use by another kyc-agentd (pid") {
		t.Errorf("a second daemon: exit %d: %s", exit, errOut)
	}
	srv.Set(cognitotest.IDTokenLifetime(2 * time.Second))
	s.must("kyc-token", "prod")
	record := filepath.Join(s.dir, ".local", "state", "kyc-agent", "prod.age")
	if err := os.Remove(record); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(record, 0o700); err != nil { // nothing can be written there
		t.Fatal(err)
	}
	awaitState(t, "unsaved", func() bool {
		s.run("", "kyc-token", "prod")
		return stateOf(s.status(), "prod") == agent.StateUnsaved
	})
	was := s.status()
	s.must("kyc-agentd", "restart", "--upgrade")
	s.anotherImage(was)
	if err := os.Remove(record); err != nil {
		t.Fatal(err)
	}
	awaitState(t, "saved", func() bool { info, err := os.Stat(record); return err == nil && info.Mode().IsRegular() })
	s.must("kyc-token", "prod")
	p.stop()
	s.start()
	s.must("kyc-token", "prod")
}

func stateOf(st agent.Status, environment string) agent.State {
	for _, e := range st.Environments {
		if e.Name == environment {
			return e.State
		}
	}
	return ""
}
