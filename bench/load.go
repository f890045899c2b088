package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// A server is one side of the load comparison.
type server struct {
	name   string
	socket string // its path, or a TCP address
	times  timings
	spent  time.Duration
}

// perSecond returns the answers per second over all slices.
func (s *server) perSecond() float64 { return float64(len(s.times)) / s.spent.Seconds() }

const bareHandler = "bare net/http"

// loadPart compares the agent's cached answers with those of a bare net/http handler.
func loadPart(ctx context.Context, h *harness, p plan) (section, error) {
	s := section{
		title: "Answers per second",
		about: fmt.Sprintf("A cached token over the socket, beside a bare net/http handler on a Unix socket that sends the same bytes. "+
			"%d turns of %v each, in shuffled order; the clients share the cores with the server.", p.slices, p.slice),
		head: []string{"clients", "server", "answers/s", "p50 µs", "p99 µs", "× bare"},
	}
	d, err := h.newDaemon(ctx, "load", "memory")
	if err != nil {
		return s, err
	}
	defer d.process.stop()
	if err := d.login(ctx, "staging"); err != nil {
		return s, err
	}
	answer, err := rawAnswer(d.socket, tokenOnce)
	if err != nil {
		return s, err
	}
	baseline, err := h.startBaseline(ctx, baselineVerb, answer)
	if err != nil {
		return s, err
	}
	for _, request := range []string{tokenKeep, tokenOnce} {
		for _, clients := range []int{1, 16, 256} {
			pair := []*server{{name: "kyc-agentd", socket: d.socket}, {name: bareHandler, socket: baseline}}
			if err := takeTurns(ctx, pair, request, clients, p); err != nil {
				return s, err
			}
			s.loadRows(pair, request, clients)
		}
	}
	return s, nil
}

// loadRows adds a row for each server, compared with the one called bare net/http or off.
func (s *section) loadRows(servers []*server, request string, clients int) {
	how := "a connection each time"
	if request == tokenKeep {
		how = "connections kept"
	}
	baseline := servers[0].perSecond()
	for _, v := range servers {
		if v.name == bareHandler {
			baseline = v.perSecond()
		}
	}
	for _, v := range servers {
		s.rows = append(s.rows, []string{
			fmt.Sprintf("%d, %s", clients, how), v.name, fmt.Sprintf("%.0f", v.perSecond()),
			micros(v.times.median()), micros(v.times.at(0.99)), fmt.Sprintf("%.2f", v.perSecond()/baseline),
		})
	}
}

// takeTurns loads the servers one at a time.
func takeTurns(ctx context.Context, servers []*server, request string, clients int, p plan) error {
	for range p.slices {
		for _, i := range rand.Perm(len(servers)) {
			if err := servers[i].load(ctx, request, clients, p.slice); err != nil {
				return fmt.Errorf("%d clients at %s: %w", clients, servers[i].name, err)
			}
		}
	}
	return nil
}

// load runs so many clients, each of which asks without a pause.
func (s *server) load(ctx context.Context, request string, clients int, d time.Duration) error {
	var mu sync.Mutex
	var failed error
	var wg sync.WaitGroup
	began := time.Now()
	for range clients {
		wg.Go(func() {
			times, err := askUntil(ctx, newCaller(s.socket, request), began.Add(d))
			mu.Lock()
			defer mu.Unlock()
			s.times = append(s.times, times...)
			if err != nil {
				failed = err
			}
		})
	}
	wg.Wait()
	s.spent += time.Since(began)
	return failed
}

// askUntil asks without a pause until end, and times every answer.
func askUntil(ctx context.Context, c *caller, end time.Time) (timings, error) {
	defer c.close()
	var times timings
	for now := time.Now(); now.Before(end) && ctx.Err() == nil; {
		if _, err := c.call(); err != nil {
			return nil, err
		}
		after := time.Now()
		times = append(times, after.Sub(now))
		now = after
	}
	return times, context.Cause(ctx)
}
