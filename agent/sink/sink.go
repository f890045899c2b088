// Package sink keeps token files fresh, for tools that can only read a file.
//
// [New] makes a [Manager], [Manager.Configure] sets the token files, and [Manager.Close]
// removes them. The agent reports changes of its tokens to the Manager:
//
//	m := sink.New(sink.Options{Token: …, Render: format.Render, State: folder, …})
//	a, err := agent.New(agent.Options{OnChange: m.OnChange, …})
//	m.Configure([]sink.Sink{{Environment: "prod", Format: "token", Path: path, Mode: 0o600}})
//
// # What is promised
//
// A file holds a token that is still valid, or it does not exist. It is written when the
// first token is available and each time the token changes. A configured file counts as
// demand: its token is refreshed before it expires. The file is removed when there is no
// token any more (after a logout, a refusal, or an expiry without a refresh), when it is
// no longer configured, and by Close. Only a killed agent leaves its file behind; the next
// Configure replaces or removes it, also if it is not configured any more.
//
// Files stay open, and one that is removed is emptied: hard links to it, mounts of it, and
// the file itself after somebody has moved it hold no token then, either. What cannot be
// removed or emptied is named in [agent.SinkStatus]. A copy is out of reach.
//
// A reader sees the whole old file or the whole new one, and never with a wider mode than
// the configured one. Files are only written to folders that nobody but the owner can
// change, or put others in the place of, and a symbolic link at the path is not followed.
//
// A file that is not the agent's is neither replaced nor removed. What the agent writes it
// notes in the folder Options.State: path and hash. Without a note a file is the agent's if
// it has an ID token of the environment in it and nothing else. None of its content is
// logged.
//
// A file that another running agent maintains is left alone.
//
// An error here does not stop the agent: it is logged once, shown by Status, and the
// operation is tried again.
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
	// Format is one of the formats of Options.Render. In the format "token" the file
	// ends without a newline, because botocore and the AWS SDK for Go use the content of
	// a web identity token file unchanged.
	Format string
	Path   string      // absolute and clean; no two Sinks have the same
	Mode   fs.FileMode // see CheckMode
}

// allowedModes are the modes that a token file may have.
var allowedModes = []fs.FileMode{0o600, 0o400, 0o640, 0o440}

// CheckMode refuses a mode that lets anybody but the owner write a token file, or anybody
// but the owner and the group read it.
func CheckMode(mode fs.FileMode) error {
	if slices.Contains(allowedModes, mode) {
		return nil
	}
	return fmt.Errorf("mode %04o is not allowed for a token file; use 0600 or 0400, or 0640 or 0440 to let the group read it", mode)
}

// Options configures a Manager.
type Options struct {
	// Token is the method of an [agent.Service]. An error means that the environment has
	// no usable token.
	Token func(ctx context.Context, req agent.TokenRequest) (agent.Token, error)
	// Render formats a token. Formats with a remaining lifetime compute it from now.
	Render renderFunc
	// Issued reports whether a JWT is an ID token for the environment, by what it says
	// itself: such a file at a path is the agent's, if nothing is known of who wrote it. If
	// Issued is nil, none is.
	Issued func(environment, token string) bool
	// State is the folder in which the Manager notes, without any secret, which files it has
	// written, so that the next one finds them after a kill. If it is empty, none are noted.
	State  string
	Logger *slog.Logger // nil discards
}

type renderFunc = func(format string, t agent.Token, now time.Time) ([]byte, error)

// removeTimeout is how long Configure waits until files are removed, so that a hanging
// file system does not hang a reload.
const removeTimeout = 5 * time.Second

// A Manager maintains the files of its Sinks. It is safe for concurrent use.
type Manager struct {
	o Options

	// files is read by OnChange and Status. The slice is replaced, never modified.
	files atomic.Pointer[[]*file]

	mu     sync.Mutex // orders Configure and Close
	closed bool
	notes  *notes // nil before the first Configure
}

// New returns a Manager without files.
func New(o Options) *Manager {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Manager{o: o}
	m.files.Store(new([]*file))
	return m
}

// Configure replaces the set of files. Files that are no longer in sinks have been removed
// when it returns; new ones are written in the background. Every file is checked again,
// because the settings that a token is rendered with may have changed.
func (m *Manager) Configure(sinks []Sink) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	if m.notes == nil {
		m.notes = readNotes(m.o.State, m.o.Logger)
	}
	m.removeLocked(ctx, func(f *file) bool { return f.leftOver || !slices.Contains(sinks, f.sink) })
	leftOver := m.removeLeftOvers(ctx, sinks)
	old, files := *m.files.Load(), make([]*file, 0, len(sinks))
	for _, s := range sinks {
		if i := slices.IndexFunc(old, func(f *file) bool { return f.sink == s }); i >= 0 {
			files = append(files, old[i])
		} else {
			files = append(files, newFile(m.o, s, m.notes))
		}
	}
	all := slices.Concat(files, leftOver)
	m.files.Store(&all) // before the first update, so that OnChange misses no change
	for _, f := range files {
		f.wakeUp()
		if !slices.Contains(old, f) {
			go f.run()
		}
	}
}

// removeLeftOvers removes the files of which there is a note, but no Sink: a killed agent left
// them, or they could not be removed before. It returns those that are still to be removed.
func (m *Manager) removeLeftOvers(ctx context.Context, sinks []Sink) (leftOver []*file) {
	for _, n := range m.notes.all() {
		if slices.ContainsFunc(sinks, func(s Sink) bool { return s.Path == n.Path }) {
			continue
		}
		f := newFile(m.o, Sink{Environment: n.Environment, Path: n.Path, Mode: 0o600}, m.notes)
		f.leftOver, f.made = true, n.MadeFolder
		leftOver = append(leftOver, f)
		go f.run()
	}
	m.settle(ctx, leftOver)
	return slices.DeleteFunc(leftOver, (*file).ended)
}

// removeLocked stops and removes the files for which gone returns true. The caller holds mu.
func (m *Manager) removeLocked(ctx context.Context, gone func(*file) bool) {
	var stay []*file
	for _, f := range *m.files.Load() {
		if gone(f) {
			f.cancel()
			defer f.waitRemoved(ctx) // all are removed in parallel
		} else {
			stay = append(stay, f)
		}
	}
	m.files.Store(&stay)
}

// OnChange updates the files of an environment in the background. It is the OnChange of
// [agent.Options].
func (m *Manager) OnChange(environment string) {
	for _, f := range *m.files.Load() {
		if f.sink.Environment == environment {
			f.wakeUp()
		}
	}
}

// Settle updates the files of an environment and returns when that is done, or when ctx ends.
// [Manager.Status] then says what still holds a token after a logout.
func (m *Manager) Settle(ctx context.Context, environment string) {
	m.settle(ctx, slices.DeleteFunc(slices.Clone(*m.files.Load()), func(f *file) bool { return f.sink.Environment != environment }))
}

func (m *Manager) settle(ctx context.Context, files []*file) {
	var all sync.WaitGroup
	for _, f := range files {
		all.Go(func() { f.settled(ctx) })
	}
	all.Wait()
}

// Status returns the state of each file, in the order of the configuration, and of those that
// are left although they are not configured any more.
func (m *Manager) Status() []agent.SinkStatus {
	var all []agent.SinkStatus
	for _, f := range *m.files.Load() {
		if !f.leftOver || !f.ended() {
			all = append(all, f.status())
		}
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
