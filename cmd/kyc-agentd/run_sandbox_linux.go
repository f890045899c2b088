package main

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/sandbox"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/ipc/phantom"
)

// Descriptors of the first process in the sandbox.
const (
	sandboxControlFD = 3 // the other end is this process's
	sandboxSelfFD    = 4 // this program, wherever its file is
	sandboxErrFD     = 5 // standard error; bwrap's goes to a buffer until the sandbox is there
)

// runSandboxed runs the command in bubblewrap. The first process in there is this program
// (sandboxChildCommand), because only a process in there can listen on that loopback: it hands
// the listener out, and the requests are served out here.
func (o *runOptions) runSandboxed(ctx context.Context, lent *lentAPI, st agent.Status, signals <-chan os.Signal) error {
	if ctx.Err() != nil {
		return &agent.Error{Code: agent.CodeUnavailable, Op: "run", Message: "cancelled; the command was not started", Err: ctx.Err()}
	}
	args, err := o.sandboxArgs(lent, st)
	if err != nil {
		return err
	}
	bwrap, err := exec.LookPath("bwrap")
	if err != nil {
		return sandboxError("--sandbox needs bubblewrap, and there is no bwrap on PATH", "run: sudo apt-get install bubblewrap (or dnf, pacman)", err)
	}
	control, self, theirs, err := sandboxFiles()
	if err != nil {
		return sandboxError("the sandbox cannot be prepared", "", err)
	}
	defer control.Close()

	var said limitedBuffer
	args = append(args, "--", "/proc/self/fd/4", sandboxChildVerb, "--")
	cmd := exec.Command(bwrap, append(args, o.command...)...)
	cmd.Env = sandboxEnv(o.apiEnv(lent.policy.Environments[0]))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = o.stdin(), o.stdout(), &said
	cmd.ExtraFiles = []*os.File{theirs, self, os.Stderr}
	// A session of its own has no terminal that a process in it could type into, for the shell
	// out here. Its processes do not get Ctrl-C from the terminal either: it is relayed.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	dieWithParent(cmd)
	cmd.SysProcAttr.Setsid = true
	// What the caller left open would be open in there.
	_ = unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC)
	err = cmd.Start()
	_, _ = theirs.Close(), self.Close()
	if err != nil {
		return o.cannotRun(bwrap, err)
	}
	began := lent.begin(control.listener)
	if began == nil {
		began = control.send(strings.Join(lent.server.Environ(), "\n"))
	}
	if began != nil {
		_ = control.Close() // it ends then
		return o.sandboxFailed(cmd, &said)
	}
	ended := make(chan struct{})
	go control.relaySignals(signals, ended)
	err = cmd.Wait()
	close(ended)
	return exitOf(err, cmd.ProcessState)
}

func sandboxError(message, hint string, err error) error {
	return &agent.Error{Code: agent.CodeConfiguration, Op: "run", Message: message, Hint: hint, Err: err}
}

// sandboxFailed says why there is no sandbox: with bwrap's words, or those of the child, which
// it has printed.
func (o *runOptions) sandboxFailed(cmd *exec.Cmd, said *limitedBuffer) error {
	err := cmd.Wait()
	line, _, _ := strings.Cut(strings.TrimSpace(said.String()), "\n")
	if line == "" {
		return exitOf(err, cmd.ProcessState)
	}
	hint := "run: bwrap --unshare-user --unshare-net --ro-bind / / true"
	for _, cause := range []string{"namespace", "uid map", "loopback", "Operation not permitted", "Permission denied"} {
		if strings.Contains(line, cause) {
			hint = "allow user name spaces to bwrap: sysctl kernel.unprivileged_userns_clone, or an AppArmor profile for bwrap"
		}
	}
	return sandboxError("bubblewrap cannot make the sandbox: "+sanitize.OneLine(line), hint, err)
}

