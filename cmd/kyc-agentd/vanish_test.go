package main

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testlog"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc"
)

// A vanishing is a daemon with a sign-in in memory, in a runtime folder that a test can
// remove.
type vanishing struct {
	*fixture
	runtime string
	daemon  *running
	log     testlog.Buffer
	next    func() string // the next message to the service manager
	manager string        // its socket
}

func newVanishing(t *testing.T, env ...string) *vanishing {
	t.Helper()
	h := newFixture(t)
	v := &vanishing{fixture: h, runtime: filepath.Join(h.dir, "run")}
	if err := os.Mkdir(v.runtime, 0o700); err != nil {
		t.Fatal(err)
	}
	h.env = append(h.env, "XDG_RUNTIME_DIR="+v.runtime)
	v.manager, v.next = testsocket.ServiceManager(t)
	cmd := kycAgentd("serve", "--store", "memory")
	cmd.Env = slices.Concat(h.env, env, []string{"NOTIFY_SOCKET=" + v.manager})
	cmd.Stderr = &v.log
	r, err := start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	v.daemon = r
	t.Cleanup(func() {
		_ = r.Process.Kill()
		<-r.exited
		if t.Failed() {
			t.Logf("the log:\n%s", v.log.String())
		}
	})
	for !strings.HasPrefix(v.next(), "READY=1") {
	}
	v.login()
	return v
}

func (v *vanishing) folder() string { return filepath.Join(v.runtime, "kyc-agentd") }
func (v *vanishing) socket() string { return filepath.Join(v.folder(), "agent.sock") }

// served waits until a client gets a token, and returns how long that took.
func (v *vanishing) served() time.Duration {
	v.t.Helper()
	began := time.Now()
	client := &ipc.Client{Socket: v.socket()}
	v.await("a token", func() bool {
		_, err := client.Token(v.t.Context(), agent.TokenRequest{})
		return err == nil
	})
	return time.Since(began)
}

func (v *vanishing) await(what string, ok func() bool) {
	v.t.Helper()
	poll, end := time.NewTicker(20*time.Millisecond), time.After(time.Minute)
	defer poll.Stop()
	for !ok() {
		select {
		case <-poll.C:
		case <-v.daemon.exited:
			v.t.Fatalf("the daemon ended while the test waited for %s", what)
		case <-end:
			v.t.Fatalf("timeout while waiting for %s", what)
		}
	}
}

func (v *vanishing) logged(text string) bool { return strings.Contains(v.log.String(), text) }

func (v *vanishing) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

// TestSocketVanishes checks that the agent is reachable again, with its sign-in, whatever
// was done to its socket.
func TestSocketVanishes(t *testing.T) {
	for name, vanish := range map[string]func(v *vanishing){
		"the socket":                func(v *vanishing) { v.must(os.Remove(v.socket())) },
		"the socket, moved away":    func(v *vanishing) { v.must(os.Rename(v.socket(), v.socket()+".old")) },
		"its folder":                func(v *vanishing) { v.must(os.RemoveAll(v.folder())) },
		"its folder, moved away":    func(v *vanishing) { v.must(os.Rename(v.folder(), v.folder()+".old")) },
		"its folder, without locks": func(v *vanishing) { v.must(os.RemoveAll(v.folder())); v.must(os.Mkdir(v.folder(), 0o700)) },
		"the runtime folder": func(v *vanishing) {
			v.must(os.RemoveAll(v.runtime))
			v.await("the log line", func() bool { return v.logged("there is no folder " + v.runtime) })
			v.must(os.Mkdir(v.runtime, 0o700))
		},
		"for a dead socket": func(v *vanishing) {
			v.must(os.Remove(v.socket()))
			ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: v.socket(), Net: "unix"})
			v.must(err)
			ln.SetUnlinkOnClose(false)
			v.must(ln.Close())
		},
		"for a live one": func(v *vanishing) {
			v.must(os.Remove(v.socket()))
			ln, err := net.Listen("unix", v.socket())
			v.must(err)
			v.await("the log line", func() bool { return v.logged(" on " + v.socket()) })
			v.must(ln.Close())
		},
		"for a file": func(v *vanishing) {
			v.must(os.Remove(v.socket()))
			v.must(os.WriteFile(v.socket(), []byte("precious"), 0o600))
			v.await("the log line", func() bool { return v.logged("is not a socket") })
			if got, err := os.ReadFile(v.socket()); err != nil || string(got) != "precious" {
				v.t.Errorf("%q, %v", got, err)
			}
			v.must(os.Remove(v.socket()))
		},
		"for a folder that others can enter": func(v *vanishing) {
			v.must(os.RemoveAll(v.folder()))
			v.must(os.Mkdir(v.folder(), 0o755))
			v.must(os.Chmod(v.folder(), 0o755))
			v.await("the log line", func() bool { return v.logged("run: chmod 700 ") })
			v.must(os.Chmod(v.folder(), 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVanishing(t)
			vanish(v)
			t.Logf("served again after %s", v.served().Round(10*time.Millisecond))
			if n := v.cognito.SignIns(); n != 1 {
				t.Errorf("%d sign-ins", n)
			}
			const again = "the agent has made it again"
			v.await("the log line", func() bool { return v.logged(again) })
			if n := strings.Count(v.log.String(), again); n != 1 {
				t.Errorf("%d log lines", n)
			}
			second := v.run("", kycAgentd("serve", "--store", "memory"))
			if second.exit != exitTemporary || !strings.Contains(second.errOut, "already answers on") {
				t.Errorf("a second agent: %+v", second)
			}
			v.stop(v.daemon)
			if _, err := os.Lstat(v.socket()); !os.IsNotExist(err) {
				t.Errorf("after the stop: %v", err)
			}
		})
	}
}

// TestWatchdogWithoutASocket checks that the watchdog is fed while no client can reach the
// daemon, because the daemon does not hang; and while nobody can make a new connection to
// the service manager, whose socket is in the same runtime folder.
func TestWatchdogWithoutASocket(t *testing.T) {
	t.Parallel()
	v := newVanishing(t, "WATCHDOG_USEC=600000")
	v.must(os.Remove(v.manager))
	v.must(os.RemoveAll(v.runtime))
	v.await("the log line", func() bool { return v.logged("cannot be made again") })
	for range 20 {
		if got := v.next(); got != "WATCHDOG=1" {
			t.Errorf("%q", got)
		}
	}
	if v.logged("does not answer on its own socket") {
		t.Error("it takes itself for one that hangs")
	}
}
