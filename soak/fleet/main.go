// Command fleet runs many agents that share one sign-in, on a real PostgreSQL or a real
// kube-apiserver, while agents are killed and suspended, the engine is restarted and the network
// is cut, and counts what that costs.
//
//	make soak-fleet                                  50 agents for 20 minutes on PostgreSQL
//	make soak-fleet ENGINE=kubernetes SOAK=5m        on a kube-apiserver; `make kube` builds it
//	make soak-fleet GRACE=0s                         without a grace period
//	go run ./soak/fleet -agents 500 -start           500 agents start at once
//
// The agents are processes of kyc-agentd with a client each, which asks every second. Their
// Cognito is package fakecognito with rotation on. One more agent has a sign-in of its own and no
// trouble: what it calls is what one agent needs. A run fails if
//
//   - a client is told to sign in: the sign-in was lost;
//   - the fleet made more than 1.05 times as many calls as that one agent;
//   - a client had no valid token for longer than a partition and a lease, 25 s.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testpeer/engine"
)

// options is what to run.
type options struct {
	engine, kube string
	agents       int
	length       time.Duration
	grace, life  time.Duration
	seed         uint64
	start        bool
	calm         bool
}

func main() {
	var o options
	flag.StringVar(&o.engine, "engine", "postgres", "postgres or kubernetes")
	flag.StringVar(&o.kube, "kube", engine.KubeBinaries(), "folder with etcd and kube-apiserver")
	flag.IntVar(&o.agents, "agents", 50, "")
	flag.DurationVar(&o.length, "for", 20*time.Minute, "")
	flag.DurationVar(&o.grace, "grace", time.Minute, "Cognito's grace period")
	flag.DurationVar(&o.life, "life", 2*time.Minute, "of ID tokens")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "")
	flag.BoolVar(&o.start, "start", false, "only measure how long it takes until all agents have a token")
	flag.BoolVar(&o.calm, "calm", false, "no faults")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	f, err := newFleet(o)
	if err != nil {
		return err
	}
	defer f.close()
	fmt.Printf("engine %s, %d agents, %s, grace %s, tokens of %s, seed %d, files in %s\n", o.engine, o.agents, o.length, o.grace, o.life, o.seed, f.dir)
	if o.start {
		return f.measureStart(ctx)
	}
	if err := f.begin(ctx); err != nil {
		return err
	}
	f.trouble(ctx)
	return errors.Join(f.report(), ctx.Err())
}
