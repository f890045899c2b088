package keyring

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// passedVariables are the variables that the child needs to find the user's keyring. It
// gets no others, such as the service manager's or those with credentials.
var passedVariables = []string{
	"HOME", "USER", "XDG_RUNTIME_DIR", "LANG", "LC_ALL", "TMPDIR",
	"USERPROFILE", "APPDATA", "LOCALAPPDATA", "SYSTEMROOT", // Windows
}

// environ returns the child's whole environment.
func environ(getenv func(string) string) []string {
	env := []string{
		"DBUS_SESSION_BUS_ADDRESS=" + busAddress(getenv),
		"GOTRACEBACK=none",
	}
	for _, name := range passedVariables {
		if value := getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// noBus is an address that cannot be dialled. Without an address the D-Bus library
// would run dbus-launch, which starts another bus and does not end it.
const noBus = "disabled:"

// busAddress returns the address of the session bus: DBUS_SESSION_BUS_ADDRESS, else the
// socket "bus" in $XDG_RUNTIME_DIR, or in /run/user/UID if that variable is not set, as
// in cron. Nothing else is tried.
func busAddress(getenv func(string) string) string {
	address := getenv("DBUS_SESSION_BUS_ADDRESS")
	if address != "" && !strings.HasPrefix(address, "autolaunch:") {
		return address
	}
	dir := getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		dir = fmt.Sprintf("/run/user/%d", os.Getuid())
	}
	path := filepath.Join(dir, "bus")
	if info, err := os.Stat(path); err != nil || info.Mode().Type() != os.ModeSocket {
		return noBus
	}
	return "unix:path=" + escapeAddress(path)
}

// escapeAddress escapes a path for an address as the D-Bus specification requires:
// bytes other than [-0-9A-Za-z_/.\*] become %XX.
func escapeAddress(path string) string {
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte(`-_/.\*`, c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}
