package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// A server is one side of the load comparison.
type server struct {
	name   string
	socket string // its path, or a TCP address
	times  timings
	spent  time.Duration
	rates  []float64       // answers per second, of each repeat
	each   []time.Duration // the median of each repeat
	cpu    []float64       // seconds of the server's for an answer, of each repeat; load does not disturb them much

	callers []*caller // of one repeat, so that connections that are kept outlast a turn
}

// perSecond returns the answers per second over all slices.
func (s *server) perSecond() float64 { return float64(len(s.times)) / s.spent.Seconds() }

// The servers that the agent is compared with.
const (
	nameAgent   = "kyc-agentd"
	nameBare    = "bare net/http"
	nameCeiling = "ceiling"
)

// loadPart compares the agent's cached answers with those of a bare net/http handler.
func loadPart(ctx context.Context, h *harness, p plan) (section, error) {
	s := section{
		title: "Answers per second",
		about: fmt.Sprintf("A cached token over the socket, beside a bare net/http handler on a Unix socket that sends the same bytes, with the agent's timeouts and "+
			"its check of the peer. The ceiling is the agent's own server, whose handler is replaced by one write of these bytes. "+
			"%d times with new processes, %s; the clients share the cores with the server.", p.repeats, p.turns()),
		head: loadHead("server", "bare"),
	}
	var all []*loadComparison
	for _, request := range []string{tokenKeep, tokenOnce} {
		for _, clients := range []int{1, 16, 256} {
			all = append(all, &loadComparison{request, clients, []*server{{name: nameAgent}, {name: nameCeiling}, {name: nameBare}}})
		}
	}
	for n := range p.repeats {
		if err := h.repeatLoad(ctx, n, all, p); err != nil {
			return s, err
		}
	}
	for _, c := range all {
		s.loadRows(c.servers, c.request, c.clients)
		s.loadTargets(c.servers[0], c.servers[2], c.request, c.clients)
	}
	return s, nil
}

// A loadComparison is a request from so many clients at a time.
type loadComparison struct {
	request string
	clients int
	servers []*server
}

// repeatLoad is one repeat of all comparisons, with new processes: where the pages of a process
// happen to lie makes as much of a difference as what is to be measured.
func (h *harness) repeatLoad(ctx context.Context, n int, all []*loadComparison, p plan) error {
	before := len(h.children)
	defer func() {
		for _, c := range h.children[before:] {
			c.stop()
		}
	}()
	d, err := h.newSignedIn(ctx, fmt.Sprintf("load%d", n))
	if err != nil {
		return err
	}
	answer, err := rawAnswer(d.socket, tokenOnce)
	if err != nil {
		return err
	}
	baseline, err := h.startBaseline(ctx, baselineVerb, answer)
	if err != nil {
		return err
	}
	ceiling, err := h.startCeiling(ctx, answer)
	if err != nil {
		return err
	}
	for _, c := range all {
		c.servers[0].socket, c.servers[1].socket, c.servers[2].socket = d.socket, ceiling, baseline
		if err := takeTurns(ctx, c.servers, c.request, c.clients, p.once()); err != nil {
			return err
		}
	}
	return nil
}

// startCeiling starts the agent's server without the agent's handler: the test binary of package
// ipc, whose server is not exported.
func (h *harness) startCeiling(ctx context.Context, answer string) (socket string, err error) {
	if err := h.buildCeiling(ctx); err != nil {
		return "", err
	}
	socket = h.path(fmt.Sprintf("ceiling%d.sock", len(h.children)))
	cmd := exec.CommandContext(ctx, h.path("bin/ceiling"))
	cmd.Env = h.environ("KYC_IPC_TEST_CHILD=ceiling", "SOCKET="+socket)
	cmd.Stdin = strings.NewReader(answer)
	return socket, h.startServer(ctx, cmd, "ceiling", socket)
}

