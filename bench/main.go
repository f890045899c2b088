// Command bench measures kyc-agent as it is shipped: real binaries, a real socket, and
// a simulated Cognito on loopback.
//
//	make bench
//
// prints the tables and writes them to bench/RESULTS.md, in about 6 minutes.
// Machines differ and are never idle, so programs that are compared run interleaved, in
// an order that is shuffled for each round, and the ratio within one run is the result. Each
// comparison is repeated: beside the ratio stand the least and the greatest of the repeats, so
// that a miss can be told from noise.
// If a peer program is not installed, a note names it.
//
//	go run ./bench load proxy
//
// measures these parts alone, and prints them.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

func main() {
	if ranBaseline() {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exitOn(run(ctx, full, os.Args[1:]))
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// A plan is how much to measure.
type plan struct {
	repeats  int           // of each comparison, for the spread of its ratio
	rounds   int           // how often each process is run in a repeat
	starts   int           // the same for processes that start an agent
	slice    time.Duration // how long one server is loaded before the next: see forClients
	slices   int           // how often in a repeat, for each server and number of clients
	answers  int           // how many are timed for each row of the table of stalls
	requests int           // how many come between the two readings of the daemon's memory
}

var full = plan{
	repeats: 5, rounds: 200, starts: 20, slice: 20 * time.Millisecond, slices: 56, answers: 600, requests: 1_000_000,
}

// longer is by how much a turn is longer with more than 16 clients.
const longer = 8

// forClients is p for so many clients. Short turns have the servers share what the machine does besides:
// at the same time in all, 60 turns of 20 ms had half the spread of 8 turns of 150 ms. But each of
// 256 clients waits for 10 ms, and a turn has to be much longer than an answer.
func (p plan) forClients(clients int) plan {
	if clients > 16 {
		p.slice, p.slices = longer*p.slice, max(1, p.slices/longer)
	}
	return p
}

// turns describes the turns of a repeat.
func (p plan) turns() string {
	return fmt.Sprintf("%d turns of %v each (with 256 clients %d of %v), in shuffled order", p.slices, p.slice, p.forClients(256).slices, p.forClients(256).slice)
}

// once is p for one repeat.
func (p plan) once() plan {
	p.repeats = 1
	return p
}

// parts are what is measured, in this order.
var parts = []struct {
	name    string
	measure func(context.Context, *harness, plan) (section, error)
}{
	{"memory", memoryPart}, {"processes", processPart}, {"start", startPart}, {"weights", weightsPart}, {"load", loadPart}, {"audit", auditPart}, {"stalled", stalledPart}, {"proxy", proxyPart},
}

// run measures everything and writes the report, or only prints the parts that are named.
func run(ctx context.Context, p plan, only []string) error {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	about := machine(ctx)
	sections, err := measure(ctx, p, root, only)
	if err != nil {
		return err
	}
	text := render(about, sections)
	fmt.Print(text)
	if len(only) > 0 {
		return nil
	}
	return os.WriteFile(filepath.Join(root, "bench", "RESULTS.md"), []byte(text), 0o644)
}

// measure runs every part, or those that are named, in one harness.
func measure(ctx context.Context, p plan, root string, only []string) ([]section, error) {
	h, err := newHarness(ctx, root)
	if err != nil {
		return nil, err
	}
	defer h.close()
	var sections []section
	for _, part := range parts {
		if len(only) > 0 && !slices.Contains(only, part.name) {
			continue
		}
		s, err := part.measure(ctx, h, p)
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return nil, err
		}
		sections = append(sections, s)
	}
	return append(sections[1:], sections[0]), nil // memory is measured first and read last
}
