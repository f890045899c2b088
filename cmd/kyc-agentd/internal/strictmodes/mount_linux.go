package strictmodes

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// isReadOnly reports whether path is on a file system that is mounted read-only here.
func isReadOnly(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Flags&unix.ST_RDONLY != 0
}

// hasACL reports whether path has an access control list. If it has one, stat shows its mask
// as the permissions of the group, and any user can be meant.
func hasACL(path string) bool {
	_, err := unix.Getxattr(path, "system.posix_acl_access", nil)
	return err == nil || !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.ENOTSUP)
}

// isUnmapped reports whether uid is what stat shows for all users whom this user namespace
// does not map. Mostly it is root, who owns / and /home there, too.
func isUnmapped(uid int) bool {
	overflow, _ := os.ReadFile("/proc/sys/kernel/overflowuid")
	if uid == os.Getuid() || strconv.Itoa(uid) != strings.TrimSpace(string(overflow)) {
		return false
	}
	mapped, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && strings.Join(strings.Fields(string(mapped)), " ") != "0 0 4294967295"
}
