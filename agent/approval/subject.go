package approval

import (
	"fmt"
	"strings"

	"github.com/legaltalent/kyc-agent/agent/peer"
)

// A Subject is whom a grant is for. Its comparison is that of programs: two processes with
// equal subjects have the same grants.
type Subject struct {
	Kind SubjectKind `json:"kind"`
	// PID and Start are of the session leader, and Name is its program.
	PID   int       `json:"pid,omitempty"`
	Start uint64    `json:"start,omitempty"`
	Name  string    `json:"name,omitempty"`
	TTY   string    `json:"tty,omitempty"`
	Unit  peer.Unit `json:"unit,omitzero"`
}

// A SubjectKind is a kind of Subject.
type SubjectKind string

// The kinds.
const (
	SubjectSession SubjectKind = "session" // all processes of a session, while its leader runs
	SubjectUnit    SubjectKind = "unit"    // all processes of a unit
)

// String returns "the session of /usr/bin/bash (pid 4242, pts/3)" or "the unit x.service (user)".
func (s Subject) String() string {
	switch s.Kind {
	case SubjectSession:
		return "the session of " + peer.Process{PID: s.PID, Comm: s.Name, TTY: s.TTY}.String()
	case SubjectUnit:
		return fmt.Sprintf("the unit %s", s.Unit)
	}
	return "nobody"
}

// subjectOf returns whom a grant for a process would be for, or the zero Subject if there is
// nobody: its session has no leader that runs, and it is in no unit.
//
// A session is taken if it is of a terminal, or if the leader is in the unit of the process, as
// the main process of a service is. The programs that a desktop starts are in its session, and
// in a unit each: for them it is the unit.
func subjectOf(f peer.Facts) Subject {
	l := f.Leader
	if l.PID != 0 && !isServiceManager(l, f.LeaderUnit) && (l.TTY != "" || f.LeaderUnit == f.Unit) {
		return Subject{Kind: SubjectSession, PID: l.PID, Start: l.Start, Name: l.Name(), TTY: l.TTY}
	}
	if isOneProgram(f.Unit) {
		return Subject{Kind: SubjectUnit, Unit: f.Unit}
	}
	return Subject{}
}

// isServiceManager reports whether a session leader starts unrelated programs: the first process
// of a machine or a container, unless somebody types into it, and the user's manager.
func isServiceManager(l peer.Process, u peer.Unit) bool {
	return l.TTY == "" && (l.PID == 1 || u.Name == "init.scope")
}

// isOneProgram reports whether a unit holds one program, and not a whole login or everything
// that a manager started.
func isOneProgram(u peer.Unit) bool {
	if strings.HasSuffix(u.Name, ".service") {
		return !strings.HasPrefix(u.Name, "user@")
	}
	return strings.HasPrefix(u.Name, "app-") && strings.HasSuffix(u.Name, ".scope")
}
