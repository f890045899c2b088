package packaging_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
)

// TestRunningAgentIsClosed tries each way in which a process looks into another one of the same
// user, at an agent that is ready and that its user can read, and at a program that does not
// close itself. The command of `kyc-agentd run` tries them at its parent.
func TestRunningAgentIsClosed(t *testing.T) {
	switch program := os.Getenv("KYC_TEST_PEEK"); program {
	case "":
	case "parent":
		printAndExit(waysInto(os.Getppid()))
	default:
		peek(program)
	}
	testpeer.Root(t)
	dir := testsocket.ShortDir(t)
	self, program, home := filepath.Join(dir, "self"), filepath.Join(dir, "kyc-agentd"), filepath.Join(dir, "home")
	test, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copyFile(t, test, self)
	copyFile(t, testpeer.Build(t, "kyc-agentd"), program)
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(self, 0o755), os.Chmod(program, 0o755), os.Mkdir(home, 0o700), os.Chown(home, thief, thief)); err != nil {
		t.Fatal(err)
	}
	var got struct{ Agent, Run, Other []string }
	runAsThief(t, self, home, "KYC_TEST_PEEK="+program, &got)
	t.Logf("of %d ways %d lead into another program: %q", len(waysIn), len(got.Other), got.Other)
	if len(got.Agent) > 0 {
		t.Errorf("these lead into the agent: %q", got.Agent)
	}
	// Its command would inherit a limit, so run has none: what a process that is not dumpable
	// leaves is no file anyway.
	got.Run = slices.DeleteFunc(got.Run, func(way string) bool { return way == "core dump" })
	if len(got.Run) > 0 {
		t.Errorf("these lead its command into run: %q", got.Run)
	}
	if len(got.Other) < len(waysIn)/2 {
		t.Errorf("the test proves little: only %q lead into another program", got.Other)
	}
}

// waysIn return nil if a process can look into that of pid, or change it.
var waysIn = map[string]func(pid int) error{
	"ptrace attach":     func(pid int) error { return ptrace(unix.PTRACE_ATTACH, pid) },
	"ptrace seize":      func(pid int) error { return ptrace(unix.PTRACE_SEIZE, pid) },
	"process_vm_readv":  readMemory,
	"pidfd_getfd":       takeDescriptor,
	"kcmp":              compareMemory,
	"process_madvise":   advise,
	"move_pages":        movePages,
	"perf_event_open":   profile,
	"user namespace":    lookFromNamespace,
	"/proc stack":       func(pid int) error { return read(pid, "stack") },
	"core dump":         func(pid int) error { return unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1, Max: 1}, nil) },
	"/proc mem":         func(pid int) error { return read(pid, "mem") },
	"/proc environ":     func(pid int) error { return read(pid, "environ") },
	"/proc maps":        func(pid int) error { return read(pid, "maps") },
	"/proc smaps":       func(pid int) error { return read(pid, "smaps") },
	"/proc auxv":        func(pid int) error { return read(pid, "auxv") },
	"/proc syscall":     func(pid int) error { return read(pid, "syscall") },
	"/proc io":          func(pid int) error { return read(pid, "io") },
	"/proc personality": func(pid int) error { return read(pid, "personality") },
	"/proc fd":          func(pid int) error { return list(pid, "fd") },
	"/proc map_files":   func(pid int) error { return list(pid, "map_files") },
	"/proc exe":         func(pid int) error { return follow(pid, "exe") },
	"/proc cwd":         func(pid int) error { return follow(pid, "cwd") },
	"/proc root":        func(pid int) error { return follow(pid, "root") },
}

