package main

import (
	"slices"
	"time"

	"github.com/legaltalent/kyc-agent/soak/fakecognito"
)

// An eventKind is something that soak does to the daemon.
type eventKind string

const (
	started     eventKind = "started"
	killed      eventKind = "killed"  // SIGKILL
	stopped     eventKind = "stopped" // SIGTERM, and the daemon has ended
	asked       eventKind = "asked"   // for a token that is younger than the one in memory
	signedIn    eventKind = "signed in"
	signedOut   eventKind = "signed out"
	storeFailed eventKind = "store failed" // it could not save from at to until
)

// An event is one of them. env is empty if it concerns all environments.
type event struct {
	kind  eventKind
	env   string
	at    time.Time
	until time.Time // of what lasts; zero while it does
}

// covers reports whether t lies in an event that lasts.
func (e event) covers(t time.Time) bool {
	return !t.Before(e.at) && (e.until.IsZero() || !t.After(e.until))
}

// Evidence is what the checks read about one environment: it has no process and no clock,
// so that tests can write it down.
type evidence struct {
	env    string
	grace  time.Duration
	life   time.Duration
	events []event
	calls  []fakecognito.Call
}

// find returns the events of a kind that concern the environment.
func (e evidence) find(kind eventKind) []event {
	var found []event
	for _, v := range e.events {
		if v.kind == kind && (v.env == "" || v.env == e.env) {
			found = append(found, v)
		}
	}
	return found
}

// between reports whether one of the kinds happened in (from, to].
func (e evidence) between(from, to time.Time, kinds ...eventKind) bool {
	return slices.ContainsFunc(e.events, func(v event) bool {
		return slices.Contains(kinds, v.kind) && (v.env == "" || v.env == e.env) && v.at.After(from) && !v.at.After(to)
	})
}

// within reports whether t lies in an event of the kind that lasts.
func (e evidence) within(t time.Time, kind eventKind) bool {
	return slices.ContainsFunc(e.find(kind), func(v event) bool { return v.covers(t) })
}
