package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/legaltalent/kyc-agent/soak/fakecognito"
)

const (
	partition = 10 * time.Second
	leaseTTL  = 15 * time.Second
)

// trouble makes things fail until the run is over.
func (f *fleet) trouble(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, f.opts.length)
	defer cancel()
	random := rand.New(rand.NewPCG(f.opts.seed, 1))
	var running sync.WaitGroup
	defer running.Wait()
	for sleep(ctx, time.Duration(2000+random.IntN(4000))*time.Millisecond) {
		if f.opts.calm {
			continue
		}
		a := f.agents[random.IntN(len(f.agents))]
		d := time.Duration(random.IntN(10_000)) * time.Millisecond
		switch n := random.IntN(100); {
		case n < 35:
			f.faults["SIGKILL"]++
			running.Go(func() { a.during(func() { a.kill(); time.Sleep(d / 2); _ = a.start() }) })
		case n < 65:
			f.faults["SIGSTOP"]++
			running.Go(func() { a.during(func() { a.signal(syscall.SIGSTOP); time.Sleep(d * 3); a.signal(syscall.SIGCONT) }) })
		case n < 85:
			f.faults["partition of an agent"]++
			running.Go(func() { a.during(func() { a.link.Cut(); time.Sleep(partition); a.link.Restore() }) })
		case n < 93:
			f.faults["partition of all agents"]++
			began := time.Now()
			for _, a := range f.agents {
				a.link.Cut()
			}
			time.Sleep(partition)
			for _, a := range f.agents {
				a.link.Restore()
			}
			f.longest = max(f.longest, time.Since(began))
		default:
			f.faults["engine restart"]++
			f.server().Stop()
			time.Sleep(d / 5)
			if err := f.server().Start(); err != nil {
				fmt.Fprintln(os.Stderr, "fleet: the engine does not start:", err)
				return
			}
		}
	}
}

// during makes one fault happen to an agent, unless another one does.
func (a *agent) during(fault func()) {
	a.mu.Lock()
	busy := a.busy
	a.busy = true
	a.mu.Unlock()
	if busy {
		return
	}
	fault()
	a.mu.Lock()
	a.busy = false
	a.mu.Unlock()
}

// sleep waits for d, and returns false if the run ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// report prints what the run cost, and returns what was wrong.
func (f *fleet) report() error {
	took := time.Since(f.began)
	f.ending()
	f.asking.Wait()
	calls, need := refreshes(f.pool), refreshes(f.solo)
	var asked, answered, lost, useless int
	var worst *agent
	problems := map[string]int{}
	for _, a := range f.agents {
		asked, answered, lost, useless = asked+a.asked, answered+a.answered, lost+a.lost, useless+a.useless
		if worst == nil || a.gap > worst.gap {
			worst = a
		}
		for code, n := range a.problems {
			problems[code] += n
		}
	}
	fmt.Printf("%s of trouble: %v\n", took.Round(time.Second), f.faults)
	fmt.Printf("clients: %d requests, %d answered, not answered %v, tokens of no use %d\n", asked, answered, problems, useless)
	fmt.Printf("refresh calls: %d of %d agents, %d of one agent alone: %.2f times its needs; refused %d\n", calls, len(f.agents), need, float64(calls)/float64(max(need, 1)), refused(f.pool))
	fmt.Printf("sign-ins lost: %d requests were told to sign in\n", lost)
	fmt.Printf("longest partition of all agents: %s\n", f.longest.Round(100*time.Millisecond))
	fmt.Printf("longest without a valid token: %s (%s at %s)\n", worst.gap.Round(100*time.Millisecond), worst.name, worst.gapAt.Format(time.TimeOnly))
	var secrets [][]byte
	for _, a := range f.agents {
		if a.held != "" {
			secrets = append(secrets, []byte(a.held))
		}
	}
	size, err := f.dumped(secrets)
	fmt.Printf("the engine's data: %d bytes, secrets found: %v\n", size, err)
	switch {
	case lost > 0 || useless > 0:
		return fmt.Errorf("%d requests were told to sign in, %d got a token of no use", lost, useless)
	case float64(calls) > 1.05*float64(need):
		return fmt.Errorf("%d refresh calls are more than 1.05 × %d", calls, need)
	case worst.gap > partition+leaseTTL:
		return fmt.Errorf("%s was without a valid token for %s", worst.name, worst.gap)
	}
	return err
}

func refreshes(p *fakecognito.Pool) (n int) {
	for _, c := range p.Calls() {
		if fakecognito.IsRefresh(c) {
			n++
		}
	}
	return n
}

func refused(p *fakecognito.Pool) (n int) {
	for _, c := range p.Calls() {
		if fakecognito.IsRefresh(c) && c.Code != "" {
			n++
		}
	}
	return n
}

// expiryOf returns the end of an ID token, which its pool has made.
func expiryOf(token string) time.Time {
	var claims struct{ Exp int64 }
	if parts := strings.Split(token, "."); len(parts) == 3 {
		data, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(data, &claims)
	}
	return time.Unix(claims.Exp, 0)
}

// measureStart signs in on one agent, lets the token end, and starts all agents at once.
func (f *fleet) measureStart(ctx context.Context) error {
	first := f.agents[0]
	if err := first.start(); err != nil {
		return err
	}
	if err := first.login(ctx); err != nil {
		return err
	}
	first.kill()
	time.Sleep(f.opts.life)
	before := refreshes(f.pool)
	began := time.Now()
	var all sync.WaitGroup
	var mu sync.Mutex
	var took []time.Duration
	failed := 0
	for _, a := range f.agents {
		if err := a.start(); err != nil {
			return err
		}
	}
	started := time.Since(began)
	for _, a := range f.agents {
		all.Go(func() {
			d, errs := a.first(ctx, began)
			mu.Lock()
			defer mu.Unlock()
			took, failed = append(took, d), failed+errs
		})
	}
	all.Wait()
	slices.Sort(took)
	fmt.Printf("%d agents: processes started in %s; all have a token after %s (half after %s); Cognito calls %d; failed answers before that %d\n",
		len(took), started.Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), took[len(took)/2].Round(time.Millisecond), refreshes(f.pool)-before, failed)
	return ctx.Err()
}

// first asks until it gets a token, and returns how long that took, and how often it was refused.
func (a *agent) first(ctx context.Context, began time.Time) (took time.Duration, refused int) {
	client := http.Client{Timeout: 9 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", a.path("run/agent.sock"))
		},
	}}
	for ctx.Err() == nil {
		_, code, err := a.token(ctx, &client)
		if err == nil {
			break
		}
		if code != "no agent" {
			refused++
		}
		time.Sleep(100 * time.Millisecond)
	}
	return time.Since(began), refused
}
