// Package sink keeps token files fresh, for tools that can read a file and no more.
//
// A newcomer needs three calls: [New] makes a [Manager], [Manager.Configure] says which
// files there are to be, and [Manager.Close] removes them. The agent has to tell it what
// happens:
//
//	k := sink.New(sink.Options{Token: …, Render: ipc.Render})
//	a, err := agent.New(agent.Options{Changed: k.Changed, …})
//	k.Configure([]sink.Sink{{Environment: "prod", Format: "token", Path: path, Mode: 0o600}})
//
// # What is promised
//
// A file holds a token that is still valid, or it is not there. It is written when a
// token is first to be had and each time there is another one, and a file is a demand:
// the token is refreshed ahead of its end as long as the file is configured. It is
// removed when there is no token any more (a logout, a refusal, an end that no refresh
// came before), when it is configured no more, and by Close. Only a kill leaves it;
// the next Configure replaces or removes it.
//
// A reader sees the old file or the new one, whole, and never with a wider mode than
// the one configured. Nothing is written outside a folder that is the owner's alone to
// change, and no symbolic link at the path is followed. What else is at the path stays:
// the first bytes of a file tell whether an agent that was killed has left it, and no more
// of it is read back; nothing of it is logged.
//
// A file that another agent keeps is left to it.
//
// Nothing that goes wrong here is the agent's end: it is logged once, shown by
// Status, and tried again.
package sink

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

// A Sink is one token file.
type Sink struct {
	Environment string
	// Format is one of those that Options.Render knows. In the format "token" the file
	// ends without a newline: botocore and the AWS SDK for Go take a web identity token
	// as it is in the file.
	Format string
	Path   string      // absolute and clean; no two Sinks have the same
	Mode   fs.FileMode // see CheckMode
}

// allowedModes are what a token file may have.
var allowedModes = []fs.FileMode{0o600, 0o400, 0o640, 0o440}

// CheckMode refuses a mode by which others than the owner could write a token file, or
// others than the owner and the group read it.
func CheckMode(mode fs.FileMode) error {
	if slices.Contains(allowedModes, mode) {
		return nil
	}
	return fmt.Errorf("mode %04o is not for a token; want 0600 or 0400, or 0640 or 0440 where the group may read it", mode)
}

// Options is what a Keeper works with.
type Options struct {
	// Token is an [agent.Service]'s. An error means that no token of the environment is
	// of use.
	Token func(ctx context.Context, req agent.TokenRequest) (agent.Token, error)
	// Render writes a token in a format, as it is at now.
	Render func(format string, t agent.Token, now time.Time) ([]byte, error)
	Logger *slog.Logger // nil discards
}

// removeTimeout is how long Configure waits for the files that are to go; a file system
// that hangs must not hang a reload.
const removeTimeout = 5 * time.Second

// A Manager keeps the files of its Sinks. It is safe for concurrent use.
type Manager struct {
	o Options

	// files is what Changed and Status read: replaced whole, never changed.
	files atomic.Pointer[[]*file]

	mu     sync.Mutex // orders Configure and Close
	closed bool
}

// New returns a Keeper without files.
func New(o Options) *Manager {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Manager{o: o}
	m.files.Store(new([]*file))
	return m
}

// Configure makes sinks the files there are. Those that are no more among them are
// gone when it returns; the new ones are written beside everything else. All are
// looked at again, for what a token is rendered with may have changed.
func (m *Manager) Configure(sinks []Sink) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	m.removeLocked(ctx, func(f *file) bool { return !slices.Contains(sinks, f.sink) })
	old, files := *m.files.Load(), make([]*file, 0, len(sinks))
	for _, s := range sinks {
		if i := slices.IndexFunc(old, func(f *file) bool { return f.sink == s }); i >= 0 {
			files = append(files, old[i])
		} else {
			files = append(files, newFile(m.o, s))
		}
	}
	m.files.Store(&files) // from here on Changed reaches them, so that no change is missed
	for _, f := range files {
		f.wakeUp()
		if !slices.Contains(old, f) {
			go f.run()
		}
	}
}

// removeLocked ends the files that gone is true of, and removes them. The caller holds mu.
func (m *Manager) removeLocked(ctx context.Context, gone func(*file) bool) {
	var stay []*file
	for _, f := range *m.files.Load() {
		if gone(f) {
			f.cancel()
			defer f.waitRemoved(ctx)
		} else {
			stay = append(stay, f)
		}
	}
	m.files.Store(&stay)
}

// OnChange has the files of an environment looked at again. It returns at once; it is
// made for [agent.Options].
func (m *Manager) OnChange(environment string) {
	for _, f := range *m.files.Load() {
		if f.sink.Environment == environment {
			f.wakeUp()
		}
	}
}

// Status tells where each file is, in the order they are configured in.
func (m *Manager) Status() []agent.SinkStatus {
	var all []agent.SinkStatus
	for _, f := range *m.files.Load() {
		all = append(all, f.status())
	}
	return all
}

// Close removes all files. When ctx ends first, some may be left.
func (m *Manager) Close(ctx context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.removeLocked(ctx, func(*file) bool { return true })
}
