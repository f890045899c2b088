package file

import (
	"fmt"
	"os"
	"strings"
)

// isOwnAgent reports whether the process pid is a kyc-agentd of this user. One that has ended, and
// whose parent has not noticed yet, is none. It reads
// /proc/PID/status, because /proc/PID of a process that hardens itself belongs to root.
func isOwnAgent(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	own := 0
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		switch {
		case name == "State" && strings.HasPrefix(value, "Z"):
			return false
		case name == "Name" && value == "kyc-agentd":
			own++
		case name == "Uid" && strings.HasPrefix(value, fmt.Sprintf("%d\t", os.Getuid())):
			own++
		}
	}
	return own == 2
}
