package agent

import (
	"cmp"
	"math/rand/v2"
	"time"
)

// A cachedCredential is an ID token, an API key or AWS credentials in memory. It never
// changes; a refresh replaces it.
//
// Its age is counted from the moment it was requested, by two clocks: each of them
// misses what the other one sees.
type cachedCredential struct {
	token         Secret
	access        Secret        // the access token, if the environment hands it out
	aws           AWSResult     // instead of token
	lifetime      time.Duration // exp − iat
	requestedWall time.Time     // on the wall clock, which counts the time in suspend
	requestedMono time.Time     // on the monotonic clock, which nobody can set back
	jitter        time.Duration // how much before the advisory window the scheduler refreshes it
	delay         time.Duration // how much later than others this agent begins to refresh it, in a fleet
	neverExpires  bool          // an API key: lifetime, the clocks and jitter do not matter
	signInExpiry  signInExpiry  // of the sign-in it came from
	user          string        // whose it is: the name as typed, if known, else username
	username      string        // the user's name at Cognito
	subject       string        // `sub`
	rendered      Rendered      // what was written with token
}

// describe records which sign-in the credential came from.
func (cred *cachedCredential) describe(signIn *storedSignIn, env Environment) {
	cred.signInExpiry = expiryOf(signIn, env)
	cred.user, cred.username, cred.subject = signIn.user(), signIn.issued.Username, signIn.issued.Subject
	if !signIn.until.IsZero() {
		cred.neverExpires, cred.lifetime = false, max(0, min(cred.lifetime, signIn.until.Sub(cred.requestedWall)))
	}
}

// apiKeyLifetime is the remaining life of an API key: more than any request asks for.
const apiKeyLifetime = 100 * 365 * 24 * time.Hour

// newCachedAPIKey makes an API key look like a token.
func newCachedAPIKey(key Secret, wall, mono time.Time) *cachedCredential {
	return &cachedCredential{token: key, lifetime: apiKeyLifetime, requestedWall: wall, requestedMono: mono, neverExpires: true}
}

// newCachedToken returns the ID token of res, which was requested at wall and mono.
// Counting from the request and not from the answer can only make its life shorter. With an
// access token it lasts as long as the shorter of the two.
func newCachedToken(env Environment, res AuthResult, wall, mono time.Time, margin time.Duration) *cachedCredential {
	cred := &cachedCredential{
		token: res.IDToken, lifetime: res.Lifetime, requestedWall: wall.Add(-res.Age), requestedMono: mono.Add(-res.Age),
	}
	if env.HandOutAccessTokens {
		cred.access = res.AccessToken
		cred.lifetime = min(cred.lifetime, cmp.Or(res.AccessLifetime, cred.lifetime))
	}
	cred.jitter = time.Duration(rand.Int64N(int64(cred.advisoryWindow(margin)/5) + 1))
	return cred
}

// age is the time since the request, by the clock on which more has passed.
func (cred *cachedCredential) age(now time.Time) time.Duration {
	return max(now.Sub(cred.requestedWall), time.Since(cred.requestedMono), 0)
}

// left is the remaining life; 0 or less means expired. A nil credential is expired.
func (cred *cachedCredential) left(now time.Time) time.Duration {
	switch {
	case cred == nil:
		return 0
	case cred.neverExpires:
		return apiKeyLifetime
	}
	return cred.lifetime - cred.age(now)
}

// A reading is a credential, and how much of its life was left when a clock was read.
type reading struct {
	cred *cachedCredential
	at   time.Time
	left time.Duration
}

func (cred *cachedCredential) read(now time.Time) reading { return reading{cred, now, cred.left(now)} }

// end is when the credential's life ends.
func (r *reading) end() time.Time { return r.at.Add(r.left) }

// advisoryWindow is how long before the end a refresh is due: the configured time, or a
// fifth of the lifetime if that is shorter. A fixed 5 minutes would refresh a 5-minute
// token, the shortest Cognito issues, on every request.
func (cred *cachedCredential) advisoryWindow(configured time.Duration) time.Duration {
	return min(configured, cred.lifetime/5)
}

// usable reports whether the credential can still be handed out: it lasts for minValid,
// and long enough to reach the server that checks it.
func (cred *cachedCredential) usable(now time.Time, minValid time.Duration) bool {
	return cred != nil && cred.left(now) >= max(minValid, cred.negligible()) && cred.left(now) > 0
}

// negligible is the part of the lifetime that does not matter: 5 s of an hour.
func (cred *cachedCredential) negligible() time.Duration { return min(5*time.Second, cred.lifetime/20) }
