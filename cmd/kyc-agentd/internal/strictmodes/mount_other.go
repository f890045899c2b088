//go:build !linux

package strictmodes

import "golang.org/x/sys/unix"

func isReadOnly(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Flags&unix.MNT_RDONLY != 0
}

func hasACL(string) bool { return false } // on macOS no mode is changed by one

func isUnmapped(int) bool { return false } // there are no user namespaces
