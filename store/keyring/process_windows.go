package keyring

import (
	"os/exec"
	"syscall"
)

// detach keeps a console window from flashing up.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{HideWindow: true}
}
