package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/ipc/phantom"
)

const sandboxChildVerb = "sandbox-child"

// sandboxChildCommand is the first process in the sandbox of `run --sandbox`. It listens on
// the loopback that is new in there, hands the listener out, starts the command and ends with
// it; the kernel then kills what is left.
func (c *cli) sandboxChildCommand() *cobra.Command {
	return &cobra.Command{
		Use: sandboxChildVerb, Hidden: true, Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return (&runOptions{cli: c, command: args}).runInSandbox()
		},
	}
}

func (o *runOptions) runInSandbox() error {
	_ = unix.Dup3(sandboxErrFD, 2, 0)
	_, _ = unix.Close(sandboxErrFD), unix.Close(sandboxSelfFD)
	unix.CloseOnExec(sandboxControlFD)
	// The command has this process's user id, and must not get at the connection that is open here.
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	if err := newSessionKeyring(); err != nil {
		return sandboxError("the session keyring of the caller cannot be left", "", err)
	}
	control, err := newSandboxControl(sandboxControlFD)
	if err != nil {
		return err
	}
	env, err := handOutListener(control)
	if err != nil {
		return err
	}
	program, err := exec.LookPath(o.command[0])
	if err != nil {
		return o.cannotRun("", err)
	}
	child := exec.Cmd{Path: program, Args: o.command, Env: append(os.Environ(), env...), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	cmd, err := startChild(child)
	if err != nil {
		return o.cannotRun(program, err)
	}
	ended := make(chan struct{})
	signals := make(chan os.Signal, 16)
	go control.receiveSignals(signals)
	go relaySignals(signals, cmd.Process, ended)
	go reapOrphans(cmd.Process.Pid, ended)
	err = cmd.Wait()
	close(ended)
	return exitOf(err, cmd.ProcessState)
}

// newSessionKeyring leaves the kernel's session keyring of the caller. It is that of a thread,
// and of what this thread starts.
func newSessionKeyring() error {
	runtime.LockOSThread()
	_, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // then the command cannot read one either
		return nil
	}
	return err
}

// handOutListener returns the variables of the command, which come back for the listener.
func handOutListener(control *sandboxControl) (env []string, err error) {
	ln, err := phantom.Listen()
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	tcp, netlink, err := ln.Files()
	if err != nil {
		return nil, err
	}
	defer tcp.Close()
	defer netlink.Close()
	if err := control.sendFiles(tcp, netlink); err != nil {
		return nil, err
	}
	text, err := control.receive()
	return strings.Split(text, "\n"), err
}

// A sandboxControl is the connection between `run` and the first process in its sandbox. One
// message is the listener, one the variables, and each other one a signal.
type sandboxControl struct{ *net.UnixConn }

func newSandboxControl(fd int) (*sandboxControl, error) {
	f := os.NewFile(uintptr(fd), "sandbox")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(errors.New("not a Unix socket"), c.Close())
	}
	return &sandboxControl{u}, nil
}

const maxControlMessage = 4 << 10

func (c *sandboxControl) send(text string) error {
	_, err := c.Write([]byte(text))
	return err
}

func (c *sandboxControl) receive() (string, error) {
	buf := make([]byte, maxControlMessage)
	n, err := c.Read(buf)
	return string(buf[:n]), err
}

func (c *sandboxControl) sendFiles(files ...*os.File) error {
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	_, _, err := c.WriteMsgUnix([]byte("listener"), unix.UnixRights(fds...), nil)
	return err
}

func (c *sandboxControl) receiveFiles() (files []*os.File, err error) {
	buf, rights := make([]byte, maxControlMessage), make([]byte, 256)
	_, n, _, _, err := c.ReadMsgUnix(buf, rights)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return nil, err
		}
		for _, fd := range fds { // Go receives them with CLOEXEC
			files = append(files, os.NewFile(uintptr(fd), "of the sandbox"))
		}
	}
	return files, nil
}

// receiveSignals ends this process, and with it the sandbox, when `run` has ended.
func (c *sandboxControl) receiveSignals(signals chan<- os.Signal) {
	for {
		text, err := c.receive()
		if err != nil || text == "" {
			os.Exit(exitSignalBase + int(unix.SIGKILL))
		}
		signals <- unix.Signal(text[0])
	}
}
