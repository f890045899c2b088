package lock

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"filippo.io/age"

	"github.com/legaltalent/kyc-agent/internal/bootclock"
)

const (
	// freeTries is how many wrong passphrases cost no pause: a person mistypes.
	freeTries = 3
	// maxPause is less than the minute within which the owner gets in whatever others try,
	// because two batches of tries may come before.
	maxPause = 30 * time.Second
	// maxBatch is how many different tries are made after one pause, a second each.
	maxBatch = 6
	// maxWaiting bounds the tries that wait.
	maxWaiting = 1000
)

// pauseAfter returns the pause after that many wrong tries: 1, 2, 4, … seconds.
func pauseAfter(wrong int) time.Duration {
	if wrong < freeTries {
		return 0
	}
	return min(time.Second<<min(wrong-freeTries, 10), maxPause)
}

// Pause returns how long the next try has to wait. Setting the clock changes nothing.
func (f *Folder) Pause() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.Now()
	if !now.SameBoot(f.content.WrongAt) {
		f.content.WrongAt = now // nobody knows how long ago the pause began
	}
	return max(0, pauseAfter(f.content.Wrong)-now.Since(f.content.WrongAt))
}

// begin counts a try as a wrong one, before it is made, so that a kill does not undo that. If the
// disk takes nothing, memory counts.
func (f *Folder) begin() {
	now := f.Now()
	count := func(c *content) error { c.Wrong, c.WrongAt = c.Wrong+1, now; return nil }
	if f.change(count) != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		_ = count(&f.content)
	}
}

func (f *Folder) wrongTries() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.content.Wrong
}

// right forgets the wrong tries.
func (f *Folder) right() {
	if f.change(func(c *content) error { c.Wrong, c.WrongAt = 0, bootclock.Mark{}; return nil }) != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.content.Wrong = 0
	}
}

// A Try is one passphrase that somebody typed.
type Try struct {
	Passphrase string
	Session    string // of the process that sent it
	Terminal   bool   // that process has a controlling terminal
}

// Turns lets tries be made after the pause that wrong ones cost. They wait meanwhile. After a
// pause the next ones are first those from a terminal, and of these, those of the sessions with
// the fewest wrong tries; equal ones are made once, and up to maxBatch different ones without
// another pause. So a flood of wrong tries does not keep the owner out at a terminal: the longest
// wait is one batch, a pause, and another batch.
type Turns struct {
	Folder *Folder
	// Check returns the identity, or [ErrWrongPassphrase].
	Check func(passphrase string) (*age.X25519Identity, error)

	mu      sync.Mutex
	running bool
	waiting []*waiter
	wrong   map[string]int // by session, since the start
}

type waiter struct {
	Try
	order  uint64
	result chan result // cap 1
}

type result struct {
	identity *age.X25519Identity
	err      error
}

// ErrTooMany means that so many tries wait that this one was dropped.
var ErrTooMany = errors.New("too many tries wait for their turn")

// Do waits for the turn of try and makes it.
func (t *Turns) Do(ctx context.Context, try Try) (*age.X25519Identity, error) {
	w := &waiter{try, rand.Uint64(), make(chan result, 1)}
	t.mu.Lock()
	t.waiting = append(t.waiting, w)
	if len(t.waiting) > maxWaiting {
		last := slices.MaxFunc(t.waiting, t.compareLocked)
		last.result <- result{err: ErrTooMany}
		t.removeLocked(last)
	}
	if !t.running {
		t.running = true
		go t.run()
	}
	t.mu.Unlock()
	select {
	case r := <-w.result:
		return r.identity, r.err
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.removeLocked(w)
	return nil, ctx.Err()
}

// compareLocked orders those that wait by whose turn is first. The caller holds mu.
func (t *Turns) compareLocked(a, b *waiter) int {
	if a.Terminal != b.Terminal {
		if a.Terminal {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(t.wrong[a.Session], t.wrong[b.Session]), cmp.Compare(a.order, b.order))
}

func (t *Turns) removeLocked(w *waiter) {
	t.waiting = slices.DeleteFunc(t.waiting, func(other *waiter) bool { return other == w })
}

// run makes tries until none waits.
func (t *Turns) run() {
	for t.any() {
		if pause := t.Folder.Pause(); pause > 0 {
			time.Sleep(pause)
			continue
		}
		for _, same := range t.batch() {
			t.make(same)
		}
	}
}

// any reports whether a try waits; if none does, run ends.
func (t *Turns) any() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running = len(t.waiting) > 0
	return t.running
}

// batch takes the next tries: equal ones together. While a mistake costs no pause yet, it is one.
func (t *Turns) batch() (batch [][]*waiter) {
	most := maxBatch
	if t.Folder.wrongTries() < freeTries {
		most = 1
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.SortFunc(t.waiting, t.compareLocked)
	at := map[string]int{}
	rest := t.waiting[:0]
	for _, w := range t.waiting {
		i, ok := at[w.Passphrase]
		switch {
		case ok:
			batch[i] = append(batch[i], w)
		case len(batch) < most:
			at[w.Passphrase] = len(batch)
			batch = append(batch, []*waiter{w})
		default:
			rest = append(rest, w)
		}
	}
	t.waiting = rest
	return batch
}

// make makes one try for all in same.
func (t *Turns) make(same []*waiter) {
	t.Folder.begin()
	identity, err := t.Check(same[0].Passphrase)
	if err == nil {
		t.Folder.right()
	}
	t.mu.Lock()
	if t.wrong == nil || len(t.wrong) > 4*maxWaiting {
		t.wrong = map[string]int{}
	}
	for _, w := range same {
		if err == nil {
			delete(t.wrong, w.Session)
		} else {
			t.wrong[w.Session]++
		}
		w.result <- result{identity, err}
	}
	t.mu.Unlock()
}
