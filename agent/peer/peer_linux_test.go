package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// The variables by which this test binary becomes another program.
const (
	connectTo   = "KYC_TEST_CONNECT"    // connects there, and ends with its standard input
	asOldKernel = "KYC_TEST_OLD_KERNEL" // all tests again, on a kernel of Debian 12
	inPIDSpace  = "KYC_TEST_PID_SPACE"  // in a pid name space of its own: the path of giveaway
)

func TestMain(m *testing.M) {
	if os.Getenv(asOldKernel) != "" {
		if err := testpeer.OldKernel(); err != nil {
			panic(err)
		}
	}
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // or each child sleeps a second at its end
	if path := os.Getenv(connectTo); path != "" {
		c, err := net.Dial("unix", path)
		if err != nil {
			panic(err)
		}
		defer c.Close()
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		return
	}
	code := m.Run()
	testpeer.Cleanup()
	os.Exit(code)
}

// wantMethod returns what this kernel has, which may be old without a filter.
func wantMethod() Method {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		panic(err)
	}
	defer func() { _, _ = unix.Close(pair[0]), unix.Close(pair[1]) }()
	pidfd, err := unix.GetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	if err != nil {
		return MethodPidfdOpen
	}
	_ = unix.Close(pidfd)
	return MethodPeerPidfd
}

// Every test of this package passes on an older kernel as well.
func TestOnOldKernel(t *testing.T) {
	if os.Getenv(asOldKernel) != "" || os.Getenv(inPIDSpace) != "" {
		t.Skip("this is the inner run")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), asOldKernel+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestFacts") {
		t.Errorf("%v\n%s", err, out)
	}
}

