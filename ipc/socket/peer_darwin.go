package socket

import "golang.org/x/sys/unix"

// MaxPath is the longest path of a socket, in bytes: what sun_path holds besides
// its terminating zero (unix(4)).
const MaxPath = 103

func peerOfSocket(fd int) (Peer, error) {
	cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return Peer{}, err
	}
	pid, err := unix.GetsockoptInt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERPID)
	if err != nil {
		pid = 0
	}
	return Peer{UID: int(cred.Uid), PID: pid}, nil
}

// restrictMode does nothing: on Darwin only the umask sets the mode of a socket file.
// Listen has already checked that other users cannot get into its folder.
func restrictMode(int) error { return nil }

// programOf would need libproc, and with it cgo.
func programOf(int) string { return "" }
