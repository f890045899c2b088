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
	// tick is the longest time between two looks at a file. It keeps the token in
	// demand, finds a token that ended without another, and a file that is gone.
	tick = time.Minute
	// askTimeout bounds a request for a token; a refresh takes 20 seconds at most.
	askTimeout = 30 * time.Second

	backoffFirst = 5 * time.Second
	backoffMost  = 5 * time.Minute
)

// A file is a Sink at work. One goroutine does all of it.
type file struct {
	o    Options
	log  *slog.Logger
	sink Sink
	mark mark          // of what an agent that was killed has left
	wake chan struct{} // cap 1: look again
	life context.Context
	end  context.CancelFunc // of life
	done chan struct{}      // closed when the file is removed for good

	// The goroutine's own.
	token  agent.Token // what was written last
	there  *written    // the file as it was then; nil: there is none of ours
	failed int         // looks in a row that came to nothing

	mu    sync.Mutex
	shown agent.SinkStatus
}

// newFile returns the file of s, which run keeps.
func newFile(o Options, s Sink) *file {
	life, end := context.WithCancel(context.Background())
	return &file{
		o: o, log: o.Logger.With("op", "sink", "env", s.Environment, "path", s.Path), sink: s, mark: markOf(o.Render, s.Format),
		wake: make(chan struct{}, 1), life: life, end: end, done: make(chan struct{}),
		shown: agent.SinkStatus{Path: s.Path, Environment: s.Environment, Format: s.Format},
	}
}

// again has the file looked at soon.
func (f *file) again() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// wait returns when the file is removed, or ctx ends.
func (f *file) wait(ctx context.Context) {
	select {
	case <-f.done:
	case <-ctx.Done():
		f.log.Warn("the token file may be left", "error", ctx.Err())
	}
}

func (f *file) status() agent.SinkStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.shown
}

// run keeps the file until its life ends, and then removes it.
func (f *file) run() {
	defer close(f.done)
	f.sink.removeTemps()
	timer := time.NewTimer(tick)
	defer timer.Stop()
	for {
		select {
		case <-f.life.Done():
			if err := f.withdraw(); err != nil {
				f.log.Warn("the token file is left", "error", err)
			}
			return
		case <-f.wake:
			f.failed = 0 // something changed: what failed before says little
		case <-timer.C:
		}
		timer.Reset(f.untilEnd(f.look()))
	}
}

// over reports whether the file holds a token that has ended, and otherwise how long that
// one is good for. Without a file, or with a token without end, that is for ever.
func (f *file) over() (ended bool, left time.Duration) {
	end := f.token.ExpiresAt
	if f.there == nil || end.IsZero() {
		return false, math.MaxInt64
	}
	left = end.Round(0).Sub(time.Now().Round(0))
	return left <= 0, left
}

// untilEnd is d, or what the token in the file has left where that is less: nothing that
// takes its time may keep a token there that has ended.
func (f *file) untilEnd(d time.Duration) time.Duration {
	if ended, left := f.over(); !ended {
		return min(d, left)
	}
	return d
}

// look makes the file what it should be and returns how long that is good for.
func (f *file) look() time.Duration {
	if ended, _ := f.over(); ended {
		_ = f.withdraw() // before another is waited for; if it cannot be, put says why
	}
	ctx, cancel := context.WithTimeout(f.life, f.untilEnd(askTimeout))
	defer cancel()
	t, err := f.o.Token(ctx, agent.TokenRequest{Environment: f.sink.Environment})
	if err != nil {
		return f.without(err)
	}
	if err := f.put(t); err != nil {
		return f.unwritten(err)
	}
	f.note(nil)
	f.failed = 0
	return tick
}

// put writes t unless it is what the file holds.
func (f *file) put(t agent.Token) error {
	same := f.there != nil && t.IDToken.Equal(f.token.IDToken) && t.APIURL == f.token.APIURL
	if same && f.sink.holds(f.there) {
		return nil
	}
	data, err := f.o.Render(f.sink.Format, t, time.Now())
	if err != nil {
		return err
	}
	if f.sink.Format == "token" {
		data = bytes.TrimSuffix(data, []byte("\n"))
	}
	there, err := f.sink.write(data, f.there, f.mark)
	if err != nil {
		return err
	}
	f.there.close()
	f.token, f.there = t, there
	f.log.Debug("token file written")
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shown.WrittenAt, f.shown.ExpiresAt = time.Now().UTC().Truncate(time.Second), t.ExpiresAt.UTC().Truncate(time.Second)
	return nil
}

// without is what becomes of the file when there is no token: it goes.
func (f *file) without(why error) time.Duration {
	if err := f.withdraw(); err != nil {
		return f.unwritten(err)
	}
	if f.note(why) {
		f.log.Info("no token, so no token file", "code", string(agent.CodeOf(why)), "error", why)
	}
	return f.pause()
}

// unwritten is for a file that could not be written or removed. What it holds may stay
// as long as it is valid: a full disk must not take a good token away.
func (f *file) unwritten(why error) time.Duration {
	if f.note(why) {
		f.log.Warn("the token file is not as it should be; trying again", "error", why)
	}
	if ended, _ := f.over(); ended {
		_ = f.withdraw()
	}
	return f.pause()
}

// withdraw removes the file, whoever of us wrote it.
func (f *file) withdraw() error {
	if err := f.sink.remove(f.there, f.mark); err != nil {
		return err
	}
	f.there.close()
	f.token, f.there = agent.Token{}, nil
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shown.WrittenAt, f.shown.ExpiresAt = time.Time{}, time.Time{}
	return nil
}

// note shows why the file is not as it should be; nil means that it is. It reports
// whether that is news.
func (f *file) note(why error) (news bool) {
	text := ""
	if why != nil {
		text = why.Error()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	news = f.shown.Error != text
	if news && why == nil {
		f.log.Info("the token file is as it should be")
	}
	f.shown.Error = text
	return news
}

// pause is how long to wait after a look that came to nothing.
func (f *file) pause() time.Duration {
	d := min(backoffMost, backoffFirst<<min(f.failed, 10))
	f.failed++
	return d
}
