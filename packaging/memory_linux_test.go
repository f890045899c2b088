package packaging_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testlog"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
)

// thief is the user of an agent, and of a program that reads its memory.
const thief = 12345

// TestMemoryIsClosedFromTheStart starts each installed agent 20 times, with a process of the
// same user that opens what it can of the agent and of its keyring's child until the agent is
// ready: what is open stays readable, when the secrets are there, too.
func TestMemoryIsClosedFromTheStart(t *testing.T) {
	if program := os.Getenv("KYC_TEST_THIEF"); program != "" {
		steal(program)
		return
	}
	testpeer.Root(t)
	m := newMakeEnv(t)
	dir := testsocket.ShortDir(t)
	stage, self := filepath.Join(dir, "stage"), filepath.Join(dir, "self")
	m.home = filepath.Join(dir, "home")
	m.mustRun("install")
	m.mustRun("install", "PREFIX=/usr", "DESTDIR="+stage)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copyFile(t, program, self)
	installed, packaged := filepath.Join(m.home, ".local/bin/kyc-agentd"), filepath.Join(stage, "usr/bin/kyc-agentd")
	readable := filepath.Join(m.home, "readable")
	copyFile(t, installed, readable)
	modes := []error{os.Chmod(dir, 0o755), os.Chmod(self, 0o755), os.Chmod(readable, 0o755)}
	for path := range files(t, m.home) {
		modes = append(modes, os.Lchown(filepath.Join(m.home, path), thief, thief))
	}
	if err := errors.Join(append(modes, os.Chown(m.home, thief, thief))...); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, program string
		open          bool
	}{
		{"of the packages", packaged, false},
		{"of make install", installed, false},
		{"that its user can read", readable, true}, // else the test proves nothing
	} {
		var got stolen
		runAsThief(t, self, m.home, "KYC_TEST_THIEF="+c.program, &got)
		t.Logf("the kyc-agentd %s: opened in %d starts: %v; children seen: %d", c.name, got.Starts, got.Opened, got.Children)
		if got.Starts != 20 || got.Children == 0 || (got.Opened["agent mem"] > 0) != c.open || !c.open && len(got.Opened) > 0 {
			t.Errorf("the kyc-agentd %s: %+v", c.name, got)
		}
	}
}

// runAsThief runs this test again, by self, a copy of its program, as the user thief and with
// variable in its environment. What that prints is read into result.
func runAsThief(t *testing.T, self, home, variable string, result any) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$")
	cmd.Env = []string{variable, "HOME=" + home, "XDG_RUNTIME_DIR=" + home}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: thief, Gid: thief}}
	cmd.Dir, cmd.Stderr = home, os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.NewDecoder(bytes.NewReader(out)).Decode(result)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// stolen says in how many of the starts a file of the agent's was opened.
type stolen struct {
	Starts, Children int
	Opened           map[string]int
}

// steal does what TestMemoryIsClosedFromTheStart says, and prints the result.
func steal(program string) {
	got := stolen{Opened: map[string]int{}}
	for range 20 {
		opened, children, err := stealOnce(program)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		got.Starts++
		got.Children += children
		for name, open := range opened {
			if open {
				got.Opened[name]++
			}
		}
	}
	_ = json.NewEncoder(os.Stdout).Encode(got)
	os.Exit(0)
}

// stealOnce starts an agent, and opens files of it until it is ready.
func stealOnce(program string) (opened map[string]bool, children int, err error) {
	cmd := exec.Command(program, "serve", "--store", "keyring") // there is none, and it is asked
	ready := &readyWriter{ready: make(chan struct{})}
	cmd.Stderr = ready
	if err := cmd.Start(); err != nil { // returns after execve
		return nil, 0, err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	defer func() {
		_ = cmd.Process.Kill()
		<-ended
	}()
	opened = map[string]bool{}
	agent, seen := fmt.Sprintf("/proc/%d/", cmd.Process.Pid), map[string]bool{}
	for {
		openAll(opened, "agent ", agent, "mem", "maps", "environ", "auxv")
		for _, child := range childrenOf(agent) {
			seen[child] = true
			// Before its execve the child has the agent's memory, which is closed.
			openAll(opened, "child ", "/proc/"+child+"/", "mem", "maps", "fd/0", "fd/1")
		}
		select {
		case <-ready.ready:
			if !strings.Contains(ready.text.String(), "no session bus") {
				return nil, 0, fmt.Errorf("the keyring's child did not answer: %s", ready.text.String())
			}
			return opened, len(seen), nil
		case <-ended:
			return nil, 0, fmt.Errorf("the agent ended: %s", ready.text.String())
		default:
		}
	}
}

func openAll(opened map[string]bool, whose, dir string, names ...string) {
	for _, name := range names {
		f, err := os.OpenFile(dir+name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			continue
		}
		// The maps of a process that has ended open, and are empty. Of the others, memory has
		// nothing at 0, and a descriptor perhaps nothing yet.
		_, err = f.Read(make([]byte, 1))
		opened[whose+name] = opened[whose+name] || name != "maps" || err == nil
		_ = f.Close()
	}
}

func childrenOf(dir string) (pids []string) {
	tasks, _ := filepath.Glob(dir + "task/*/children")
	for _, path := range tasks {
		text, _ := os.ReadFile(path)
		pids = append(pids, strings.Fields(string(text))...)
	}
	return pids
}

// A readyWriter is the log of an agent. It closes ready when the agent says that it is.
type readyWriter struct {
	text  testlog.Buffer // the agent goes on logging
	ready chan struct{}
	said  bool
}

var _ io.Writer = (*readyWriter)(nil)

func (w *readyWriter) Write(p []byte) (int, error) {
	_, _ = w.text.Write(p)
	if !w.said && strings.Contains(w.text.String(), `"msg":"ready"`) {
		w.said = true
		close(w.ready)
	}
	return len(p), nil
}
