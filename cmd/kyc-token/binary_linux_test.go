package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// Signals interrupt system calls on a socket with a timeout, even the signals that the
// Go runtime sends to itself.
func TestSignalsDoNotDisturb(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	agent := newFakeAgent(t, func(c net.Conn) {
		close(asked)
		<-answer
		_, _ = io.WriteString(c, ok(tokenLine))
	})
	var stdout, stderr bytes.Buffer
	cmd := program(t, "-socket", agent.path)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	for range 200 {
		interrupt(cmd.Process.Pid)
	}
	close(answer)
	if err := cmd.Wait(); err != nil || stdout.String() != tokenLine {
		t.Errorf("%v, %q, %s", err, stdout.String(), stderr.String())
	}
}

// interrupt sends a preemption signal to each thread of pid.
func interrupt(pid int) {
	tasks, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*"))
	for _, task := range tasks {
		tid, _ := strconv.Atoi(filepath.Base(task))
		_, _, _ = syscall.Syscall(syscall.SYS_TGKILL, uintptr(pid), uintptr(tid), uintptr(syscall.SIGURG))
	}
}

// listenAs listens at path as another user. The kernel records the user id of the thread
// that listens, and on Linux each thread has its own. The thread ends with its goroutine.
func listenAs(t *testing.T, path string, uid int) net.Listener {
	t.Helper()
	fd, err := newSocket()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
			done <- errno
			return
		}
		done <- syscall.Listen(fd, 1)
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	ln, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func TestReallyForeignAgent(t *testing.T) {
	testpeer.Root(t)
	const uid = 12345
	agent := &fakeAgent{path: filepath.Join(t.TempDir(), "agent.sock")}
	agent.serve(t, listenAs(t, agent.path, uid), func(c net.Conn) { _ = agent.record(c) })
	finish(t, program(t, "-socket", agent.path, "-f", "curl")).
		wantFailure(t, exitDenied, failClosed, "is the agent of user id 12345, and yours is 0; ")
	if got := agent.received(); len(got) != 0 {
		t.Errorf("sent %q", got)
	}
}

func TestIsMapped(t *testing.T) {
	for uidMap, want := range map[string]bool{
		"         0          0 4294967295\n": false, identity: false,
		"         0       1001          1\n         1     100001      65535\n": true,
		"      1000       1000          1\n":                                   true,
		"         0          0      65536\n":                                   true,
		"":                                                                     true, // a namespace without a map
	} {
		if got := isMapped(uidMap); got != want {
			t.Errorf("%q: %t", uidMap, got)
		}
	}
}
