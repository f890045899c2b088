// Package peer has facts about the program at the other end of a connection of a Unix socket:
// for people to read, for the audit log, and for approvals to be bound to.
//
//	p := peer.Of(conn)           // at accept(2): from here on the process cannot be confused with another
//	defer p.Close()              // with the connection
//	facts, err := p.Facts()      // program, unit, session and ancestors, read once
//	facts, err := p.Brief()      // less of them and cheaper, for each of many connections
//	pin, err := p.PinLeader()    // the session leader; pin.Alive says whether it still runs
//
// Facts are no boundary between processes of one user. A process can run any program under
// any name, be changed by a debugger or LD_PRELOAD, start another in a unit of any name
// (`systemd-run --user --unit=NAME`), and pass its connection on. Only a unit of the system's
// manager is out of its reach. What is certain is that all facts are of one process, the one
// that connected, and not of a later one with its number: see [Method].
//
// Linux alone tells enough. Elsewhere Facts returns [errors.ErrUnsupported].
package peer

import (
	"errors"
	"fmt"
)

// ErrEnded means that the process has ended, so that nothing is known of it any more.
var ErrEnded = errors.New("the process that connected has ended")

// A Method is how it is made sure that all facts are of one process.
type Method string

// The methods.
const (
	// MethodPeerPidfd is SO_PEERPIDFD (Linux 6.5): the kernel names the very process that
	// connected.
	MethodPeerPidfd Method = "peer-pidfd"
	// MethodPidfdOpen is for older kernels: pidfd_open(2) for the number of SO_PEERCRED, with
	// the start time read before and after. A process that ended between its connect(2) and
	// the accept(2), and whose number another process got by then, would not be noticed.
	MethodPidfdOpen Method = "pidfd-open"
	// MethodStartTime is for a kernel, or a system call filter, that has neither: the start
	// time is compared, which the kernel counts in hundredths of a second.
	MethodStartTime Method = "start-time"
)

// Facts are what is known of the process that connected. All text in them is one line that a
// terminal may show.
type Facts struct {
	Process Process `json:"process"`
	UID     int     `json:"uid"`
	Unit    Unit    `json:"unit,omitzero"`
	// Session is the number of its session, and Leader the session leader: most often the
	// shell of a terminal, or the main process of a service. It is zero if it has ended.
	Session int     `json:"session,omitempty"`
	Leader  Process `json:"leader,omitzero"`
	// LeaderUnit is the unit of the leader. A program that a desktop starts is in a unit of its
	// own, and in the session of the whole desktop.
	LeaderUnit Unit `json:"leader_unit,omitzero"`
	// Ancestors are up to MaxAncestors of them, the parent first. They end where the terminal
	// does: the last one may be the terminal emulator or sshd.
	Ancestors []Process `json:"ancestors,omitempty"`
	Method    Method    `json:"method"`
}

// MaxAncestors is how many ancestors there are in Facts.
const MaxAncestors = 3

// A Process is one process. PID and Start name it as long as the machine runs.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // in clock ticks after the boot, as in proc_pid_stat(5)
	// Exe is the path of the program, empty if the process hides it, and Comm its name, which
	// the process can change.
	Exe  string `json:"exe,omitempty"`
	Comm string `json:"comm"`
	TTY  string `json:"tty,omitempty"` // the controlling terminal, "pts/3"
}

// Name returns the program's path, or else its name.
func (p Process) Name() string {
	if p.Exe != "" {
		return p.Exe
	}
	return p.Comm
}

// String returns "/usr/bin/bash (pid 4242, pts/3)".
func (p Process) String() string {
	switch {
	case p.PID == 0:
		return "unknown"
	case p.TTY != "":
		return fmt.Sprintf("%s (pid %d, %s)", p.Name(), p.PID, p.TTY)
	}
	return fmt.Sprintf("%s (pid %d)", p.Name(), p.PID)
}