// sandboxArgs returns bwrap's arguments.
func (o *runOptions) sandboxArgs(lent *lentAPI, st agent.Status) ([]string, error) {
	work, err := os.Getwd()
	if err != nil {
		return nil, sandboxError("the working folder cannot be found", "", err)
	}
	vars := o.cli.vars
	p := sandbox.Plan{Work: work, Secrets: []string{lent.client.Socket}}
	for _, dir := range []string{vars.Get("XDG_RUNTIME_DIR"), vars.Get("TMPDIR"), vars.Get("CREDENTIALS_DIRECTORY")} {
		if filepath.IsAbs(dir) {
			p.Fresh = append(p.Fresh, dir)
		}
	}
	p.Homes = []string{vars.Get("HOME")}
	if u, err := user.LookupId(strconv.Itoa(os.Getuid())); err == nil {
		p.Homes = append(p.Homes, u.HomeDir)
	}
	for _, dir := range []string{config.Dir(vars), config.StateDir(vars)} {
		if filepath.IsAbs(dir) {
			p.Private = append(p.Private, dir)
		}
	}
	for _, s := range st.Sinks {
		p.Secrets = append(p.Secrets, s.Path)
	}
	files, err := config.SecretFiles(o.daemon.ConfigFile, vars)
	if err != nil && !o.signsIn() { // the variables of this shell need not be the daemon's
		files, err = config.SecretFiles("", withoutKYC(vars))
	}
	if err != nil {
		return nil, err
	}
	p.Secrets = append(p.Secrets, files...)
	if o.passwordFile != "" {
		p.Secrets = append(p.Secrets, o.passwordFile)
	}
	for i, path := range p.Secrets {
		if p.Secrets[i], err = filepath.Abs(path); err != nil {
			return nil, sandboxError("the working folder cannot be found", "", err)
		}
	}
	args, err := p.Args()
	if err != nil {
		return nil, sandboxError("--sandbox: "+err.Error(), "run it in a project's folder", err)
	}
	return args, nil
}

// leadsOut are variables that name sockets, terminals and files which are not in the sandbox.
var leadsOut = []string{
	"DBUS_SESSION_BUS_ADDRESS", "DBUS_SYSTEM_BUS_ADDRESS", "DBUS_STARTER_ADDRESS", "XDG_RUNTIME_DIR", "XDG_SESSION_ID", "SSH_AUTH_SOCK", "SSH_AGENT_PID",
	"SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "GPG_AGENT_INFO", "GNOME_KEYRING_CONTROL", "DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET", "XAUTHORITY",
	"SESSION_MANAGER", "PULSE_SERVER", "TMUX", "TMUX_PANE", "TMUX_TMPDIR", "STY", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_PID",
	"INVOCATION_ID", "JOURNAL_STREAM", "CREDENTIALS_DIRECTORY", "DOCKER_HOST", "CONTAINER_HOST", "VSCODE_IPC_HOOK_CLI", "VSCODE_GIT_IPC_HANDLE", "GIT_ASKPASS",
	"SSH_ASKPASS", "TMPDIR", "PWD", "OLDPWD",
}

func sandboxEnv(env []string) []string {
	return slices.DeleteFunc(env, func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(leadsOut, name)
	})
}

// sandboxFiles returns both ends of the connection to the first process in the sandbox, and this
// program, which may be a file that only root can read: O_PATH needs no right to.
func sandboxFiles() (control *sandboxControl, self, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, nil, err
	}
	theirs = os.NewFile(uintptr(fds[1]), "sandbox")
	if control, err = newSandboxControl(fds[0]); err != nil {
		_ = theirs.Close()
		return nil, nil, nil, err
	}
	fd, err := unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		_, _ = theirs.Close(), control.Close()
		return nil, nil, nil, err
	}
	return control, os.NewFile(uintptr(fd), "self"), theirs, nil
}

// limitedBuffer keeps the first 4 KiB of what bwrap says.
type limitedBuffer struct{ bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	_, _ = b.Buffer.Write(p[:min(len(p), max(0, 4<<10-b.Len()))])
	return len(p), nil
}

// relaySignals tells the first process in the sandbox which signals the command gets.
func (c *sandboxControl) relaySignals(signals <-chan os.Signal, ended <-chan struct{}) {
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, unix.SIGWINCH) // which the command does not get from the terminal
	defer signal.Stop(resized)
	for {
		var s os.Signal
		select {
		case <-ended:
			return
		case s = <-signals:
		case s = <-resized:
		}
		if n, ok := s.(unix.Signal); ok {
			_ = c.send(string([]byte{byte(n)}))
		}
	}
}

// listener returns the listener that the first process in the sandbox hands out.
func (c *sandboxControl) listener() (*phantom.Listener, error) {
	files, err := c.receiveFiles()
	if err != nil {
		return nil, err
	}
	if len(files) != 2 {
		return nil, errors.New("no listener came out of the sandbox")
	}
	return phantom.FromFiles(files[0], files[1])
}
