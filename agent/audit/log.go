package audit

import (
	"cmp"
	"context"
	"encoding/hex"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

const (
	// maxPending is how many events wait for the disk; any more are dropped, or refused where
	// lines are required.
	maxPending = 4096
	// pause is the least time between two batches, so that a burst is a few writes.
	pause = 250 * time.Millisecond
	// retryAfter is when an event is tried again that found the log broken.
	retryAfter = time.Second
)

// Options configures a Log.
type Options struct {
	Dir    string // the state folder; it is made when it is missing
	Mode   Mode
	Logger *slog.Logger // nil discards
	// OnHead is called after each batch with the place and the hash of the last line, for a log
	// that this user cannot change. It may block.
	OnHead func(Head)
	// MaxFile and MaxKept are for tests; 0 is 8 MB for a file and 64 MB for all of them.
	MaxFile, MaxKept int64
	sync             func(*os.File) error // of a test; nil is fsync
}

// A Log is the audit log of one agent. A nil *Log records nothing.
type Log struct {
	o      Options
	writer writer // of the goroutine run, as is heads
	heads  newestHead

	mode atomic.Pointer[Mode]

	mu       sync.Mutex
	pending  []entry
	folds    folds
	dropped  uint64 // since the last line
	status   Status
	lastFail string    // the error that was logged last
	writing  time.Time // since when a batch is being written; zero if none is
	closed   bool
	last     Event // of Close

	wake   chan struct{} // has room for one
	urgent chan struct{} // the same: do not pause
	done   chan struct{} // closed when run has returned
}

// Status is for metrics and for people.
type Status struct {
	Mode    Mode
	Lines   uint64 // that this agent has written
	Dropped uint64 // events that have no line
	Error   string // why the last batch failed; "" if it did not
}

// An entry is an event that waits for the disk.
type entry struct {
	Event
	count int       // of events that the line is for; 0 is one
	since time.Time // the first of them
	fold  *fold     // that counts its repeats; nil if none does
	done  chan<- error

	jti, end string // of the token, once it is described
}

// Open returns the log in a folder. A folder that cannot be written is an error of each Record
// that needs a line, and otherwise one that is logged.
func Open(o Options) *Log {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Log{
		o: o, wake: make(chan struct{}, 1), urgent: make(chan struct{}, 1), done: make(chan struct{}),
		writer: writer{dir: o.Dir, maxFile: cmp.Or(o.MaxFile, maxFile), maxKept: cmp.Or(o.MaxKept, maxKept), sync: o.sync},
	}
	l.mode.Store(&o.Mode)
	go l.run()
	return l
}

// Mode implements [Recorder].
func (l *Log) Mode() Mode {
	if l == nil {
		return Off
	}
	return *l.mode.Load()
}

// SetMode changes the mode.
func (l *Log) SetMode(m Mode) { l.mode.Store(&m) }

// Status returns what the log has written so far.
func (l *Log) Status() Status {
	if l == nil {
		return Status{Mode: Off}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.status
	s.Mode = l.Mode()
	if stuck := l.stuckLocked(); stuck != nil {
		s.Error, _ = explain(l.o.Dir, stuck)
	}
	return s
}

// Record implements [Recorder].
func (l *Log) Record(ctx context.Context, e Event) error {
	if l == nil {
		return nil
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	switch l.Mode() {
	case Required:
		return l.recordDurably(ctx, e)
	case Off:
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	counter, counted := l.folds.add(&e)
	if counted {
		return nil
	}
	if len(l.pending) >= maxPending {
		l.dropLocked(1)
		return nil
	}
	l.pending = append(l.pending, entry{Event: e, fold: counter})
	if len(l.pending) == maxPending/2 {
		signal(l.urgent)
	}
	signal(l.wake)
	return nil
}

// recordDurably is Record where lines are required.
func (l *Log) recordDurably(ctx context.Context, e Event) error {
	l.mu.Lock()
	if l.closed || len(l.pending) >= maxPending {
		l.dropLocked(1)
		l.mu.Unlock()
		return required("too many requests wait for the audit log, or the agent stops", nil)
	}
	done := make(chan error, 1)
	l.pending = append(l.pending, entry{Event: e, done: done})
	l.mu.Unlock()
	signal(l.urgent)
	signal(l.wake)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return l.requiredOf(l.unanswered(ctx.Err()))
	}
}

func (l *Log) dropLocked(n uint64) {
	l.dropped += n
	l.status.Dropped += n
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// required is the error of an event that must have a line.
func required(why string, err error) error {
	return &agent.Error{
		Code: agent.CodeUnavailable, Op: Op, Message: "audit = \"required\", and " + why, RetryAfter: retryAfter, Err: err,
		Hint: "try again; kyc-agentd log says more",
	}
}

// Close writes what is waiting, with the counts of events that were folded, and then last, which
// is [Stop] if the agent stops. It returns when that is done or ctx has ended.
func (l *Log) Close(ctx context.Context, last Event) {
	if l == nil {
		return
	}
	last.Time = time.Now()
	l.mu.Lock()
	if !l.closed && l.Mode() != Off {
		l.last = last
	}
	l.closed = true
	l.mu.Unlock()
	signal(l.urgent)
	signal(l.wake)
	select {
	case <-l.done:
	case <-ctx.Done():
	}
}

// run writes batches until Close.
func (l *Log) run() {
	defer close(l.done)
	defer l.writer.close()
	timer := time.NewTimer(foldFor)
	defer timer.Stop()
	for {
		select {
		case <-l.wake:
		case <-timer.C:
		}
		begun := time.Now()
		b, next, closed := l.take(begun)
		if len(b.entries) > 0 {
			l.describeTokens(b.entries)
			l.setWriting(begun)
			h, note, err := l.writer.append(b)
			l.finish(b, note, err)
			l.heads.set(h, err)
		}
		if due := l.heads.report(l.o, closed); due.Before(next) {
			next = due
		}
		if closed {
			return
		}
		timer.Reset(time.Until(next))
		l.rest(pause - time.Since(begun))
	}
}

// rest waits for d, or until something is urgent.
func (l *Log) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-l.urgent:
	case <-timer.C:
	}
}

// take returns what is to be written now, and when to look for folded events again.
func (l *Log) take(now time.Time) (b batch, next time.Time, closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b = batch{entries: l.pending, dropped: l.dropped}
	l.pending = nil
	folded, next := l.folds.expire(now, l.closed)
	b.entries = append(b.entries, folded...)
	if l.last.Kind != "" {
		b.entries = append(b.entries, entry{Event: l.last})
		l.last = Event{}
	}
	return b, next, l.closed
}

// describeTokens replaces the tokens by what lines say of them.
func (l *Log) describeTokens(entries []entry) {
	for i := range entries {
		if e := &entries[i]; !e.Token.IsZero() {
			e.jti, e.end = describeToken(e.Token.Reveal())
			e.Token = agent.Secret{}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range entries { // a first one is before its repeats
		switch e := &entries[i]; {
		case e.fold == nil:
		case e.count == 0:
			e.fold.event.jti, e.fold.event.end = e.jti, e.end
		default:
			e.jti, e.end = e.fold.event.jti, e.fold.event.end
		}
	}
}

// newestHead is the head that the daemon's log should have.
type newestHead struct {
	head
	pending bool
	last    time.Time // of a report
}

func (n *newestHead) set(h head, err error) {
	if err == nil {
		n.head, n.pending = h, true
	}
}

// report reports the head, and returns when it is to be called again. There are as many reports
// as batches if none is required, and no more otherwise.
func (n *newestHead) report(o Options, now bool) (due time.Time) {
	due = n.last.Add(pause)
	switch {
	case !n.pending || o.OnHead == nil:
		return time.Now().Add(foldFor)
	case !now && time.Now().Before(due):
		return due
	}
	o.OnHead(Head{n.chain, n.n, hex.EncodeToString(n.hash[:]), Path(o.Dir)})
	n.pending, n.last = false, time.Now()
	return n.last.Add(foldFor)
}

// finish tells those who wait how the batch ended, and the log when that has changed.
func (l *Log) finish(b batch, note string, err error) {
	if note != "" {
		l.o.Logger.Warn("the audit log was changed: "+note, "op", "audit", "file", Path(l.o.Dir))
	}
	var answer error
	if err != nil {
		answer = l.requiredOf(err)
	}
	for _, e := range b.entries {
		if e.done != nil {
			e.done <- answer
		}
	}
	l.mu.Lock()
	l.writing = time.Time{}
	text := ""
	if err == nil {
		l.status.Lines += uint64(len(b.entries))
		l.dropped -= b.dropped
	} else {
		text, _ = explain(l.o.Dir, err)
		for _, e := range b.entries {
			if e.done == nil || !e.Kind.HandsOut() {
				l.dropLocked(uint64(max(1, e.count)))
			}
		}
	}
	changed := text != l.lastFail
	l.status.Error, l.lastFail = text, text
	l.mu.Unlock()
	switch {
	case !changed:
	case err != nil:
		_, hint := explain(l.o.Dir, err)
		level := slog.LevelError
		if l.Mode() != Required {
			level = slog.LevelWarn
		}
		l.o.Logger.Log(context.Background(), level, text+"; "+hint, "op", "audit")
	default:
		l.o.Logger.Info("the audit log is written again", "op", "audit")
	}
}

var _ Recorder = (*Log)(nil)
