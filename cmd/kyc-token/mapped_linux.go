package main

import (
	"os"
	"strings"
)

// deniedHint returns the next step after the socket was refused. In a container whose user
// ids are mapped, the socket is most likely right, and the user is not.
func deniedHint() string {
	if m, err := os.ReadFile("/proc/self/uid_map"); err == nil && isMapped(string(m)) {
		return mappedIDs
	}
	return checkSocket
}

// mappedIDs has the same words as package socket. Engines without root map the user who
// starts them to root inside, and every other user to one that does not exist outside.
const mappedIDs = "this container's user ids are mapped; rootless docker: leave --user out, root inside is you; podman: add --userns=keep-id"

// isMapped reports whether a user id here is another one outside: uid_map in
// user_namespaces(7). All ids map to themselves outside of a container.
func isMapped(uidMap string) bool {
	fields := strings.Fields(uidMap)
	return len(fields) != 3 || fields[0] != fields[1] || fields[2] != "4294967295"
}
