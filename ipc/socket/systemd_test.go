package socket

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
)

// A passer is a socket that can be passed to a child.
type passer interface {
	File() (*os.File, error)
	Close() error
}

func passed[T passer](t *testing.T, s T, err error) *os.File {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	f, err := s.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func unixListener(t *testing.T, network string) *os.File {
	t.Helper()
	ln, err := net.ListenUnix(network, &net.UnixAddr{Name: filepath.Join(testsocket.ShortDir(t), "s"), Net: network})
	return passed(t, ln, err)
}

// TestMain runs the child that a test asked for, or the tests.
func TestMain(m *testing.M) {
	if os.Getenv(childMode) == "" {
		os.Exit(m.Run())
	}
	if err := childInherited(); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// childMode is set for a test binary that was started again.
const childMode = "KYC_SOCKET_TEST_CHILD"

// childInherited reports what FromSystemd returns, and serves the listener if it is one.
func childInherited() error {
	if os.Getenv("LISTEN_PID") == "self" {
		_ = os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	}
	passed, err := FromSystemd()
	if err != nil {
		return err
	}
	if os.Getenv("LISTEN_FDS") != "" {
		fmt.Println("LISTEN_FDS is still there")
	}
	for _, name := range passed.Unknown {
		fmt.Printf("not %s, ", name)
	}
	if len(passed.Agent) == 0 {
		fmt.Println("none")
		return nil
	}
	if n := len(passed.Agent); n > 1 {
		fmt.Printf("%d times ", n)
	}
	if passed.Extra != nil {
		fmt.Print("twice ")
	}
	fmt.Println("listening")
	c, err := passed.Agent[0].Accept()
	if err != nil {
		return err
	}
	_, _ = io.WriteString(c, "hello")
	_ = c.Close()
	passed.Close()
	return nil
}

func TestInherited(t *testing.T) {
	for name, test := range map[string]struct {
		pid, fds, names string
		files           func(t *testing.T) []*os.File
		want            string
	}{
		"none":            {"", "", "", nil, "none\n"},
		"not for us":      {"1", "1", "agent", oneUnix, "none\n"},
		"no pid":          {"", "1", "agent", oneUnix, "none\n"},
		"zero":            {"self", "0", "", nil, "none\n"},
		"named agent":     {"self", "1", "agent", oneUnix, "listening\n"},
		"named as unit":   {"self", "1", "kyc-agentd.socket", oneUnix, "listening\n"},
		"other name":      {"self", "1", "dbus.socket", oneUnix, "not dbus.socket, none\n"},
		"beside another":  {"self", "2", "agent:dbus.socket", twoUnix, "not dbus.socket, listening\n"},
		"before another":  {"self", "2", "future:extra", twoUnix, "2 came (future, extra), and one named agent is needed"},
		"no name":         {"self", "1", "", oneUnix, "not LISTEN_FD_3, none\n"},
		"two":             {"self", "2", "agent:agent", twoUnix, "2 times listening\n"},
		"three":           {"self", "3", "agent:extra:agent", func(t *testing.T) []*os.File { return append(twoUnix(t), oneUnix(t)...) }, "2 times twice listening\n"},
		"one to forward":  {"self", "2", "agent:extra", twoUnix, "twice listening\n"},
		"as another unit": {"self", "2", "agent:kyc-agentd-extra.socket", twoUnix, "twice listening\n"},
		"forward alone":   {"self", "1", "extra", oneUnix, "1 came (extra), and one named agent is needed"},
		"TCP":             {"self", "1", "agent", oneTCP, "agent is a tcp socket, and a Unix stream socket is needed"},
		"packets":         {"self", "1", "agent", func(t *testing.T) []*os.File { return []*os.File{unixListener(t, "unixpacket")} }, "agent is a unixpacket socket"},
		"datagrams":       {"self", "1", "agent", oneUnixgram, "agent is not a listening socket"},
		"a connection":    {"self", "1", "agent", oneConnection, "agent is not a listening socket"},
		"a file":          {"self", "1", "agent", oneFile, "agent is not a listening socket"},
		"not even a file": {"self", "1", "agent", nil, "agent is not a listening socket"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = []string{childMode + "=inherited", testpeer.NoRaceSleep, "LISTEN_PID=" + test.pid, "LISTEN_FDS=" + test.fds, "LISTEN_FDNAMES=" + test.names}
			if test.files != nil {
				cmd.ExtraFiles = test.files(t)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(test.want, "listening\n") { // the first
				speakTo(t, cmd.ExtraFiles[0])
			}
			got, _ := io.ReadAll(out)
			err = cmd.Wait()
			if !strings.Contains(string(got), test.want) || strings.Count(string(got), "\n") != 1 {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if failed := strings.HasPrefix(string(got), "error: "); failed != (err != nil) {
				t.Errorf("exit: %v", err)
			}
			if strings.HasPrefix(string(got), "error: ") && !strings.Contains(string(got), "see: systemctl --user cat kyc-agentd.socket") {
				t.Errorf("no next step in %q", got)
			}
		})
	}
}

func oneUnix(t *testing.T) []*os.File { return []*os.File{unixListener(t, "unix")} }

func twoUnix(t *testing.T) []*os.File { return append(oneUnix(t), oneUnix(t)...) }

func oneTCP(t *testing.T) []*os.File {
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	return []*os.File{passed(t, ln, err)}
}

func oneUnixgram(t *testing.T) []*os.File {
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(testsocket.ShortDir(t), "s"), Net: "unixgram"})
	return []*os.File{passed(t, c, err)}
}

func oneConnection(t *testing.T) []*os.File {
	path := filepath.Join(testsocket.ShortDir(t), "s")
	listen(t, path)
	return []*os.File{passed(t, fixture.DialUnix(t, path), nil)}
}

func oneFile(t *testing.T) []*os.File {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return []*os.File{f}
}

// speakTo connects to the listener behind f, and checks that the socket's file and its mode
// stay when the child closes it.
func speakTo(t *testing.T, f *os.File) {
	t.Helper()
	ln, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	path := ln.Addr().String()
	before := mode(t, path)
	got, err := io.ReadAll(fixture.DialUnix(t, path))
	if err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	if after := mode(t, path); after != before {
		t.Errorf("the socket was %s and is %s", before, after)
	}
}

// The protocol as systemd implements it. This program creates the socket with mode 0644.
func TestInheritedFromSystemd(t *testing.T) {
	activate := testpeer.Program(t, "systemd-socket-activate", "systemd")
	path := filepath.Join(testsocket.ShortDir(t), "agent.sock")
	cmd := exec.CommandContext(t.Context(), activate, "-l", path, "--fdname=agent", "-E", childMode+"=inherited", "-E", testpeer.NoRaceSleep, os.Args[0])
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// "Listening on … as 3." is its first line, after it listens.
	if _, err := stderr.Read(make([]byte, 256)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
	c := fixture.DialUnix(t, path)
	hello, err := io.ReadAll(c)
	if err != nil || string(hello) != "hello" {
		t.Errorf("%q, %v", hello, err)
	}
	got, _ := io.ReadAll(out)
	if err := cmd.Wait(); err != nil || string(got) != "listening\n" {
		t.Errorf("%q, %v", got, err)
	}
	if got := mode(t, path); got.Type() != os.ModeSocket {
		t.Errorf("the socket is %s", got)
	}
}
