package testpeer

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// OldKernel makes the kernel older for this process and its children, for good: SO_PEERPIDFD
// and PIDFD_GET_INFO are not there, as on Debian 12 and 13.
func OldKernel() error {
	const (
		nr, argument1, argument2 = 0, 24, 32 // of seccomp_data: the low halves, on little-endian machines
		refuse                   = unix.SECCOMP_RET_ERRNO
	)
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	equal := func(value uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: value, Jt: yes, Jf: no}
	}
	answer := func(value uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: value}
	}
	filter := []unix.SockFilter{
		load(nr),
		equal(unix.SYS_GETSOCKOPT, 0, 3),
		load(argument2),
		equal(unix.SO_PEERPIDFD, 0, 5),
		answer(refuse | uint32(unix.ENOPROTOOPT)),
		equal(unix.SYS_IOCTL, 0, 3),
		load(argument1),
		equal(unix.PIDFD_GET_INFO, 0, 1),
		answer(refuse | uint32(unix.ENOTTY)),
		answer(unix.SECCOMP_RET_ALLOW),
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	return nil
}
