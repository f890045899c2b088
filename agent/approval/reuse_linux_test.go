package approval

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/peer"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// The variables by which this test binary becomes another program.
const (
	asOldKernel = "KYC_TEST_OLD_KERNEL" // on a kernel of Debian 12
	inPIDSpace  = "KYC_TEST_PID_SPACE"  // in a pid name space of its own, with the path of kyc-token
)

func TestMain(m *testing.M) {
	if os.Getenv(asOldKernel) != "" {
		if err := testpeer.OldKernel(); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	testpeer.Cleanup()
	os.Exit(code)
}

// A session leader asks and ends, before or after the answer, and another session leader gets its
// number. No such one may use what the first one was approved for. make test-long makes 2,000
// attempts, on each kernel.
func TestNumberReused(t *testing.T) {
	testpeer.Root(t)
	if os.Getenv(inPIDSpace) != "" {
		reuseNumbers(t)
		return
	}
	for name, kernel := range map[string]string{"this kernel": "", "an older kernel": "1"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNumberReused$", "-test.v", "-test.count=1")
		cmd.Env = append(os.Environ(), inPIDSpace+"="+testpeer.Build(t, "kyc-token"), asOldKernel+"="+kernel)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "attempts") {
				t.Logf("%s: %s", name, strings.TrimSpace(line))
			}
		}
	}
}

func reuseNumbers(t *testing.T) {
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		t.Fatal(err)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	want, reused, passed := testpeer.Rounds(20, 2000), 0, 0
	method := peer.Method("")
	for tries := 0; reused < want && tries < 10*want; tries++ {
		a := New(Options{})
		first, end := connected(t, ln, 0)
		if facts, err := first.Facts(); err == nil {
			method = facts.Method
		}
		code := ask(t, a, Of(first), token)
		before := tries%2 == 0
		if before {
			approve(t, a, code, Terms{})
			allowed(t, a, Of(first), token, "the first")
		}
		end()
		second, endSecond := connected(t, ln, first.PID())
		if second.PID() == first.PID() {
			reused++
			if !before {
				if _, err := a.Approve(code, Terms{}); agent.CodeOf(err) != agent.CodeUsage {
					t.Errorf("approved after its session had ended: %v", err)
				}
			}
			if id, err := now(a, Of(second), token); id != "" || err == nil {
				passed++
				t.Errorf("another session has the grant %s", id)
			}
		}
		endSecond()
		first.Close()
		second.Close()
	}
	t.Logf("%s: %d attempts with a number that was given again, %d passed", method, reused, passed)
	if reused < want {
		t.Errorf("the number was given again %d times", reused)
	}
}

// connected starts a session leader that connects, with the number pid if that is not 0 and no
// thread of this process gets it. It is kyc-token, which waits for an answer until it is killed;
// this program, as a child, would start a race detector each time.
func connected(t *testing.T, ln *net.UnixListener, pid int) (p *peer.Peer, end func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Getenv(inPIDSpace), "-socket", ln.Addr().String())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if pid != 0 {
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p = peer.Of(c)
	return p, func() { _ = cmd.Process.Kill(); _ = cmd.Wait(); _ = c.Close() }
}
