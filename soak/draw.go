package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// A phase is one phase of a run.
type phase struct {
	number int
	kind   kind
	env    *environment // that it is about, if it is about one
	rng    *rand.Rand

	begun, healed, ended time.Time

	fault  string // at env's pool
	since  time.Time
	times  int // to how many calls the fault happened at most; 0 means all
	notes  []string
	losses []string
}

// draw draws a phase. It depends on the seed and the number alone, so a phase does not
// change the ones after it; only one that would outlast the run is drawn again.
func (s *soak) draw(from []kind, number int, left time.Duration) *phase {
	rng := rand.New(rand.NewPCG(s.opts.seed, uint64(number)))
	total := 0
	for _, k := range from {
		total += max(k.weight, 1)
	}
	for {
		at := rng.IntN(total)
		for _, k := range from {
			if at -= max(k.weight, 1); at >= 0 {
				continue
			}
			if s.possible(k.name, left, len(from) == 1) {
				return &phase{number: number, kind: k, rng: rng, env: s.envs[rng.IntN(len(s.envs))]}
			}
			break
		}
	}
}

// possible reports whether a kind can be run in the time that is left. A kind that is the
// only one always can.
func (s *soak) possible(name string, left time.Duration, alone bool) bool {
	return alone || name != "kill-unasked" || s.opts.grace > 0 && left > s.opts.grace+30*time.Second
}

// String is a phase as a report shows it.
func (p *phase) String() string {
	parts := []string{fmt.Sprintf("%3d %-14s %5.1fs", p.number, p.kind.name, p.ended.Sub(p.begun).Seconds())}
	if len(p.notes) > 0 {
		parts = append(parts, strings.Join(p.notes, ", "))
	}
	for _, l := range p.losses {
		parts = append(parts, "LOST, documented: "+l)
	}
	return strings.Join(parts, "  ")
}

func (p *phase) note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

// between draws a time.
func (p *phase) between(from, to time.Duration) time.Duration {
	return from + time.Duration(p.rng.Int64N(int64(to-from)))
}

// pause waits for a time that is drawn.
func (p *phase) pause(ctx context.Context, from, to time.Duration) error {
	return pause(ctx, p.between(from, to))
}
