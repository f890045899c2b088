package strictmodes

import (
	"iter"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// etc is where the lists of users and groups are. Tests have another.
var etc = "/etc"

// isPrivateGroup reports whether gid is the user's primary group and nobody else but root is
// in it. A group that is not known here may have members that a directory service knows.
func isPrivateGroup(gid int) bool {
	// On macOS all users share one primary group, and no file lists them.
	if gid != os.Getgid() || runtime.GOOS != "linux" {
		return false
	}
	uid, wanted := strconv.Itoa(os.Getuid()), strconv.Itoa(gid)
	mine, names := false, []string{"root"}
	for user := range records("passwd", 4) { // name:password:uid:gid:…
		switch {
		case user[2] == uid:
			names, mine = append(names, user[0]), mine || user[3] == wanted
		case user[3] == wanted && user[2] != "0":
			return false
		}
	}
	listed := false
	for group := range records("group", 4) { // name:password:gid:members
		if group[2] != wanted {
			continue
		}
		listed = true
		for member := range strings.SplitSeq(group[3], ",") {
			if member != "" && !slices.Contains(names, member) {
				return false
			}
		}
	}
	return mine && listed || filesOnly()
}

// filesOnly reports whether /etc/passwd and /etc/group have all users and groups, as in a
// container.
func filesOnly() bool {
	data, _ := os.ReadFile(etc + "/nsswitch.conf")
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 || !slices.Contains([]string{"passwd:", "group:", "initgroups:"}, fields[0]) {
			continue
		}
		for _, source := range fields[1:] {
			if !slices.Contains([]string{"files", "systemd"}, source) {
				return false
			}
		}
	}
	return true
}

// records are the lines of a file in /etc that have at least n fields.
func records(name string, n int) iter.Seq[[]string] {
	data, _ := os.ReadFile(etc + "/" + name)
	return func(yield func([]string) bool) {
		for line := range strings.Lines(string(data)) {
			fields := strings.Split(strings.TrimSpace(line), ":")
			if len(fields) >= n && !yield(fields) {
				return
			}
		}
	}
}
