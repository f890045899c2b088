// Package handover passes what this process has open, and what it has only in memory, to the
// program that takes its place by execve(2): a fresh image of the same program, or a newer
// version of it, with the same process id.
//
// Before: [Put] each descriptor and [SetData], then [Exec]. After: [Receive] once, then [Take]
// and [Data], and [CloseRest]. If Exec fails, the process still has all of it, and goes on as
// the next image would.
//
// The descriptors that a service manager passed stay where they are, from 3 on, and are
// announced by LISTEN_FDS again: see [KeepListenFDs].
package handover

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Variable has the number of the descriptor that a new image reads. It is unset at once.
const Variable = "KYC_AGENTD_HANDOVER"

// firstListenFD is sd_listen_fds(3)'s.
const firstListenFD = 3

// set is what one process hands to its next image. There is one, because a process has one
// table of descriptors, and one next image.
var set struct {
	mu     sync.Mutex
	files  map[string]int
	data   map[string]json.RawMessage
	listen []string // the names of the descriptors from 3 on
	count  int      // how many images came before this one
}

// A message is what goes to the next image.
type message struct {
	PID   int                        `json:"pid"` // as LISTEN_PID: a child process is not meant
	Count int                        `json:"count"`
	Files map[string]int             `json:"files"`
	Data  map[string]json.RawMessage `json:"data"`
}

// Put keeps a duplicate of c's descriptor for the next image under name, so that c can be
// closed. An flock(2) stays as long as the duplicate is open.
func Put(name string, c syscall.Conn) error {
	fd, err := duplicate(c)
	if err != nil {
		return err
	}
	set.mu.Lock()
	defer set.mu.Unlock()
	if set.files == nil {
		set.files = map[string]int{}
	}
	if old, ok := set.files[name]; ok {
		closeFD(old)
	}
	set.files[name] = fd
	return nil
}

// Take returns the descriptor that was put under name, or nil. It belongs to the caller.
func Take(name string) *os.File {
	set.mu.Lock()
	defer set.mu.Unlock()
	fd, ok := set.files[name]
	if !ok {
		return nil
	}
	delete(set.files, name)
	return os.NewFile(uintptr(fd), name)
}

// CloseRest closes the descriptors that nobody has taken, and forgets the data.
func CloseRest() {
	set.mu.Lock()
	defer set.mu.Unlock()
	for _, fd := range set.files {
		closeFD(fd)
	}
	set.files, set.data = nil, nil
}

// SetData keeps a value, as JSON, for the next image under name.
func SetData(name string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	set.mu.Lock()
	defer set.mu.Unlock()
	if set.data == nil {
		set.data = map[string]json.RawMessage{}
	}
	set.data[name] = data
	return nil
}

// Data decodes the value that was set under name, and forgets it. It reports whether there was one.
func Data(name string, value any) bool {
	set.mu.Lock()
	data, ok := set.data[name]
	delete(set.data, name)
	set.mu.Unlock()
	return ok && json.Unmarshal(data, value) == nil
}

// Count returns how many images of this process came before this one.
func Count() int {
	set.mu.Lock()
	defer set.mu.Unlock()
	return set.count
}

// KeepListenFDs says that the descriptors from 3 on came from the service manager, and stay
// open, with these names.
func KeepListenFDs(names []string) {
	set.mu.Lock()
	defer set.mu.Unlock()
	set.listen = names
}

// Exec replaces this process by program. It returns only if that fails, and then nothing has
// changed.
func Exec(program string, args, env []string) error {
	set.mu.Lock()
	defer set.mu.Unlock()
	pid := os.Getpid()
	body, err := json.Marshal(message{PID: pid, Count: set.count + 1, Files: set.files, Data: set.data})
	if err != nil {
		return err
	}
	sealed, err := seal(body)
	if err != nil {
		return fmt.Errorf("cannot keep what is in memory for it: %w", err)
	}
	defer closeFD(sealed)
	fds := []int{sealed}
	for _, fd := range set.files {
		fds = append(fds, fd)
	}
	env = append(without(env), Variable+"="+strconv.Itoa(sealed))
	if len(set.listen) > 0 {
		for i := range set.listen {
			fds = append(fds, firstListenFD+i)
		}
		env = append(env, "LISTEN_PID="+strconv.Itoa(pid), "LISTEN_FDS="+strconv.Itoa(len(set.listen)), "LISTEN_FDNAMES="+strings.Join(set.listen, ":"))
	}
	return replace(program, args, env, fds)
}

// without returns env without the variables that Exec sets.
func without(env []string) (kept []string) {
	for _, assignment := range env {
		switch name, _, _ := strings.Cut(assignment, "="); name {
		case Variable, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES":
		default:
			kept = append(kept, assignment)
		}
	}
	return kept
}

// Receive takes what an earlier image of this process has handed on, if there was one. Call it
// before anything opens a descriptor or starts a process.
func Receive() error {
	fd, err := strconv.Atoi(os.Getenv(Variable))
	_ = os.Unsetenv(Variable)
	if err != nil {
		return nil
	}
	body, err := unseal(fd)
	var m message
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	clear(body)
	if err != nil || m.PID != os.Getpid() {
		return fmt.Errorf("the variable %s does not name what an earlier image of this process left", Variable)
	}
	for _, fd := range m.Files {
		closeOnExec(fd)
	}
	set.mu.Lock()
	defer set.mu.Unlock()
	set.files, set.data, set.count = m.Files, m.Data, m.Count
	return nil
}
