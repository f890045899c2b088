package main

import "syscall"

// deniedHint returns the next step after the socket was refused. In a container whose user
// ids are mapped, the socket is most likely right, and the user is not.
func deniedHint() string {
	if isMapped(readUIDMap()) {
		return mappedIDs
	}
	return checkSocket
}

// mappedIDs has the same words as package socket. Engines without root map the user who
// starts them to root inside, and every other user to one that does not exist outside.
const mappedIDs = "this container's user ids are mapped; rootless docker: leave --user out, root inside is you; podman: add --userns=keep-id"

// readUIDMap returns the beginning of uid_map in user_namespaces(7). os.ReadFile would link
// 80 KB.
func readUIDMap() string {
	fd, err := syscall.Open("/proc/self/uid_map", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return identity
	}
	defer func() { _ = syscall.Close(fd) }()
	buf := make([]byte, 128)
	n, err := syscall.Read(fd, buf)
	if err != nil {
		return identity
	}
	return string(buf[:n])
}

// identity is the map outside of containers: all user ids are themselves.
const identity = "0 0 4294967295 "

// isMapped reports whether a user id here is another one outside.
func isMapped(uidMap string) bool {
	var numbers string // with a blank after each
	for i := range len(uidMap) {
		switch c := uidMap[i]; {
		case digit(c):
			numbers += string(rune(c))
		case numbers != "" && numbers[len(numbers)-1] != ' ':
			numbers += " "
		}
	}
	return numbers != identity
}