// peek prints which ways lead into an agent, and which into another program.
func peek(program string) {
	agent := exec.Command(program, "serve", "--store", "memory")
	ready := &readyWriter{ready: make(chan struct{})}
	agent.Stderr = ready
	other := exec.Command("/bin/sleep", "60")
	if err := errors.Join(agent.Start(), other.Start()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	<-ready.ready
	got := map[string][]string{"Agent": waysInto(agent.Process.Pid), "Other": waysInto(other.Process.Pid), "Run": intoRun(program)}
	_, _ = agent.Process.Kill(), other.Process.Kill()
	printAndExit(got)
}

// intoRun returns the ways in which the command of `kyc-agentd run` looks into that.
func intoRun(program string) (ways []string) {
	run := exec.Command(program, "run", "--api-key-stdin", "staging", "--", os.Args[0], os.Args[1])
	run.Env, run.Stdin = append(os.Environ(), "KYC_TEST_PEEK=parent"), strings.NewReader("sk_test_0123456789\n")
	out, err := run.Output()
	if err == nil {
		err = json.Unmarshal(out, &ways)
	}
	if err != nil {
		return []string{fmt.Sprintf("the command did not try: %v, %s", err, out)}
	}
	return ways
}

func waysInto(pid int) (ways []string) {
	for name, into := range waysIn {
		if into(pid) == nil {
			ways = append(ways, name)
		}
	}
	slices.Sort(ways)
	return ways
}

func printAndExit(result any) {
	_ = json.NewEncoder(os.Stdout).Encode(result)
	os.Exit(0)
}

// ptrace detaches again: the next way needs a process that nobody traces.
func ptrace(request, pid int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(pid), 0, 0, 0, 0); errno != 0 {
		return errno
	}
	if request == unix.PTRACE_SEIZE {
		_ = unix.PtraceInterrupt(pid)
	}
	var status unix.WaitStatus
	_, _ = unix.Wait4(pid, &status, unix.WALL, nil)
	return unix.PtraceDetach(pid)
}

func readMemory(pid int) error {
	here := make([]byte, 1)
	// Any address will do: one that is not mapped is EFAULT, after the permission was checked.
	_, err := unix.ProcessVMReadv(pid, []unix.Iovec{{Base: &here[0], Len: 1}}, []unix.RemoteIovec{{Base: 0x1000, Len: 1}}, 0)
	if errors.Is(err, unix.EFAULT) {
		return nil
	}
	return err
}

func takeDescriptor(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	taken, err := unix.PidfdGetfd(fd, 2, 0)
	if err == nil {
		_ = unix.Close(taken)
	}
	return err
}

func compareMemory(pid int) error {
	const kcmpVM = 1
	if _, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(os.Getpid()), uintptr(pid), kcmpVM, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

func advise(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	vec := unix.Iovec{Len: uint64(os.Getpagesize())}
	_, _, errno := unix.Syscall6(unix.SYS_PROCESS_MADVISE, uintptr(fd), uintptr(unsafe.Pointer(&vec)), 1, unix.MADV_COLD, 0, 0)
	if errno != 0 && errno != unix.ENOMEM { // not mapped, after the permission was checked
		return errno
	}
	return nil
}

func movePages(pid int) error {
	page, node, status := uintptr(0x1000), int32(0), int32(0)
	_, _, errno := unix.Syscall6(unix.SYS_MOVE_PAGES, uintptr(pid), 1, uintptr(unsafe.Pointer(&page)), uintptr(unsafe.Pointer(&node)), uintptr(unsafe.Pointer(&status)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func profile(pid int) error {
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CPU_CLOCK, Bits: unix.PerfBitExcludeKernel | unix.PerfBitExcludeHv}
	fd, err := unix.PerfEventOpen(&attr, pid, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

// lookFromNamespace looks as the root of a new user namespace.
func lookFromNamespace(pid int) error {
	return exec.Command("unshare", "--user", "--map-root-user", "head", "-c", "1", fmt.Sprintf("/proc/%d/maps", pid)).Run()
}

func read(pid int, name string) error {
	f, err := os.Open(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		return err
	}
	defer f.Close()
	if name == "mem" {
		return nil // nothing is at 0
	}
	_, err = f.Read(make([]byte, 1))
	return err
}

func list(pid int, name string) error {
	_, err := os.ReadDir(fmt.Sprintf("/proc/%d/%s", pid, name))
	return err
}

func follow(pid int, name string) error {
	_, err := os.Readlink(fmt.Sprintf("/proc/%d/%s", pid, name))
	return err
}
