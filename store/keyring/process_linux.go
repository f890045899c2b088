package keyring

import (
	"os/exec"
	"syscall"
)

// detach puts the child into a new process group, so that the whole group can be
// killed. The kernel kills the child when the daemon dies.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
