package peer

import (
	"strconv"
	"strings"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// A Unit is a unit of systemd.
type Unit struct {
	Name string `json:"name"`
	// User is true for a unit of the user's own manager. The user can give any process a place
	// in any unit of it.
	User bool `json:"user,omitempty"`
}

// IsZero reports whether there is no unit.
func (u Unit) IsZero() bool { return u.Name == "" }

// String returns "nightly.service (user)" or "nightly.service (system)".
func (u Unit) String() string {
	switch {
	case u.Name == "":
		return "none"
	case u.User:
		return u.Name + " (user)"
	}
	return u.Name + " (system)"
}

// unitTypes are the types of units that have processes. Slices only group them.
var unitTypes = []string{".service", ".scope", ".socket", ".mount", ".swap"}

// unitOf returns the unit of a process by the text of its /proc/PID/cgroup. A line is
// "0::/system.slice/cron.service"; on a machine with both versions of cgroups the manager may
// use the one that is named after it.
func unitOf(cgroups string, uid int) Unit {
	for _, prefix := range []string{"0::", ":name=systemd:"} {
		for line := range strings.Lines(cgroups) {
			before, path, ok := strings.Cut(strings.TrimSuffix(line, "\n"), prefix)
			if !ok || strings.Trim(before, "0123456789") != "" {
				continue
			}
			if u := unitOfPath(path, uid); !u.IsZero() {
				return u
			}
		}
	}
	return Unit{}
}

// unitOfPath finds the outermost unit: a service with a subtree of its own can give the
// groups in it any name. Below the manager of the process's own user the units are the user's.
func unitOfPath(path string, uid int) Unit {
	name, rest := firstUnit(path)
	if name != "user@"+strconv.Itoa(uid)+".service" {
		return Unit{Name: name}
	}
	if inner, _ := firstUnit(rest); inner != "" {
		return Unit{Name: inner, User: true}
	}
	return Unit{Name: name}
}

// firstUnit returns the first unit of a path, behind its slices, and what follows. A path out
// of another name space begins with "/..", and says nothing here.
func firstUnit(path string) (name, rest string) {
	for rest = strings.TrimPrefix(path, "/"); rest != ""; {
		name, rest, _ = strings.Cut(rest, "/")
		name = strings.TrimPrefix(name, "_") // systemd marks names so that the kernel could use
		if strings.HasSuffix(name, ".slice") {
			continue
		}
		for _, suffix := range unitTypes {
			if len(name) > len(suffix) && strings.HasSuffix(name, suffix) {
				return sanitize.OneLine(name), rest
			}
		}
		return "", ""
	}
	return "", ""
}
