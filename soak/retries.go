package main

import (
	"fmt"
	"time"

	"github.com/legaltalent/kyc-agent/soak/fakecognito"
)

// Names of faults, which the tables below and those of losses.go refer to.
const (
	faultLate     = "late"
	faultSlow     = "slow"
	faultLost     = "lost"
	faultCut      = "cut"
	faultReset    = "reset"
	fault500      = "500"
	faultThrottle = "throttle"
	faultKeys     = "keys"
	faultNetwork  = "network"
	faultRevoked  = "revoked"
)

// A documentedRetry is how often the daemon may repeat a refresh that failed, and how long
// after the end of a fault there may still be no token.
type documentedRetry struct {
	burst  int           // calls of one refresh
	every  time.Duration // from one refresh that failed to the next
	pauses bool          // the pauses grow while the fault lasts
	reason string
}

// documentedRetries has every fault that makes the daemon repeat a call.
var documentedRetries = map[string]documentedRetry{
	faultSlow:     {3, 5 * time.Second, false, "a call that takes longer than its request waits"},
	faultLate:     {3, 5 * time.Second, false, "a call that takes longer than its request waits"},
	faultLost:     {3, 5 * time.Second, false, "no answer is tried three times in a row, because Cognito accepts the same refresh token only for a short while"},
	faultCut:      {3, 5 * time.Second, false, "half of an answer is no answer"},
	faultReset:    {3, 5 * time.Second, false, "no answer is tried three times in a row"},
	faultNetwork:  {3, 5 * time.Second, false, "no answer is tried three times in a row"},
	fault500:      {3, 5 * time.Second, true, "a 500 is treated like no answer"},
	faultThrottle: {1, 5 * time.Second, true, "growing pauses"},
}

// allowed returns how many calls may fail in a fault that lasted for d.
func (r documentedRetry) allowed(d time.Duration) int {
	return r.burst * (1 + int(d/r.every))
}

// recovery returns how long after a fault that lasted for d there is a token again. A pause
// has full jitter, with a ceiling that doubles from 5 s with each failure in a row. The
// rest is the request's own time and that of a busy machine.
func (r documentedRetry) recovery(d time.Duration) time.Duration {
	const request = 10 * time.Second
	if !r.pauses {
		return r.every + request
	}
	return r.every<<min(int(d/r.every)+1, 6) + request
}

// refreshSlack is how much earlier than computed a refresh may begin: timers and the time
// between the daemon's request and its arrival.
const refreshSlack = 300 * time.Millisecond

// soonest is how old a token is at least when the scheduler replaces it: a fifth of its life
// before the end, and up to a fifth of that earlier, at random.
func soonest(life time.Duration) time.Duration {
	margin := life / 5
	return life - margin - margin/5 - refreshSlack
}

// needless returns an error for the first refresh since from that nobody needed: it
// replaced a token that was young, that the same daemon had, and that nobody found too old.
func needless(e evidence, from time.Time) error {
	var last fakecognito.Call
	for _, c := range e.calls {
		if c.Op != fakecognito.Refresh && c.Op != fakecognito.Login || !c.Good() {
			continue
		}
		before := last
		last = c
		age := c.Begun.Sub(before.Begun)
		switch {
		case before.Op == "", c.Op == fakecognito.Login, !c.Begun.After(from), age >= soonest(e.life),
			e.between(before.Begun, c.Begun, started, asked, signedOut, signedIn):
			continue
		}
		return fmt.Errorf("%s: a refresh at %s for a token that is %s old, and nobody asked for a younger one",
			e.env, c.Begun.Format("15:04:05.000"), age.Round(time.Millisecond))
	}
	return nil
}

// failedCalls counts the refreshes since from that gave the daemon nothing.
func failedCalls(e evidence, from time.Time) int {
	n := 0
	for _, c := range e.calls {
		if c.Begun.After(from) && (c.Op == fakecognito.Refresh && !c.Good() || c.Op == fakecognito.Fallback) {
			n++
		}
	}
	return n
}
