package sink

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

const (
	// checkInterval is the longest time between two updates of a file. Regular updates
	// keep the token in demand, and notice an expired token and a file that was removed.
	checkInterval = time.Minute
	// tokenTimeout limits a request for a token; a refresh takes 20 seconds at most.
	tokenTimeout = 30 * time.Second

	backoffFirst = 5 * time.Second
	backoffMax   = 5 * time.Minute
)

// A file maintains the file of one Sink, in one goroutine.
type file struct {
	o      Options
	log    *slog.Logger
	sink   Sink
	notes  *notes
	wake   chan struct{}      // cap 1: requests an update
	settle chan chan struct{} // requests one, and closes the channel after it
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed when run has removed the file and returned
	// leftOver is set for a file that is not configured any more: it is only removed.
	leftOver bool

	// Used by run's goroutine only.
	token    agent.Token    // last written
	current  *writtenFile   // as last written; nil while there is no file
	replaced []*writtenFile // written before: other names may lead to them
	made     bool           // the folder was made for it
	failed   bool           // the last remove did
	inUse    bool           // the last remove found the file of another agent
	logged   []string       // what is left, as it was logged
	failures int            // failed updates in a row

	mu       sync.Mutex
	reported agent.SinkStatus
}

// newFile returns the file of s. Its run method does the work.
func newFile(o Options, s Sink, n *notes) *file {
	ctx, cancel := context.WithCancel(context.Background())
	return &file{
		o: o, log: o.Logger.With("op", "sink", "env", s.Environment, "path", s.Path), sink: s, notes: n,
		wake: make(chan struct{}, 1), settle: make(chan chan struct{}), ctx: ctx, cancel: cancel, done: make(chan struct{}),
		reported: agent.SinkStatus{Path: s.Path, Environment: s.Environment, Format: s.Format},
	}
}

// wakeUp makes run update the file soon.
func (f *file) wakeUp() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// waitRemoved returns when the file is removed or ctx ends.
func (f *file) waitRemoved(ctx context.Context) {
	select {
	case <-f.done:
	case <-ctx.Done():
		f.log.Warn("the token file may not have been removed", "error", ctx.Err())
	}
}

func (f *file) status() agent.SinkStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reported
}