// buildCeiling does nothing if it has been built.
func (h *harness) buildCeiling(ctx context.Context) error {
	if _, err := os.Stat(h.path("bin/ceiling")); err == nil {
		return nil
	}
	built := h.path("built")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-trimpath", "-o", built, "./ipc")
	build.Dir, build.Env = h.root, append(os.Environ(), "CGO_ENABLED=0")
	if _, err := output(build); err != nil {
		return err
	}
	return h.copyProgram(built, "ceiling")
}

// loadHead is the head of a table of loadRows, whose last server is called base.
func loadHead(what, base string) []string {
	return []string{"clients", what, "answers/s", "p50 µs", "p99 µs", "CPU µs", "answers/s × " + base, "p50 × " + base, "CPU × " + base}
}

// loadRows adds a row for each server, compared with the last one.
func (s *section) loadRows(servers []*server, request string, clients int) {
	base := servers[len(servers)-1]
	for _, v := range servers {
		s.rows = append(s.rows, []string{
			fmt.Sprintf("%d, %s", clients, connections(request)), v.name, fmt.Sprintf("%.0f", v.perSecond()),
			micros(v.times.median()), micros(v.times.at(0.99)), fmt.Sprintf("%.1f", 1e6*spread(v.cpu).median()),
			ratios(v.rates, base.rates).String(), ratios(v.each, base.each).String(), ratios(v.cpu, base.cpu).String(),
		})
	}
}

// connections says what becomes of a connection after the answer.
func connections(request string) string {
	if request == tokenKeep {
		return "connections kept"
	}
	return "a connection each time"
}

// loadTargets adds the targets for the agent, beside a bare handler.
func (s *section) loadTargets(agent, bare *server, request string, clients int) {
	least := 0.80
	if request == tokenKeep {
		least = 0.85
	}
	switch rate, p50 := ratios(agent.rates, bare.rates), ratios(agent.each, bare.each); {
	case clients == 16:
		s.target(fmt.Sprintf("16 clients, %s: %s × bare, target %.2f at least", connections(request), rate, least), rate.median() >= least)
	case clients == 1 && request == tokenOnce:
		s.target(fmt.Sprintf("A new connection: p50 %s × bare, target 1.20 at most", p50), p50.median() <= 1.20)
	}
}

// takeTurns loads the servers one at a time.
func takeTurns(ctx context.Context, servers []*server, request string, clients int, p plan) error {
	p = p.forClients(clients)
	for range p.repeats {
		before, cpu := make([]server, len(servers)), make([]time.Duration, len(servers))
		for i, s := range servers {
			before[i], cpu[i] = *s, cpuTime(s.socket)
		}
		for range p.slices {
			for _, i := range rand.Perm(len(servers)) {
				if err := servers[i].load(ctx, request, clients, p.slice); err != nil {
					return fmt.Errorf("%d clients at %s: %w", clients, servers[i].name, err)
				}
			}
		}
		for i, s := range servers {
			s.closeCallers()
			repeat := server{times: s.times[len(before[i].times):], spent: s.spent - before[i].spent}
			s.rates, s.each = append(s.rates, repeat.perSecond()), append(s.each, repeat.times.median())
			s.cpu = append(s.cpu, (cpuTime(s.socket)-cpu[i]).Seconds()/float64(len(repeat.times)))
		}
	}
	return nil
}

// load runs so many clients, each of which asks without a pause.
func (s *server) load(ctx context.Context, request string, clients int, d time.Duration) error {
	for len(s.callers) < clients {
		s.callers = append(s.callers, newCaller(s.socket, request))
	}
	var mu sync.Mutex
	var failed error
	var wg sync.WaitGroup
	began := time.Now()
	for _, c := range s.callers {
		wg.Go(func() {
			times, err := c.askUntil(ctx, began.Add(d))
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

// closeCallers ends a repeat.
func (s *server) closeCallers() {
	for _, c := range s.callers {
		c.close()
	}
	s.callers = nil
}
