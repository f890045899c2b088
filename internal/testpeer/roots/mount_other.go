//go:build !linux

package roots

import "syscall"

// ownMounts changes nothing: no other system boots a root.
func ownMounts() *syscall.SysProcAttr { return nil }
