package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// TestCrowdOnTheExtraSocket fills the socket for forwarding with connections that ask for
// nothing, or for half of something, or that pass descriptors along. Another program gets its
// token at once meanwhile, and the agent keeps none of them.
func TestCrowdOnTheExtraSocket(t *testing.T) {
	testpeer.Long(t)
	testpeer.Root(t) // who alone sees the agent's open files
	h := newFixture(t)
	h.writeConfig("store = \"memory\"\nforward_environments = [\"staging\"]\n")
	cmd := exec.Command(testpeer.Build(t, "kyc-agentd"), "serve")
	cmd.Env, cmd.Stderr = h.env, &logBuffer{t: t}
	d := h.launched(cmd)
	h.login()
	extra := socket.NamedPath(h.socket(), "extra")
	const half = "GET /v1/token HTTP/1.1\r\nHost:"
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	rights := unix.UnixRights(int(null.Fd()), int(null.Fd()), int(null.Fd()), int(null.Fd()))
	before := openFiles(t, d.Process.Pid)
	for _, crowd := range []struct {
		name string
		size int
		send func(*net.UnixConn) error
	}{
		{"idle", 3900, func(*net.UnixConn) error { return nil }},
		{"half a request", 3900, func(c *net.UnixConn) error { _, err := c.Write([]byte(half)); return err }},
		{"descriptors", 500, func(c *net.UnixConn) error {
			for range 8 {
				if _, _, err := c.WriteMsgUnix([]byte("G"), rights, nil); err != nil {
					return err
				}
			}
			return nil
		}},
	} {
		t.Run(crowd.name, func(t *testing.T) {
			begin := time.Now()
			var dropped atomic.Int32
			gone := make(chan struct{}, crowd.size)
			for range crowd.size {
				c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: extra, Net: "unix"})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if err := crowd.send(c); err != nil && dropped.Load() == 0 {
					t.Fatal(err)
				}
				go func() { // until the agent ends it
					_, _ = c.Read(make([]byte, 1<<10))
					dropped.Add(1)
					gone <- struct{}{}
				}()
			}
			asked := time.Now()
			for _, path := range []string{h.socket(), extra} {
				got := h.run("", exec.Command(testpeer.Build(t, "kyc-token"), "-socket", path, "staging"))
				if got.exit != 0 {
					t.Errorf("kyc-token at %s: %+v", filepath.Base(path), got)
				}
			}
			took := time.Since(asked)
			if took > 2*time.Second {
				t.Errorf("kyc-token waited %s", took)
			}
			end := time.After(time.Minute)
			for range crowd.size {
				select {
				case <-gone:
				case <-end:
					t.Fatalf("%d of %d are dropped", dropped.Load(), crowd.size)
				}
			}
			t.Logf("two tokens in %s, all %d dropped after %s, high-water mark %d kB", took, crowd.size, time.Since(begin), procMemory(t, d.Process.Pid, "VmHWM"))
		})
	}
	if after := openFiles(t, d.Process.Pid); after > before+8 {
		t.Errorf("%d open files, and %d before", after, before)
	}
	if kB := procMemory(t, d.Process.Pid, "VmHWM"); kB > 300<<10 {
		t.Errorf("the agent had %d kB", kB)
	}
}

// openFiles counts the descriptors of a process.
func openFiles(t *testing.T, pid int) int {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}
