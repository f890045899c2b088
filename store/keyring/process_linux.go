package keyring

import (
	"os/exec"
	"syscall"
)

// detach puts the child into a process group of its own, to be killed as a whole,
// and has the kernel kill it when the daemon dies.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
