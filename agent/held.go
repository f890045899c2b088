package agent

import (
	"math/rand/v2"
	"time"
)

// A held is the ID token in memory, or the AWS credentials. It never changes; a renewal
// replaces it.
type held struct {
	token    Secret
	aws      AWSResult     // in the place of token
	lifetime time.Duration // exp − iat
	wall     time.Time     // when it was asked for, on the wall clock: sees suspend
	mono     time.Time     // the same on the monotonic clock: sees a clock set back
	spread   time.Duration // jitter: how much before the margin its refresh starts by itself
	endless  bool          // an API key: none of the above counts
	end      signInEnd     // of the sign-in it came from
}

// endlessLife is what an API key has left: more than anybody asks for.
const endlessLife = 100 * 365 * 24 * time.Hour

// newEndless makes an API key look like a token.
func newEndless(key Secret, wall, mono time.Time) *held {
	return &held{token: key, lifetime: endlessLife, wall: wall, mono: mono, endless: true}
}

// newHeld notes a token asked for at the given instants. Counting from the
// request, not the answer, can only end its life early.
func newHeld(g AuthResult, wall, mono time.Time, margin time.Duration) *held {
	h := &held{token: g.IDToken, lifetime: g.Lifetime, wall: wall, mono: mono}
	h.spread = time.Duration(rand.Int64N(int64(h.margin(margin)/5) + 1))
	return h
}

// age is by the clock that says more: each misses what the other sees.
func (h *held) age(now time.Time) time.Duration {
	return max(now.Sub(h.wall), time.Since(h.mono), 0)
}

// left is how much life the token has; 0 or less means dead. A nil held is dead.
func (h *held) left(now time.Time) time.Duration {
	switch {
	case h == nil:
		return 0
	case h.endless:
		return endlessLife
	}
	return h.lifetime - h.age(now)
}

// margin is how long before the end a refresh is due: the configured time, or a
// fifth of the life when that is shorter. A fixed 5 minutes would refresh a
// 5-minute token, the shortest Cognito issues, on every request.
func (h *held) margin(configured time.Duration) time.Duration {
	return min(configured, h.lifetime/5)
}

// usable reports whether the token can still be handed out: it lasts for
// minValid, and long enough to arrive.
func (h *held) usable(now time.Time, minValid time.Duration) bool {
	return h != nil && h.left(now) >= max(minValid, h.instant()) && h.left(now) > 0
}

// young reports whether a refresh now would not yield a noticeably longer life.
func (h *held) young(now time.Time) bool {
	return h != nil && h.age(now) < h.instant()
}

// instant is the time that does not matter in this token's life: 5 s of an hour.
func (h *held) instant() time.Duration { return min(5*time.Second, h.lifetime/20) }