func listen(t *testing.T) *net.UnixListener {
	t.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

// connect connects to ln from this process.
func connect(t *testing.T, ln *net.UnixListener) (accepted, client net.Conn) {
	t.Helper()
	client, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return accept(t, ln), client
}

func accept(t *testing.T, ln *net.UnixListener) net.Conn {
	t.Helper()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// client starts a program that connects to ln. stop ends it, and waits for that.
func client(t *testing.T, ln *net.UnixListener, program ...string) (accepted net.Conn, stop func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, self)
	if len(program) > 0 {
		cmd = exec.CommandContext(ctx, program[0], append(program[1:], self)...)
	}
	cmd.Env = append(os.Environ(), connectTo+"="+ln.Addr().String())
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	stop = func() { _ = stdin.Close(); cancel(); _ = cmd.Wait() }
	t.Cleanup(stop)
	return accept(t, ln), stop
}

func TestFacts(t *testing.T) {
	ln := listen(t)
	conn, _ := client(t, ln, "setsid", "sh", "-c", `"$0"; :`) // sh leads the session, in which its child connects
	p := Of(conn)
	defer p.Close()
	facts, err := p.Facts()
	if err != nil {
		t.Fatal(err)
	}
	self, _ := os.Executable()
	if facts.Process.Exe != self || facts.UID != os.Getuid() || facts.Process.PID != p.PID() || p.UID() != os.Getuid() || facts.Process.Start == 0 {
		t.Errorf("the process: %+v", facts)
	}
	if facts.Process.Comm != filepath.Base(self)[:min(15, len(filepath.Base(self)))] {
		t.Errorf("comm is %q", facts.Process.Comm)
	}
	if os.Getenv(asOldKernel) != "" && facts.Method != MethodPidfdOpen {
		t.Errorf("the method is %s on an old kernel", facts.Method)
	}
	if facts.Method != wantMethod() {
		t.Errorf("the method is %s, want %s", facts.Method, wantMethod())
	}
	if facts.Leader.Comm != "sh" || facts.Leader.PID != facts.Session || facts.Leader.TTY != "" {
		t.Errorf("the leader: %+v of session %d", facts.Leader, facts.Session)
	}
	if len(facts.Ancestors) < 2 || facts.Ancestors[0] != facts.Leader || facts.Ancestors[1].PID != os.Getpid() {
		t.Errorf("the ancestors: %+v", facts.Ancestors)
	}
	again, err := p.Facts()
	if err != nil || again.Process != facts.Process {
		t.Errorf("again: %+v, %v", again, err)
	}
}

// A process that has ended is not described, neither by an open connection nor by its zombie.
func TestEnded(t *testing.T) {
	ln := listen(t)
	conn, stop := client(t, ln)
	p := Of(conn)
	defer p.Close()
	late := conn
	stop()
	if facts, err := p.Facts(); !errors.Is(err, ErrEnded) || facts.Process.Comm != "" || facts.Process.PID != p.PID() {
		t.Errorf("got %+v, %v", facts, err)
	}
	q := Of(late)
	defer q.Close()
	if facts, err := q.Facts(); !errors.Is(err, ErrEnded) {
		t.Errorf("asked late: %+v, %v", facts, err)
	}
	if _, err := q.PinLeader(); !errors.Is(err, ErrEnded) {
		t.Errorf("its leader: %v", err)
	}
}

func TestPinLeader(t *testing.T) {
	ln := listen(t)
	conn, stop := client(t, ln, "setsid", "sh", "-c", `"$0"; :`)
	p := Of(conn)
	defer p.Close()
	pin, err := p.PinLeader()
	if err != nil {
		t.Fatal(err)
	}
	defer pin.Close()
	if !pin.Alive() || pin.Process().Comm != "sh" {
		t.Errorf("alive %v: %+v", pin.Alive(), pin.Process())
	}
	stop()
	if pin.Alive() {
		t.Error("it has ended, and is alive")
	}
}

// A session whose leader has ended has none.
func TestLeaderHasEnded(t *testing.T) {
	ln := listen(t)
	conn, _ := client(t, ln, "setsid", "sh", "-c", `exec 3<&0; "$0" <&3 &`)
	p := Of(conn)
	defer p.Close()
	var facts Facts
	for { // sh may still be ending
		var err error
		if facts, err = p.Facts(); err != nil {
			t.Fatal(err)
		}
		if facts.Leader.PID == 0 {
			break
		}
		p.facts = nil
	}
	if facts.Session == 0 {
		t.Errorf("%+v", facts)
	}
	if _, err := p.PinLeader(); !errors.Is(err, ErrEnded) {
		t.Error(err)
	}
}

// Where a filter forbids pidfd_open as well, the start time is left.
func TestStartTimeAlone(t *testing.T) {
	ln := listen(t)
	conn, stop := client(t, ln)
	k := system
	k.named = new(atomic.Bool)
	k.peerPidfd = func(int) (int, error) { return -1, unix.ENOPROTOOPT }
	k.pidfdOpen = func(int) (int, error) { return -1, unix.ENOSYS }
	p := k.of(conn)
	defer p.Close()
	facts, err := p.Facts()
	if err != nil || facts.Method != MethodStartTime {
		t.Errorf("%+v, %v", facts, err)
	}
	p.facts, p.start = nil, p.start+1
	if _, err := p.Facts(); !errors.Is(err, ErrEnded) {
		t.Errorf("another start time: %v", err)
	}
	p.start--
	stop()
	if _, err := p.Facts(); !errors.Is(err, ErrEnded) {
		t.Errorf("ended: %v", err)
	}
}

// Kernels differ in what they say of a process that has ended. None of it leads to the older
// call, which would describe the next process with that number. A kernel that has named a process
// has no reason to refuse the next one, so then no answer leads there.
func TestEndedIsNoFallback(t *testing.T) {
	ended := []error{unix.ESRCH, unix.ENODATA, unix.EINVAL}
	for named, answers := range map[bool][]error{false: ended, true: append(ended, unix.ENOPROTOOPT, unix.EPERM)} {
		for _, errno := range answers {
			k := system
			k.named = new(atomic.Bool)
			k.named.Store(named)
			k.peerPidfd = func(int) (int, error) { return -1, errno }
			conn, _ := connect(t, listen(t))
			p := k.of(conn)
			if _, err := p.Brief(); !errors.Is(err, ErrEnded) {
				t.Errorf("%v, Brief: %v", errno, err)
			}
			if _, err := p.Facts(); !errors.Is(err, ErrEnded) {
				t.Errorf("%v: %v", errno, err)
			}
			p.Close()
		}
	}
}

// A connection of which nobody wants to know anything costs no descriptor, once the kernel has
// shown that it can name the process later.
func TestAsksLate(t *testing.T) {
	if wantMethod() != MethodPeerPidfd {
		t.Skip("this kernel has to be asked at once")
	}
	asked := 0
	k := system
	k.named = new(atomic.Bool)
	k.peerPidfd = func(fd int) (int, error) {
		asked++
		return system.peerPidfd(fd)
	}
	conn, _ := connect(t, listen(t))
	for i := range 3 {
		p := k.of(conn)
		if asked != 1 {
			t.Errorf("connection %d: asked %d times, want once for all", i, asked)
		}
		p.Close()
	}
	p := k.of(conn)
	p.Close()
	if _, err := p.Facts(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if p = k.of(conn); p.pidfd >= 0 {
		t.Error("there is a pidfd already")
	}
	defer p.Close()
	if facts, err := p.Facts(); err != nil || facts.Method != MethodPeerPidfd || asked != 2 || p.pidfd < 0 {
		t.Errorf("%+v, %v; asked %d times", facts, err, asked)
	}
}

func TestNoSocket(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if facts, err := Of(a).Facts(); err == nil || facts.UID != -1 {
		t.Errorf("%+v, %v", facts, err)
	}
}

// Close leaves no descriptor open.
func TestClose(t *testing.T) {
	conn, _ := connect(t, listen(t))
	before := descriptors(t)
	for range 10 {
		p := Of(conn)
		pin, err := p.PinLeader()
		if err == nil {
			pin.Close()
		}
		p.Close()
		p.Close()
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, before %d", after, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestParseStat(t *testing.T) {
	st, err := parseStat([]byte("7 (a) R 1 (\n) S 3 7 5 34820 7 4194560 0 0 0 0 0 0 0 0 20 0 1 0 987654321 0 0"))
	if err != nil || st.comm != "a) R 1 (\n" || st.state != 'S' || st.parent != 3 || st.session != 5 || st.start != 987654321 || ttyName(st.tty) != "pts/4" {
		t.Errorf("%+v, %v", st, err)
	}
	for _, bad := range []string{"", "7", "7 (a", "7 a) (", "7 (a) S 1"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for dev, want := range map[uint64]string{0: "", 4<<8 | 2: "tty2", 4<<8 | 64: "ttyS0", 5<<8 | 1: "console", 137<<8 | 1: "pts/257", 204<<8 | 64: "terminal 204:64"} {
		if got := ttyName(dev); got != want {
			t.Errorf("%d: %q, want %q", dev, got, want)
		}
	}
}

// A process connects and ends, and another one gets its number. What is told is never about
// that one. make test-long makes 2,000 attempts, on each kernel.
func TestNumberReused(t *testing.T) {
	testpeer.Root(t)
	if os.Getenv(inPIDSpace) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNumberReused$", "-test.v", "-test.count=1")
		cmd.Env = append(os.Environ(), inPIDSpace+"="+testpeer.Tool(t, "agent/peer/internal/giveaway"))
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("%v\n%s", err, out)
		}
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "attempts") {
				t.Log(strings.TrimSpace(line))
			}
		}
		return
	}
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		t.Fatal(err)
	}
	want, reused, passed := testpeer.Rounds(20, 2000), 0, 0
	ln := listen(t)
	for tries := 0; reused < want && tries < 10*want; tries++ {
		conn, held, pid := connectAndEnd(t, ln)
		p := Of(conn.before())
		conn.end()
		if other, ok := startAs(t, pid); ok {
			reused++
			for _, q := range []*Peer{p, conn.after()} {
				if q == nil {
					continue
				}
				if facts, err := q.Facts(); err == nil {
					passed++
					t.Errorf("told of %+v", facts)
				}
				if _, err := q.PinLeader(); err == nil {
					t.Error("its leader is pinned")
				}
				q.Close()
			}
			other()
		}
		p.Close()
		_ = held.Close()
		_ = conn.accepted.Close()
	}
	t.Logf("%s: %d attempts with a number that was given again, %d passed", wantMethod(), reused, passed)
	if reused < want {
		t.Errorf("the number was given again %d times", reused)
	}
}

