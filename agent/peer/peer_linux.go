package peer

import (
	"cmp"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Peer is the process that made a connection.
type Peer struct {
	kernel   kernel
	uid, pid int
	method   Method

	mu    sync.Mutex
	late  syscall.Conn // the socket that is still to be asked for a pidfd; nil if none is
	pidfd int          // -1 if there is none
	start uint64       // of MethodPidfdOpen and MethodStartTime
	err   error        // why nothing is known
	facts *Facts       // once they were read; they do not change
}

// A kernel is what the kernel is asked. Tests refuse some of it.
type kernel struct {
	peerPidfd func(socket int) (pidfd int, err error)
	pidfdInfo func(pidfd int, info *unix.PidfdInfo) error
	pidfdOpen func(pid int) (pidfd int, err error)
	// named is true once peerPidfd has named a process. Then it can wait until somebody wants to
	// know: the socket refers to the process, not to its number, so it names no later one.
	named *atomic.Bool
}

var system = kernel{
	named: new(atomic.Bool),
	peerPidfd: func(socket int) (int, error) {
		return unix.GetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	},
	pidfdInfo: unix.IoctlPidfdInfo,
	pidfdOpen: func(pid int) (int, error) { return unix.PidfdOpen(pid, 0) },
}

// Of returns the process that made c. It should be called as soon as c is accepted, and the
// result closed with c. It reads no file if the kernel has SO_PEERPIDFD.
func Of(c net.Conn) *Peer { return system.of(c) }

// OfCredentials is Of for a caller to which the kernel has told the peer's user and number.
func OfCredentials(c syscall.Conn, uid, pid int) *Peer { return system.ofCredentials(c, uid, pid) }

func (k kernel) of(c net.Conn) *Peer {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return &Peer{uid: -1, pidfd: -1, err: syscall.ENOTSOCK}
	}
	var cred *syscall.Ucred
	err := control(sc, func(fd int) (err error) {
		cred, err = syscall.GetsockoptUcred(fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
		return err
	})
	if err != nil {
		return &Peer{uid: -1, pidfd: -1, err: err}
	}
	return k.ofCredentials(sc, int(cred.Uid), int(cred.Pid))
}

func (k kernel) ofCredentials(c syscall.Conn, uid, pid int) *Peer {
	p := &Peer{kernel: k, uid: uid, pid: pid, pidfd: -1}
	switch {
	case pid <= 0:
		p.err = errors.New("the process that connected is of another pid name space")
	case k.named.Load():
		p.method, p.late = MethodPeerPidfd, c
	default:
		p.err = control(c, p.pin)
	}
	return p
}

// control calls ask with the descriptor of c.
func control(c syscall.Conn, ask func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	failed := raw.Control(func(fd uintptr) { err = ask(int(fd)) })
	return cmp.Or(failed, err)
}

// pin finds out which process it is, and makes sure that it stays that one.
func (p *Peer) pin(socket int) error {
	err := p.pinBySocket(socket)
	switch {
	case err == nil:
		p.kernel.named.Store(true)
		return nil
	case !isMissing(err):
		return err
	}
	before, err := readStat(p.pid)
	if err != nil {
		return ErrEnded
	}
	p.method, p.start = MethodStartTime, before.start
	switch pidfd, err := p.kernel.pidfdOpen(p.pid); {
	case err == nil:
		p.method, p.pidfd = MethodPidfdOpen, pidfd
	case !isMissing(err):
		return ErrEnded
	}
	return p.check()
}

// pinBySocket has the kernel name the process.
func (p *Peer) pinBySocket(socket int) error {
	pidfd, err := p.kernel.peerPidfd(socket)
	switch {
	case err == nil:
		p.method, p.pidfd = MethodPeerPidfd, pidfd
		return p.checkNumber()
	case isMissing(err):
		return err
	}
	return ErrEnded // ESRCH, ENODATA or EINVAL, by the kernel's version
}

// pinLateLocked does what Of has put off, and returns why nothing is known, if so. The kernel can
// name processes: that it does not name this one is no reason to believe its number.
func (p *Peer) pinLateLocked() error {
	if p.late != nil {
		if p.err = control(p.late, p.pinBySocket); isMissing(p.err) {
			p.err = ErrEnded
		}
		p.late = nil
	}
	return p.err
}

// checkNumber compares the number of the process with what PIDFD_GET_INFO says, where the
// kernel has it (Linux 6.13). The process that connected may have handed its credentials to
// another name space.
func (p *Peer) checkNumber() error {
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_PID}
	err := p.kernel.pidfdInfo(p.pidfd, &info)
	switch {
	case err == nil && info.Mask&unix.PIDFD_INFO_PID != 0 && int(info.Tgid) != p.pid:
		return errors.New("the kernel names two processes for one connection")
	case err != nil && !isMissing(err) && !errors.Is(err, unix.ENOTTY) && !errors.Is(err, unix.EINVAL):
		return ErrEnded // ESRCH
	}
	return nil
}

