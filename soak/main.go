// Command soak runs kyc-agentd for minutes while everything around it fails, and checks
// that no sign-in gets lost and nobody waits.
//
//	make soak                          10 minutes, with a grace period of 60 s
//	make soak SOAK=1h GRACE=0s         an hour, without one
//	make soak SEED=7 SOAK=5m           the phases of an earlier run
//	go run ./soak -only kill-in-call   one kind of phase
//
// The binaries are real: a daemon with the file store, and clients that ask for tokens
// without a pause through kyc-token, the socket and the proxy, for two environments. Their
// Cognito is package fakecognito, and the API beside it refuses tokens that have expired.
// ID tokens live 20 seconds, so that minutes contain many refreshes.
//
// A run is a sequence of phases, such as a kill in the middle of a refresh (phases.go has
// them all). They are drawn at random from a seed, which is printed; the same seed draws
// the same phases. What happens within one depends on the machine, too. After each phase
// everything is repaired and then checked (check.go):
//
//   - every sign-in yields a new token, or its loss is in the table of losses.go;
//   - no client waited for more than 8 seconds, and no token was expired;
//   - each exit code other than 0 has a reason that was there at that time, or is in the
//     table of wronganswers.go;
//   - Cognito got no call without a need, but for the retries in the table of retries.go;
//   - memory, threads, descriptors, child processes and files are within their limits.
//
// The first failure ends the run with status 1. The report has the phases before it, the
// seed and the end of the daemon's log. Disk-full phases need root, for a tmpfs, and are
// skipped by name without. TestSoakWithKeyring runs the same with a keyring instead of files.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	opts := parseFlags()
	err := build(ctx, &opts)
	if err == nil {
		defer os.RemoveAll(opts.bin)
		err = run(ctx, opts, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.RemoveAll(opts.bin) // os.Exit skips the deferred call
		os.Exit(1)
	}
}

// options is what to run.
type options struct {
	duration time.Duration
	seed     uint64
	grace    time.Duration // of the app clients
	life     time.Duration // of ID tokens
	only     []string      // kinds of phases; empty means all
	bin      string        // the folder with the binaries
	keyring  *keyring      // where sign-ins are kept; nil for the file store
}

// A keyring is one that was started for the run. `make soak` has none, because the only one that
// it could find is that of the person who runs it.
type keyring struct {
	env     []string      // of a process that uses it
	silence func() func() // makes it silent until the result is called
}

// tokenLife is short enough for several refreshes a minute, and long enough for a token to
// outlive most faults.
const tokenLife = 20 * time.Second

func parseFlags() options {
	o := options{life: tokenLife}
	only := ""
	flag.DurationVar(&o.duration, "for", 10*time.Minute, "how long to run")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().Unix()), "repeats the phases of an earlier run")
	flag.DurationVar(&o.grace, "grace", time.Minute, "the app client's grace period for rotated refresh tokens; Cognito allows 0s to 60s")
	flag.StringVar(&only, "only", "", "the kinds of phases to draw from, separated by commas: "+strings.Join(kindNames(), ","))
	flag.Parse()
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	return o
}

// run runs phases until the time is over or one fails, and prints a report.
func run(ctx context.Context, o options, out io.Writer) error {
	kinds, err := drawable(o)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "soak: %s, grace period %s, ID tokens live %s; repeat with SEED=%d\n", o.duration, o.grace, o.life, o.seed)
	s, err := newSoak(ctx, o, out)
	if err != nil {
		return err
	}
	defer s.close()
	err = s.runPhases(ctx, kinds)
	if err == nil {
		err = s.finish(ctx)
	}
	s.stats.write(out, s.skipped)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, s.history(o))
	}
	return nil
}

// runPhases returns an error after the first phase that breaks a promise.
func (s *soak) runPhases(ctx context.Context, kinds []kind) error {
	kinds = slices.DeleteFunc(kinds, func(k kind) bool { return s.skipped[k.name] != "" })
	if len(kinds) == 0 {
		return fmt.Errorf("no phase can run here: %v", s.skipped)
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	for end := time.Now().Add(s.opts.duration); time.Now().Before(end); {
		p := s.draw(kinds, len(s.phases)+1, time.Until(end))
		s.phases = append(s.phases, p)
		if err := s.runPhase(ctx, p); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// runPhase runs one phase, repairs what it broke, and checks.
func (s *soak) runPhase(ctx context.Context, p *phase) error {
	p.begun = time.Now()
	err := p.kind.run(ctx, s, p)
	if err == nil {
		err = s.repair(ctx, p)
	}
	p.ended = time.Now()
	answers := s.takeAnswers()
	s.stats.answers(answers)
	if err == nil {
		err = s.check(p, answers)
	}
	s.stats.phase(p)
	verdict := "ok"
	if err != nil {
		verdict = "FAILED"
	}
	fmt.Fprintf(s.out, "%s  %s  %s\n", p.begun.Format(time.TimeOnly), p, verdict)
	return err
}

// history is what a failure report has to say: how it came to this.
func (s *soak) history(o options) string {
	var b strings.Builder
	b.WriteString("The phases that led to this, the last one last:\n")
	for _, p := range s.phases[max(0, len(s.phases)-8):] {
		fmt.Fprintf(&b, "  %s  %s\n", p.begun.Format(time.TimeOnly), p)
	}
	fmt.Fprintf(&b, "Calls at Cognito in the last phase:\n%s", s.callsSince(s.lastBegun()))
	fmt.Fprintf(&b, "Repeat with: make soak SEED=%d GRACE=%s\nThe end of the daemon's log:\n%s", o.seed, o.grace, s.logTail(15))
	return b.String()
}
