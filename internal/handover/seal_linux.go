package handover

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// seal returns a file in memory that has body, and that nobody can change any more.
func seal(body []byte) (int, error) {
	fd, err := unix.MemfdCreate("kyc-agentd", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return 0, os.NewSyscallError("memfd_create", err)
	}
	for rest := body; len(rest) > 0; {
		n, err := unix.Write(fd, rest)
		if err != nil {
			closeFD(fd)
			return 0, os.NewSyscallError("write", err)
		}
		rest = rest[n:]
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		closeFD(fd)
		return 0, os.NewSyscallError("fcntl", err)
	}
	return fd, nil
}

// unseal reads such a file and closes it.
func unseal(fd int) ([]byte, error) {
	if got, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0); err != nil || got&seals != seals {
		return nil, errors.New("not sealed") // it may be anything, so it stays open
	}
	f := os.NewFile(uintptr(fd), "handover")
	defer f.Close()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(f)
}