// settled updates the file and returns when that is done, or when ctx ends.
func (f *file) settled(ctx context.Context) {
	updated := make(chan struct{})
	select {
	case f.settle <- updated:
		select {
		case <-updated:
			return
		case <-ctx.Done():
		}
	case <-f.done:
		return
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reported.Left = []string{inMessage(f.sink.Path) + " may hold a token: its file system does not answer; remove it"}
}

// ended reports whether run has returned.
func (f *file) ended() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// run updates the file until its context ends, and then removes it. A left-over is removed
// once, or as soon as that is possible.
func (f *file) run() {
	defer close(f.done)
	f.sink.removeTemps()
	timer := time.NewTimer(checkInterval)
	defer timer.Stop()
	for {
		var updated chan struct{}
		select {
		case <-f.ctx.Done():
			f.end()
			return
		case updated = <-f.settle:
			f.failures = 0
		case <-f.wake:
			f.failures = 0 // something changed, so earlier failures say little
		case <-timer.C:
		}
		again := f.update()
		over := f.leftOver && f.clean()
		if over {
			f.end()
		}
		if updated != nil {
			close(updated)
		}
		if over {
			return
		}
		timer.Reset(f.untilExpiry(again))
	}
}

// end removes the file for good, with the folder that was made for it.
func (f *file) end() {
	dir := filepath.Dir(f.sink.Path)
	f.made = f.made || f.notes.madeFolder(dir) // before its note goes
	if err := f.remove(); err != nil {
		f.log.Warn("cannot remove the token file", "error", err)
	}
	f.logLeft()
	if f.clean() && !f.inUse {
		f.notes.drop(f.sink.Path)
		if f.made {
			_ = syscall.Rmdir(dir) // unless it has something else in it
		}
	}
	for _, w := range append(f.replaced, f.current) {
		if w != nil {
			w.close()
		}
	}
}

// expired reports whether the token in the file has expired, and how long it is still
// valid. Without a file, and for a token that does not expire, left is practically endless.
func (f *file) expired() (ended bool, left time.Duration) {
	end := f.token.ExpiresAt
	if f.current == nil || end.IsZero() {
		return false, math.MaxInt64
	}
	left = end.Round(0).Sub(time.Now().Round(0))
	return left <= 0, left
}

// untilExpiry returns d, or the remaining lifetime of the token in the file if that is
// shorter: no wait may keep an expired token in the file.
func (f *file) untilExpiry(d time.Duration) time.Duration {
	if ended, left := f.expired(); !ended {
		return min(d, left)
	}
	return d
}

// update writes or removes the file, as the current token requires, and returns when to
// update it next.
func (f *file) update() time.Duration {
	if f.leftOver {
		return f.removeLeftOver()
	}
	f.eraseReplaced(expiredOnly)
	if ended, _ := f.expired(); ended {
		_ = f.remove() // before waiting for a new token; if this fails, writeToken reports why
	}
	ctx, cancel := context.WithTimeout(f.ctx, f.untilExpiry(tokenTimeout))
	defer cancel()
	t, err := f.o.Token(ctx, agent.TokenRequest{Environment: f.sink.Environment})
	if err != nil {
		return f.handleNoToken(err)
	}
	if err := f.writeToken(t); err != nil {
		return f.handleWriteError(err)
	}
	f.report(nil)
	f.failures = 0
	return checkInterval
}

// writeToken writes t unless the file already holds it.
func (f *file) writeToken(t agent.Token) error {
	if f.current != nil && t.IDToken.Equal(f.token.IDToken) && t.APIURL == f.token.APIURL {
		change := f.current.change(f.sink.Path)
		if change == "" {
			return nil
		}
		f.log.Info("the token file is not as it was written, and is written anew", "change", change)
	}
	data, err := f.o.Render(f.sink.Format, t, time.Now())
	if err != nil {
		return err
	}
	if f.sink.Format == "token" {
		data = bytes.TrimSuffix(data, []byte("\n"))
	}
	written, err := f.write(data)
	if err != nil {
		return err
	}
	written.end = t.ExpiresAt
	f.keep(f.current)
	f.token, f.current = t, written
	f.log.Debug("token file written")
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reported.Left = nil
	f.reported.WrittenAt, f.reported.ExpiresAt = time.Now().UTC().Truncate(time.Second), t.ExpiresAt.UTC().Truncate(time.Second)
	return nil
}

// handleNoToken removes the file because there is no token.
func (f *file) handleNoToken(why error) time.Duration {
	if err := f.remove(); err != nil {
		return f.handleWriteError(err)
	}
	if f.report(why) && !f.logLeft() {
		f.log.Info("no token, so no token file", "code", string(agent.CodeOf(why)), "error", why)
	}
	return f.backoff()
}

// handleWriteError reports a file that could not be written or removed. A token in it stays
// while it is valid: a full disk must not remove a good token.
func (f *file) handleWriteError(why error) time.Duration {
	if f.report(why) {
		f.log.Warn("cannot update the token file; will retry", "error", why)
	}
	if ended, _ := f.expired(); ended {
		_ = f.remove()
	}
	return f.backoff()
}

// report sets the error that Status shows, or clears it when why is nil, and returns whether
// it changed.
func (f *file) report(why error) (news bool) {
	text := ""
	if why != nil {
		text = why.Error()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	news = f.reported.Error != text
	if news && why == nil {
		f.log.Info("the token file is up to date")
	}
	f.reported.Error = text
	return news
}

// backoff returns how long to wait after a failed update, and counts the failure.
func (f *file) backoff() time.Duration {
	d := min(backoffMax, backoffFirst<<min(f.failures, 10))
	f.failures++
	return d
}
