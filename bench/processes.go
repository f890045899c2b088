package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"time"
)

// A candidate is a program whose whole run is timed.
type candidate struct {
	name  string
	argv  []string
	env   []string
	stdin string                        // a file; empty means /dev/null
	want  string                        // what stdout must contain
	run   func() (time.Duration, error) // instead of argv, for what ends before the process
	times timings
	each  []time.Duration // the median of each repeat
}

// once runs the candidate and returns how long it took from fork until stdout and the
// process have ended.
func (c *candidate) once() (time.Duration, error) {
	if c.run != nil {
		return c.run()
	}
	stdin, err := os.Open(cmp.Or(c.stdin, os.DevNull))
	if err != nil {
		return 0, err
	}
	defer stdin.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	attr := &os.ProcAttr{Env: c.env, Files: []*os.File{stdin, w, nil}}

	began := time.Now()
	p, err := os.StartProcess(c.argv[0], c.argv, attr)
	_ = w.Close()
	if err != nil {
		return 0, err
	}
	out, readErr := io.ReadAll(r)
	state, waitErr := p.Wait()
	took := time.Since(began)

	if err := errors.Join(readErr, waitErr); err != nil {
		return 0, err
	}
	if !state.Success() || !strings.Contains(string(out), c.want) {
		return 0, fmt.Errorf("%s: %v, or not the expected output", c.name, state)
	}
	return took, nil
}

// interleave runs each candidate once per round, in an order that is shuffled for each
// round. The first rounds are not counted.
func interleave(ctx context.Context, candidates []*candidate, repeats, rounds int) error {
	const warmUp = 3
	if _, err := timeRounds(ctx, candidates, warmUp); err != nil {
		return err
	}
	for range repeats {
		times, err := timeRounds(ctx, candidates, rounds)
		if err != nil {
			return err
		}
		for i, c := range candidates {
			c.times, c.each = append(c.times, times[i]...), append(c.each, times[i].median())
		}
	}
	return nil
}

// timeRounds returns the times of each candidate.
func timeRounds(ctx context.Context, candidates []*candidate, rounds int) ([]timings, error) {
	times := make([]timings, len(candidates))
	for range rounds {
		for _, i := range rand.Perm(len(candidates)) {
			took, err := candidates[i].once()
			if err == nil {
				err = context.Cause(ctx)
			}
			if err != nil {
				return nil, err
			}
			times[i] = append(times[i], took)
		}
	}
	return times, nil
}

// processPart times kyc-token on a cached token beside other programs.
func processPart(ctx context.Context, h *harness, p plan) (section, error) {
	s := section{
		title: "The whole process",
		about: fmt.Sprintf("From fork to the end of stdout and of the process, %d times %d rounds, each command once a round in shuffled order.", p.repeats, p.rounds),
		head:  []string{"command", "median ms", "p90", "p99", "× empty Go", "× the floor"},
	}
	d, err := h.newDaemon(ctx, "processes", "memory")
	if err != nil {
		return s, err
	}
	defer d.process.stop()
	if err := d.login(ctx, "staging"); err != nil {
		return s, err
	}
	token, err := d.token(ctx, "staging")
	if err != nil {
		return s, err
	}
	candidates, err := h.candidates(ctx, d, token, &s)
	if err != nil {
		return s, err
	}
	if err := interleave(ctx, candidates, p.repeats, p.rounds); err != nil {
		return s, err
	}
	s.compare(candidates)
	s.notes = append(s.notes,
		"oidc-token prints its cached access token; it does not cache ID tokens but asks the provider for each.",
		"Versions: "+versions(ctx)+".")
	return s, nil
}

// compare adds the rows and the targets.
func (s *section) compare(candidates []*candidate) {
	each := map[string][]time.Duration{}
	for _, c := range candidates {
		each[c.name] = c.each
	}
	for _, c := range candidates {
		s.rows = append(s.rows, []string{
			c.name, millis(c.times.median()), millis(c.times.at(0.9)), millis(c.times.at(0.99)),
			ratios(c.each, each[nameGo]).String(), ratios(c.each, each[nameFloor]).String(),
		})
	}
	own := each[nameToken]
	floor := ratios(own, each[nameFloor])
	s.target("kyc-token takes "+floor.String()+" × "+nameFloor+", target 1.05 at most", floor.median() <= 1.05)
	if ssh := ratios(own, each[nameSSH]); ssh != nil {
		s.target("kyc-token takes "+ssh.String()+" × ssh-add -l, target below 1", ssh.median() < 1)
	}
	for _, name := range []string{nameGit, nameOIDC, nameC} {
		if m := ratios(own, each[name]); m != nil {
			s.notes = append(s.notes, "kyc-token takes "+m.String()+" × "+name+".")
		}
	}
}

// versions returns the versions of the installed peers.
func versions(ctx context.Context) string {
	var all []string
	for _, ask := range [][]string{{"gcc", "--version"}, {"git", "--version"}, {"ssh", "-V"}, {"oidc-token", "--version"}} {
		out, err := exec.CommandContext(ctx, ask[0], ask[1:]...).CombinedOutput() // ssh -V prints on stderr
		if line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n"); err == nil {
			all = append(all, line)
		}
	}
	return strings.Join(all, "; ")
}
