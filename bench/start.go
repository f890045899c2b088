package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// The names in the table of starts.
const (
	nameVersion    = "kyc-agentd --version"
	nameReady      = "start to READY=1"
	nameActivation = "activation to the first answer"
)

// startPart times how long an agent takes until it can answer, and says what its packages do
// before main.
func startPart(ctx context.Context, h *harness, p plan) (section, error) {
	s := section{
		title: "Starting the agent",
		about: fmt.Sprintf("READY=1 is what a service manager waits for. Activation is what a client waits for that connected while no agent ran: the agent inherits the "+
			"socket, as from systemd, and answers a request for its status. File store, one environment signed in. %d times %d rounds, in shuffled order.", p.repeats, p.starts),
		head: []string{"what", "median ms", "p90", "p99", "× empty Go"},
	}
	first, err := h.newDaemon(ctx, "start", "file")
	if err != nil {
		return s, err
	}
	err = first.login(ctx, "staging")
	first.process.stop()
	if err != nil {
		return s, err
	}
	empty, err := h.emptyGo(ctx)
	if err != nil {
		return s, err
	}
	candidates := []*candidate{
		empty,
		{name: nameVersion, argv: []string{h.path("bin/kyc-agentd"), "--version"}, env: h.environ(), want: "kyc-agentd"},
		{name: nameReady, run: func() (time.Duration, error) { return h.timeReady(ctx) }},
		{name: nameActivation, run: func() (time.Duration, error) { return h.timeActivation(ctx) }},
	}
	if err := interleave(ctx, candidates, p.repeats, p.starts); err != nil {
		return s, err
	}
	for _, c := range candidates {
		s.rows = append(s.rows, []string{
			c.name, millis(c.times.median()), millis(c.times.at(0.9)), millis(c.times.at(0.99)), ratios(c.each, empty.each).String(),
		})
	}
	version := ratios(candidates[1].each, empty.each)
	s.target(fmt.Sprintf("kyc-agentd --version takes %s × an empty Go program, target 3 at most", version), version.median() <= 3)
	return s, s.initTrace(ctx, h)
}

// timeReady starts an agent until it says that it is ready.
func (h *harness) timeReady(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	d, err := h.newDaemon(ctx, "start", "file")
	took := time.Since(began)
	if err == nil {
		d.process.stop()
	}
	return took, err
}

// timeActivation starts an agent for a client that waits in the backlog of its socket.
func (h *harness) timeActivation(ctx context.Context) (time.Duration, error) {
	path := h.path("activation.sock")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	passed, err := ln.File()
	if err != nil {
		return 0, err
	}
	defer passed.Close()
	// LISTEN_PID is the agent's own, which only the shell that becomes it knows.
	cmd := exec.CommandContext(ctx, "sh", "-c", `LISTEN_PID=$$ exec "$0" serve --store file --config "$1"`, h.path("bin/kyc-agentd"), h.path("start.toml"))
	cmd.Env = h.environ("LISTEN_FDS=1", "LISTEN_FDNAMES=agent")
	cmd.ExtraFiles = []*os.File{passed}
	began := time.Now()
	c, err := start(cmd, h.path("activation.log"))
	if err != nil {
		return 0, err
	}
	defer c.stop()
	_, err = newCaller(path, statusGet).call()
	took := time.Since(began)
	if err != nil {
		return 0, h.withLog(err, "activation")
	}
	return took, nil
}

// initTrace adds notes with the packages that cost most before main.
func (s *section) initTrace(ctx context.Context, h *harness) error {
	costs, err := h.initCosts(ctx)
	if err != nil {
		return err
	}
	total := initCost{}
	for _, c := range costs {
		total.add(c)
	}
	s.notes = append(s.notes, fmt.Sprintf("Before main: %d packages, %.2f ms, %d kB in %d allocations.", len(costs), total.ms, total.bytes/1000, total.allocated))
	most := func(what string, less func(a, b initCost) int) {
		slices.SortFunc(costs, less)
		var names []string
		for _, c := range costs[:min(8, len(costs))] {
			names = append(names, fmt.Sprintf("%s (%.2f ms, %d kB)", c.name, c.ms, c.bytes/1000))
		}
		s.notes = append(s.notes, what+strings.Join(names, ", ")+".")
	}
	most("Most time: ", func(a, b initCost) int { return cmp.Compare(b.ms, a.ms) })
	most("Most memory: ", func(a, b initCost) int { return cmp.Compare(b.bytes, a.bytes) })
	return nil
}
