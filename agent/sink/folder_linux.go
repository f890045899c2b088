package sink

import (
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// searchOnly opens a folder that may be passed through, but not be read.
const searchOnly = unix.O_PATH

// unmappedUID returns the user id under which a user name space, such as that of a rootless
// container or a unit with PrivateUsers=, shows the owners that it does not map: root of the
// machine is one of them. It is -1 where every id is mapped.
var unmappedUID = sync.OnceValue(func() int {
	mapped, err := os.ReadFile("/proc/self/uid_map")
	if err != nil || strings.Join(strings.Fields(string(mapped)), " ") == "0 0 4294967295" {
		return -1
	}
	text, _ := os.ReadFile("/proc/sys/fs/overflowuid")
	uid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 65534
	}
	return uid
})

// nameOf returns the path that f has now, or "" if it has none any more.
func nameOf(f *os.File) string {
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
	if err != nil || strings.HasSuffix(path, " (deleted)") {
		return ""
	}
	return path
}
