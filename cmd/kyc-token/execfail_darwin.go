package main

import "syscall"

// isNoexec reports whether no program at path can be run, because of how its file system is
// mounted.
func isNoexec(path string) bool {
	const noexec = 0x4 // MNT_NOEXEC of statfs(2)
	var fs syscall.Statfs_t
	return syscall.Statfs(path, &fs) == nil && fs.Flags&noexec != 0
}
