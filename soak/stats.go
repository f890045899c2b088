package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// stats is what the summary shows.
type stats struct {
	phases        map[string]*count
	clients       map[string]*count
	losses        map[string]int
	exits         map[int]int
	starts, kills int
	slowest       time.Duration // recovery after a repair
	peak          usage
	process       processUsage
}

// A count is how many there were, and how long they took.
type count struct {
	n            int
	total, worst time.Duration
	failed       int
}

// processUsage is what one process of the daemon used after each phase.
type processUsage struct {
	since  time.Time
	usages []usage
}

func newStats() stats {
	return stats{phases: map[string]*count{}, clients: map[string]*count{}, losses: map[string]int{}, exits: map[int]int{}}
}

func add(to map[string]*count, name string, d time.Duration, failed bool) {
	c := to[name]
	if c == nil {
		c = &count{}
		to[name] = c
	}
	c.n, c.total, c.worst = c.n+1, c.total+d, max(c.worst, d)
	if failed {
		c.failed++
	}
}

func (s *stats) phase(p *phase) {
	add(s.phases, p.kind.name, p.ended.Sub(p.begun), len(p.losses) > 0)
	for _, l := range p.losses {
		_, name, _ := strings.Cut(l, ": ")
		s.losses[name]++
	}
}

func (s *stats) answers(list []answer) {
	for _, a := range list {
		add(s.clients, a.client, a.took, a.exit != exitOK)
		s.exits[a.exit]++
	}
}

func (s *stats) recovery(d time.Duration) { s.slowest = max(s.slowest, d) }

// usage notes what the process that runs since then uses.
func (s *stats) usage(since time.Time, u usage) {
	if !s.process.since.Equal(since) {
		s.process = processUsage{since: since}
	}
	s.process.usages = append(s.process.usages, u)
	s.peak = usage{max(s.peak.rssMB, u.rssMB), max(s.peak.fds, u.fds), max(s.peak.threads, u.threads), max(s.peak.waiting, u.waiting)}
}

// warmUp is how many phases a process may take to grow to its size.
const warmUp = 4

// growth compares the last usage of a process with that after its first phases.
func (s *stats) growth(since time.Time) error {
	if u := s.process.usages; s.process.since.Equal(since) && len(u) > warmUp {
		return u[len(u)-1].grewFrom(u[warmUp-1])
	}
	return nil
}

// write writes the summary.
func (s *stats) write(out io.Writer, skipped map[string]string) {
	table(out, []string{"phase", "runs", "with a loss", "mean s", "max s"}, s.phases)
	for _, name := range slices.Sorted(maps.Keys(skipped)) {
		fmt.Fprintf(out, "| %s | skipped: %s |\n", name, skipped[name])
	}
	table(out, []string{"client", "answers", "not 0", "mean s", "max s"}, s.clients)
	fmt.Fprintf(out, "\nexit codes:")
	for _, code := range slices.Sorted(maps.Keys(s.exits)) {
		fmt.Fprintf(out, " %d × %d", s.exits[code], code)
	}
	fmt.Fprintf(out, "\nstarts: %d, of which after a kill: %d; a new token at most %.1f s after a repair\n", s.starts, s.kills, s.slowest.Seconds())
	fmt.Fprintf(out, "most that the daemon used: %s\n", s.peak)
	total := 0
	for _, n := range s.losses {
		total += n
	}
	fmt.Fprintf(out, "documented losses: %d\n", total)
	for _, d := range documentedLosses {
		if n := s.losses[d.name]; n > 0 {
			fmt.Fprintf(out, "  %d × %s: %s\n", n, d.name, d.reason)
		}
	}
}

// table writes counts, the most frequent first.
func table(out io.Writer, head []string, counts map[string]*count) {
	fmt.Fprintf(out, "\n| %-14s | %7s | %11s | %6s | %6s |\n|%s|--------:|------------:|-------:|-------:|\n",
		head[0], head[1], head[2], head[3], head[4], strings.Repeat("-", 16))
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(counts[b].n-counts[a].n, strings.Compare(a, b))
	})
	for _, name := range names {
		c := counts[name]
		fmt.Fprintf(out, "| %-14s | %7d | %11d | %6.2f | %6.2f |\n", name, c.n, c.failed, c.total.Seconds()/float64(c.n), c.worst.Seconds())
	}
}
