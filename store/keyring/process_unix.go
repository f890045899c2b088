//go:build unix && !linux

package keyring

import (
	"os/exec"
	"syscall"
)

// detach puts the child into a process group of its own: on macOS go-keyring runs
// security(1), which has to be killed with it.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
