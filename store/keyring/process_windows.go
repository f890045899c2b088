package keyring

import (
	"os/exec"
	"syscall"
)

// detach prevents a console window from appearing.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{HideWindow: true}
}
