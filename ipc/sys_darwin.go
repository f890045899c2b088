package ipc

import "golang.org/x/sys/unix"

// MaxSocketPath is the longest path of a socket, in bytes: what sun_path holds beside
// its terminating zero (unix(4)).
const MaxSocketPath = 103

func peerOfSocket(fd int) (peer, error) {
	cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return peer{}, err
	}
	pid, err := unix.GetsockoptInt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERPID)
	if err != nil {
		pid = 0
	}
	return peer{uid: int(cred.Uid), pid: pid}, nil
}

// tighten does nothing: Darwin gives a socket file its mode by the umask alone.
// Listen has made sure before that nobody else gets into the folder.
func tighten(int) error { return nil }

// programOf would need libproc, and with it cgo.
func programOf(int) string { return "" }
