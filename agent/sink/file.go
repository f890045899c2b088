package sink

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

const (
	// checkInterval is the longest time between two looks at a file. It keeps the token in
	// demand, finds a token that ended without another, and a file that is gone.
	checkInterval = time.Minute
	// tokenTimeout bounds a request for a token; a refresh takes 20 seconds at most.
	tokenTimeout = 30 * time.Second

	backoffFirst = 5 * time.Second
	backoffMax   = 5 * time.Minute
)

// A file is a Sink at work. One goroutine does all of it.
type file struct {
	o      Options
	log    *slog.Logger
	sink   Sink
	prefix filePrefix    // of what an agent that was killed has left
	wake   chan struct{} // cap 1: look again
	ctx    context.Context
	cancel context.CancelFunc // of life
	done   chan struct{}      // closed when the file is removed for good

	// The goroutine's own.
	token    agent.Token // what was written last
	current  *lockedFile // the file as it was then; nil: there is none of ours
	failures int         // looks in a row that came to nothing

	mu       sync.Mutex
	reported agent.SinkStatus
}

// newFile returns the file of s, which run keeps.
func newFile(o Options, s Sink) *file {
	ctx, cancel := context.WithCancel(context.Background())
	return &file{
		o: o, log: o.Logger.With("op", "sink", "env", s.Environment, "path", s.Path), sink: s, prefix: filePrefixOf(o.Render, s.Format),
		wake: make(chan struct{}, 1), ctx: ctx, cancel: cancel, done: make(chan struct{}),
		reported: agent.SinkStatus{Path: s.Path, Environment: s.Environment, Format: s.Format},
	}
}

// wakeUp has the file looked at soon.
func (f *file) wakeUp() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// waitRemoved returns when the file is removed, or ctx ends.
func (f *file) waitRemoved(ctx context.Context) {
	select {
	case <-f.done:
	case <-ctx.Done():
		f.log.Warn("the token file may be left", "error", ctx.Err())
	}
}

func (f *file) status() agent.SinkStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reported
}

// run keeps the file until its life ends, and then removes it.
func (f *file) run() {
	defer close(f.done)
	f.sink.removeTemps()
	timer := time.NewTimer(checkInterval)
	defer timer.Stop()
	for {
		select {
		case <-f.ctx.Done():
			if err := f.remove(); err != nil {
				f.log.Warn("the token file is left", "error", err)
			}
			return
		case <-f.wake:
			f.failures = 0 // something changed: what failed before says little
		case <-timer.C:
		}
		timer.Reset(f.untilExpiry(f.update()))
	}
}

// expired reports whether the file holds a token that has ended, and otherwise how long that
// one is good for. Without a file, or with a token without end, that is for ever.
func (f *file) expired() (ended bool, left time.Duration) {
	end := f.token.ExpiresAt
	if f.current == nil || end.IsZero() {
		return false, math.MaxInt64
	}
	left = end.Round(0).Sub(time.Now().Round(0))
	return left <= 0, left
}

// untilExpiry is d, or what the token in the file has left where that is less: nothing that
// takes its time may keep a token there that has ended.
func (f *file) untilExpiry(d time.Duration) time.Duration {
	if ended, left := f.expired(); !ended {
		return min(d, left)
	}
	return d
}

// update makes the file what it should be and returns how long that is good for.
func (f *file) update() time.Duration {
	if ended, _ := f.expired(); ended {
		_ = f.remove() // before another is waited for; if it cannot be, put says why
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

// writeToken writes t unless it is what the file holds.
func (f *file) writeToken(t agent.Token) error {
	same := f.current != nil && t.IDToken.Equal(f.token.IDToken) && t.APIURL == f.token.APIURL
	if same && f.sink.unchanged(f.current) {
		return nil
	}
	data, err := f.o.Render(f.sink.Format, t, time.Now())
	if err != nil {
		return err
	}
	if f.sink.Format == "token" {
		data = bytes.TrimSuffix(data, []byte("\n"))
	}
	written, err := f.sink.write(data, f.current, f.prefix)
	if err != nil {
		return err
	}
	f.current.close()
	f.token, f.current = t, written
	f.log.Debug("token file written")
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reported.WrittenAt, f.reported.ExpiresAt = time.Now().UTC().Truncate(time.Second), t.ExpiresAt.UTC().Truncate(time.Second)
	return nil
}

// handleNoToken is what becomes of the file when there is no token: it goes.
func (f *file) handleNoToken(why error) time.Duration {
	if err := f.remove(); err != nil {
		return f.handleWriteError(err)
	}
	if f.report(why) {
		f.log.Info("no token, so no token file", "code", string(agent.CodeOf(why)), "error", why)
	}
	return f.backoff()
}

// handleWriteError is for a file that could not be written or removed. What it holds may stay
// as long as it is valid: a full disk must not take a good token away.
func (f *file) handleWriteError(why error) time.Duration {
	if f.report(why) {
		f.log.Warn("the token file is not as it should be; trying again", "error", why)
	}
	if ended, _ := f.expired(); ended {
		_ = f.remove()
	}
	return f.backoff()
}

// remove removes the file, whoever of us wrote it.
func (f *file) remove() error {
	if err := f.sink.remove(f.current, f.prefix); err != nil {
		return err
	}
	f.current.close()
	f.token, f.current = agent.Token{}, nil
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reported.WrittenAt, f.reported.ExpiresAt = time.Time{}, time.Time{}
	return nil
}

// report shows why the file is not as it should be; nil means that it is. It reports
// whether that is news.
func (f *file) report(why error) (news bool) {
	text := ""
	if why != nil {
		text = why.Error()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	news = f.reported.Error != text
	if news && why == nil {
		f.log.Info("the token file is as it should be")
	}
	f.reported.Error = text
	return news
}

// backoff is how long to wait after a look that came to nothing.
func (f *file) backoff() time.Duration {
	d := min(backoffMax, backoffFirst<<min(f.failures, 10))
	f.failures++
	return d
}
