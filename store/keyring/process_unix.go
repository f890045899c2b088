//go:build unix && !linux

package keyring

import (
	"os/exec"
	"syscall"
)

// detach puts the child into a new process group, so that the whole group can be
// killed: on macOS go-keyring runs security(1).
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