// A departed is a connection whose process ends.
type departed struct {
	accepted net.Conn
	end      func()
}

func (d departed) before() net.Conn { return d.accepted }

// after asks once the number is another process's. Only SO_PEERPIDFD can tell then.
func (d departed) after() *Peer {
	if wantMethod() != MethodPeerPidfd {
		return nil
	}
	return Of(d.accepted)
}

// connectAndEnd starts a process that connects, and ends when end is called. held keeps the
// connection open.
func connectAndEnd(t *testing.T, ln *net.UnixListener) (conn departed, held *os.File, pid int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "pair")
	cmd := exec.CommandContext(t.Context(), os.Getenv(inPIDSpace), ln.Addr().String())
	cmd.ExtraFiles = []*os.File{theirs}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	conn.accepted = accept(t, ln)
	ended := false
	conn.end = func() {
		if !ended {
			_ = cmd.Wait()
		}
		ended = true
	}
	oob := make([]byte, 64)
	_, n, _, _, err := unix.Recvmsg(pair[0], make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
	_ = unix.Close(pair[0])
	if err != nil {
		t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		t.Fatal(err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		t.Fatal(err)
	}
	return conn, os.NewFile(uintptr(fds[0]), "held"), cmd.Process.Pid
}

// startAs starts another process with the number pid. It does not succeed if a thread of this
// one gets the number.
func startAs(t *testing.T, pid int) (stop func(), ok bool) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	if cmd.Process.Pid != pid {
		stop()
		return nil, false
	}
	return stop, true
}

func Example() {
	ln, err := net.Listen("unix", filepath.Join(os.TempDir(), "example.sock"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ln.Close()
	go func() { _, _ = net.Dial("unix", ln.Addr().String()) }()
	conn, err := ln.Accept()
	if err != nil {
		fmt.Println(err)
		return
	}
	p := Of(conn)
	defer p.Close()
	facts, err := p.Facts()
	fmt.Println(facts.Process.PID == os.Getpid(), err)
	// Output: true <nil>
}
