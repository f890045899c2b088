package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/legaltalent/kyc-agent/soak/fakecognito"
)

// A documentedLoss is a way to lose a sign-in that the documentation admits. A loss that
// fits none of them fails the run. An entry is deleted with the change that closes it.
type documentedLoss struct {
	name    string
	reason  string
	applies func(evidence, loss) bool
}

// documentedLosses is all that may end a sign-in.
var documentedLosses = []documentedLoss{
	{
		"killed while unsaved",
		"the store could not save the newest refresh token, so it was in the memory of the daemon alone",
		func(e evidence, l loss) bool {
			return l.pastGrace(e) && slices.ContainsFunc(e.find(killed), func(k event) bool {
				return k.at.After(l.since) && e.within(k.at, storeFailed)
			})
		},
	},
	{
		"killed in the call, no grace",
		"Cognito has rotated and goes on when its client is dead; the new refresh token was never on this machine, or not yet on its disk",
		func(e evidence, l loss) bool { return e.grace == 0 && l.killed(e) },
	},
	{
		"answer lost, no grace",
		"Cognito has rotated and the network lost the answer; the old refresh token is refused",
		func(e evidence, l loss) bool { return e.grace == 0 && l.answerLost() },
	},
	{
		"answer lost, Cognito not reached within the grace period",
		"Cognito accepts the old refresh token for the grace period only",
		func(e evidence, l loss) bool { return e.grace > 0 && l.answerLost() && l.pastGrace(e) },
	},
}

// A loss is what is known of a sign-in that has ended: the refusal, and the call that
// exchanged the refused token for one that the daemon does not have. Both calls are zero if
// the daemon did not ask Cognito, because it has no sign-in at all.
type loss struct {
	since, found time.Time // the phase in which it happened
	refusal      fakecognito.Call
	rotation     fakecognito.Call
}

// saveWindow is how long after Cognito's answer the record may not be on the disk yet.
const saveWindow = 250 * time.Millisecond

// lossIn finds the loss in the calls of a phase.
func lossIn(e evidence, since, found time.Time) loss {
	l := loss{since: since, found: found}
	for _, c := range e.calls {
		if c.Op == fakecognito.Refresh && c.Begun.After(since) && c.Code != "" && c.Presented > 0 {
			l.refusal = c
		}
	}
	for _, c := range e.calls {
		if c.Issued > 0 && c.Family == l.refusal.Family && c.Presented == l.refusal.Presented && l.refusal.Presented > 0 {
			l.rotation = c
			break
		}
	}
	return l
}

// killed reports whether the daemon was killed from the begin of the call until its result
// was on the disk.
func (l loss) killed(e evidence) bool {
	if l.rotation.Issued == 0 {
		return false
	}
	end := l.rotation.Ended
	if end.IsZero() {
		end = l.rotation.Processed
	}
	return e.between(l.rotation.Begun.Add(-time.Millisecond), end.Add(saveWindow), killed)
}

func (l loss) answerLost() bool { return l.rotation.Issued > 0 && !l.rotation.Delivered }

// after is the time from the rotation to the refusal.
func (l loss) after() time.Duration { return l.refusal.Begun.Sub(l.rotation.Processed) }

// pastGrace reports whether the refused token had worked once and could not work again.
func (l loss) pastGrace(e evidence) bool { return l.rotation.Issued > 0 && l.after() >= e.grace }

// String says what happened, for a report.
func (l loss) String() string {
	switch {
	case l.refusal.Presented == 0:
		return "the daemon has no sign-in and asked nothing"
	case l.rotation.Issued == 0:
		return fmt.Sprintf("Cognito answered %s to refresh token %d, which it had never exchanged", l.refusal.Code, l.refusal.Presented)
	}
	return fmt.Sprintf("Cognito answered %s to refresh token %d, which it had exchanged %s before in a call with fault %q, delivered: %t",
		l.refusal.Code, l.refusal.Presented, l.after().Round(time.Millisecond), l.rotation.Fault, l.rotation.Delivered)
}

// documented returns the entry that explains the loss of a sign-in in a phase.
func documented(e evidence, since, found time.Time) (documentedLoss, loss, bool) {
	l := lossIn(e, since, found)
	for _, d := range documentedLosses {
		if d.applies(e, l) {
			return d, l, true
		}
	}
	return documentedLoss{}, l, false
}
