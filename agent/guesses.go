package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	// freeGuesses is how many sign-ins of a user may fail for a wrong password before there are
	// pauses. Cognito locks an account after five, for a second first and 15 minutes at last.
	freeGuesses = 3
	// firstGuessPause is the pause after them. It doubles with every further one.
	firstGuessPause = 5 * time.Second
	maxGuessPause   = time.Minute
	// guessMemory is how long after the last one they are remembered, as Cognito remembers them.
	guessMemory = 15 * time.Minute
	// maxGuessers bounds the users that are remembered. All others count as one.
	maxGuessers = 64
)

// guesses slows down sign-ins with wrong passwords, by user, so that a local program that guesses
// does not get the account locked. The zero guesses is ready.
type guesses struct {
	mu     sync.Mutex
	byUser map[string]*guess
}

// A guess counts the wrong passwords of a user, and those of which the provider has not said yet
// that they are right.
type guess struct {
	count int
	last  time.Time // wall clock
}

// remaining returns how long until the next password may be passed on. A clock that was set back
// makes the pause no longer than it is.
func (g *guess) remaining(now time.Time) time.Duration {
	if g.count < freeGuesses {
		return 0
	}
	pause := min(maxGuessPause, firstGuessPause<<min(g.count-freeGuesses, 10))
	if d := g.last.Add(pause).Sub(now); d <= pause {
		return max(d, 0)
	}
	return 0
}

// begin counts a password of user as wrong until it is known. If the user has to wait, it
// returns for how long, and counts nothing.
func (g *guesses) begin(user string, now time.Time) (entry *guess, pause time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forgetLocked(now)
	key := strings.ToLower(strings.TrimSpace(user)) // most user pools ignore case
	if g.byUser[key] == nil && len(g.byUser) >= maxGuessers {
		key = ""
	}
	entry = g.byUser[key]
	if entry == nil {
		entry = &guess{}
		if g.byUser == nil {
			g.byUser = map[string]*guess{}
		}
		g.byUser[key] = entry
	}
	if pause = entry.remaining(now); pause > 0 {
		return entry, pause
	}
	entry.count++
	entry.last = now
	return entry, 0
}

func (g *guesses) forgetLocked(now time.Time) {
	for user, entry := range g.byUser {
		if now.Sub(entry.last) >= guessMemory || entry.count == 0 {
			delete(g.byUser, user)
		}
	}
}

// right takes back what begin counted: the password was right, or the provider did not judge it.
func (g *guesses) right(entry *guess, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil {
		entry.count = 0
		return
	}
	entry.count = max(0, entry.count-1)
}

// guarded makes a call with a password of user, unless too many were wrong before. A call that
// was cancelled before anything was asked may have sent a wrong one, too.
func (s *session) guarded(ctx context.Context, op, user string, ask Prompter, call func(Prompter) error) error {
	entry, pause := s.guesses.begin(user, s.agent.now())
	if pause > 0 {
		wait := max(pause, time.Second).Round(time.Second)
		e := s.errorf(op, CodeThrottled,
			"the last passwords of this user were wrong; the agent passes on the next one in %s, so that Cognito does not lock the account", wait)
		e.Hint, e.RetryAfter = fmt.Sprintf("try again in %s", wait), pause
		return e
	}
	var asked bool
	err := call(func(ctx context.Context, c Challenge) (Answers, error) {
		asked = true
		return ask(ctx, c)
	})
	if wrong := errors.Is(err, ErrBadCredential) || err != nil && ctx.Err() != nil && !asked; !wrong {
		s.guesses.right(entry, err)
	}
	return err
}