// isMissing reports whether err means that a call is not there, or that a system call filter
// forbids it.
func isMissing(err error) bool {
	for _, e := range []error{unix.ENOPROTOOPT, unix.ENOSYS, unix.EOPNOTSUPP, unix.EPERM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// PID returns the number of the process, or 0.
func (p *Peer) PID() int { return p.pid }

// UID returns the user of the process, or -1.
func (p *Peer) UID() int { return p.uid }

// Close forgets the process. Facts that were read stay.
func (p *Peer) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pidfd >= 0 {
		_ = unix.Close(p.pidfd)
	}
	p.pidfd, p.late = -1, nil
	if p.err == nil {
		p.err = net.ErrClosed
	}
}

// Facts returns what is known of the process. They are read at the first call; with an error,
// only UID and the number are set.
func (p *Peer) Facts() (Facts, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.facts != nil {
		return *p.facts, nil
	}
	known := Facts{Process: Process{PID: p.pid}, UID: p.uid, Method: p.method}
	if err := p.pinLateLocked(); err != nil {
		return known, err
	}
	facts, err := readFacts(p.pid, p.uid)
	if err == nil {
		err = p.check() // the number still was this process's, so what was read is about it
	}
	if err != nil {
		return known, err
	}
	facts.Method = p.method
	p.facts = &facts
	return facts, nil
}

// check returns an error unless the process still runs, or is a zombie, which keeps its number.
func (p *Peer) check() error {
	if p.pidfd >= 0 && !alive(p.pidfd) {
		return ErrEnded
	}
	if p.method == MethodPeerPidfd {
		return nil
	}
	if now, err := readStat(p.pid); err != nil || now.start != p.start {
		return ErrEnded
	}
	return nil
}

// alive reports whether the process of a pidfd has its number still. One of another user, as
// sshd's are, may not be sent a signal, and is alive.
func alive(pidfd int) bool {
	err := unix.PidfdSendSignal(pidfd, 0, nil, 0)
	return err == nil || errors.Is(err, unix.EPERM)
}

// PinLeader returns the session leader of the process, which must run. The number of a leader
// is not given away while there is a process in its session, so it is the one of Facts.
func (p *Peer) PinLeader() (*Pin, error) {
	facts, err := p.Facts()
	if err != nil {
		return nil, err
	}
	if facts.Leader.PID == 0 {
		return nil, ErrEnded
	}
	pin, err := p.kernel.newPin(facts.Leader)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err = p.err; err == nil {
		err = p.check()
	}
	if err != nil {
		pin.Close()
		return nil, err
	}
	return pin, nil
}

// A Pin is a process that cannot be confused with a later one of its number.
type Pin struct {
	process Process
	mu      sync.Mutex
	pidfd   int // -1 if the kernel has none
}

func (k kernel) newPin(of Process) (*Pin, error) {
	pidfd, err := k.pidfdOpen(of.PID)
	if err != nil && !isMissing(err) {
		return nil, ErrEnded
	}
	if err != nil {
		pidfd = -1
	}
	pin := &Pin{process: of, pidfd: pidfd}
	if !pin.Alive() {
		pin.Close()
		return nil, ErrEnded
	}
	return pin, nil
}

// Process returns the process as it was at first.
func (p *Pin) Process() Process { return p.process }

// Alive reports whether the process still runs. A zombie does not.
func (p *Pin) Alive() bool {
	now, err := readStat(p.process.PID)
	if err != nil || now.start != p.process.Start || now.ended() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pidfd < 0 || alive(p.pidfd)
}

// Close forgets the process.
func (p *Pin) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pidfd >= 0 {
		_ = unix.Close(p.pidfd)
	}
	p.pidfd = -1
}

// readFacts reads about a process by its number.
func readFacts(pid, uid int) (Facts, error) {
	st, err := readStat(pid)
	if err != nil || st.ended() {
		return Facts{}, ErrEnded
	}
	facts := Facts{Process: st.process(), UID: uid, Unit: readUnit(pid, uid), Session: st.session}
	if leader, err := readStat(st.session); err == nil && leader.session == st.session && !leader.ended() {
		facts.Leader = leader.process()
		facts.LeaderUnit = readUnit(st.session, uid)
	}
	facts.Ancestors = readAncestors(st)
	return facts, nil
}

// readAncestors follows the parents, to the first one past the terminal. A parent is taken for
// one only if its child still has it after it was read: its number may be another process's
// by then.
func readAncestors(child stat) []Process {
	var all []Process
	for len(all) < MaxAncestors && child.parent > 1 {
		parent, err := readStat(child.parent)
		if err != nil {
			break
		}
		process := parent.process()
		if now, err := readStat(child.pid); err != nil || now.start != child.start || now.parent != parent.pid {
			break
		}
		all = append(all, process)
		if child.tty != 0 && parent.tty != child.tty {
			break
		}
		child = parent
	}
	return all
}

func readUnit(pid, uid int) Unit {
	text, _ := os.ReadFile(procFile(pid, "cgroup"))
	return unitOf(string(text), uid)
}
