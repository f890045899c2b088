package agent

import (
	"math/rand/v2"
	"time"
)

// A cachedCredential is the ID token in memory, or the AWS credentials. It never changes; a renewal
// replaces it.
type cachedCredential struct {
	token         Secret
	aws           AWSResult     // in the place of token
	lifetime      time.Duration // exp − iat
	requestedWall time.Time     // when it was asked for, on the wall clock: sees suspend
	requestedMono time.Time     // the same on the monotonic clock: sees a clock set back
	jitter        time.Duration // jitter: how much before the margin its refresh starts by itself
	neverExpires  bool          // an API key: none of the above counts
	signInExpiry  signInExpiry  // of the sign-in it came from
}

// apiKeyLifetime is what an API key has left: more than anybody asks for.
const apiKeyLifetime = 100 * 365 * 24 * time.Hour

// newCachedAPIKey makes an API key look like a token.
func newCachedAPIKey(key Secret, wall, mono time.Time) *cachedCredential {
	return &cachedCredential{token: key, lifetime: apiKeyLifetime, requestedWall: wall, requestedMono: mono, neverExpires: true}
}

// newCachedToken notes a token asked for at the given instants. Counting from the
// request, not the answer, can only end its life early.
func newCachedToken(res AuthResult, wall, mono time.Time, margin time.Duration) *cachedCredential {
	cred := &cachedCredential{token: res.IDToken, lifetime: res.Lifetime, requestedWall: wall, requestedMono: mono}
	cred.jitter = time.Duration(rand.Int64N(int64(cred.advisoryWindow(margin)/5) + 1))
	return cred
}

// age is by the clock that says more: each misses what the other sees.
func (cred *cachedCredential) age(now time.Time) time.Duration {
	return max(now.Sub(cred.requestedWall), time.Since(cred.requestedMono), 0)
}

// left is how much life the token has; 0 or less means dead. A nil held is dead.
func (cred *cachedCredential) left(now time.Time) time.Duration {
	switch {
	case cred == nil:
		return 0
	case cred.neverExpires:
		return apiKeyLifetime
	}
	return cred.lifetime - cred.age(now)
}

// advisoryWindow is how long before the end a refresh is due: the configured time, or a
// fifth of the life when that is shorter. A fixed 5 minutes would refresh a
// 5-minute token, the shortest Cognito issues, on every request.
func (cred *cachedCredential) advisoryWindow(configured time.Duration) time.Duration {
	return min(configured, cred.lifetime/5)
}

// usable reports whether the token can still be handed out: it lasts for
// minValid, and long enough to arrive.
func (cred *cachedCredential) usable(now time.Time, minValid time.Duration) bool {
	return cred != nil && cred.left(now) >= max(minValid, cred.negligible()) && cred.left(now) > 0
}

// justIssued reports whether a refresh now would not yield a noticeably longer life.
func (cred *cachedCredential) justIssued(now time.Time) bool {
	return cred != nil && cred.age(now) < cred.negligible()
}

// negligible is the time that does not matter in this token's life: 5 s of an hour.
func (cred *cachedCredential) negligible() time.Duration { return min(5*time.Second, cred.lifetime/20) }
