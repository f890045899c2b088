package agent_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/internal/testlog"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/memory"
	"github.com/legaltalent/kyc-agent/store/shared"
	"github.com/legaltalent/kyc-agent/store/shared/sharedtest"
)

// fleetKey is the key of every fleet of these tests.
const fleetKey = "the fleet's"

// A fleet is some agents with one sign-in.
type fleet struct {
	t      *testing.T
	p      *agenttest.Authenticator
	engine *cutEngine
	log    *testlog.Buffer
	nodes  []*node
}

// A node is one agent of a fleet.
type node struct {
	fleet *fleet
	name  string
	a     *agent.Agent
	link  *cutEngine
	local store.Store
	clock *clock
	env   func(*agent.Environment)
	// unsaved is what the image of the process before has handed over.
	unsaved map[string][]byte
}

// A cutEngine is one node's way to the engine.
type cutEngine struct {
	shared.Engine
	mu  sync.Mutex
	err error
}

func (e *cutEngine) cut(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
}

// through returns the engine behind it, or why it cannot be reached.
func (e *cutEngine) through() (shared.Engine, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.Engine, e.err
}

// replace puts another engine behind it, and returns the one before.
func (e *cutEngine) replace(engine shared.Engine) shared.Engine {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.Engine
	e.Engine = engine
	return before
}

func (e *cutEngine) Get(ctx context.Context, key string) (shared.Value, error) {
	engine, err := e.through()
	if err != nil {
		return shared.Value{}, err
	}
	return engine.Get(ctx, key)
}

func (e *cutEngine) Swap(ctx context.Context, key string, old, new []byte) error {
	engine, err := e.through()
	if err != nil {
		return err
	}
	return engine.Swap(ctx, key, old, new)
}

func (e *cutEngine) Watch(ctx context.Context, key string, known []byte, every time.Duration) (shared.Value, error) {
	engine, err := e.through()
	if err != nil {
		return shared.Value{}, err
	}
	v, err := engine.Watch(ctx, key, known, every)
	if _, failed := e.through(); failed != nil {
		return shared.Value{}, failed
	}
	return v, err
}

var errDown = fmt.Errorf("the engine is down: %w", store.ErrUnavailable)

// inFleet runs body with n agents, which are not signed in.
func inFleet(t *testing.T, n int, rules func(*agenttest.Rules), body func(f *fleet)) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{t: t, p: agenttest.NewAuthenticator(), engine: &cutEngine{Engine: shared.NewMemory()}, log: new(testlog.Buffer)}
		f.p.Set(func(r *agenttest.Rules) { r.Rotate, r.Grace = true, time.Minute })
		if rules != nil {
			f.p.Set(rules)
		}
		for i := range n {
			f.add(fmt.Sprintf("node-%d", i), fleetKey)
		}
		body(f)
	})
}

func (f *fleet) add(name string, key string) *node {
	n := &node{fleet: f, name: name, link: &cutEngine{Engine: f.engine}, local: memory.New(), clock: new(clock)}
	f.nodes = append(f.nodes, n)
	n.start(key)
	return n
}

func (n *node) start(key string) {
	n.fleet.t.Helper()
	log := slog.New(slog.NewTextHandler(n.fleet.log, nil)).With("node", n.name)
	n.a = agenttest.NewAgent(n.fleet.t, n.fleet.p, func(o *agent.Options) {
		o.Now, o.Store, o.Logger, o.Unsaved = n.clock.now, n.local, log, n.unsaved
		o.Fleet = shared.New(shared.Options{Engine: n.link, Sealer: sharedtest.NewSealer(key), Local: n.local, Member: n.name, Logger: log})
		if n.env != nil {
			for i := range o.Config.Environments {
				n.env(&o.Config.Environments[i])
			}
		}
	})
}

func (n *node) ask() (agent.Token, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
	defer cancel()
	return n.a.Token(ctx, agent.TokenRequest{Environment: "prod"})
}

func (n *node) must() string {
	n.fleet.t.Helper()
	tok, err := n.ask()
	if err != nil {
		n.fleet.t.Fatalf("%s at %s: %v\n%s", n.name, time.Now().Format(time.TimeOnly), err, n.fleet.log)
	}
	return tok.IDToken.Reveal()
}

func (n *node) status() agent.EnvironmentStatus {
	st, err := n.a.Status(context.Background())
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	for _, e := range st.Environments {
		if e.Name == "prod" {
			return e
		}
	}
	n.fleet.t.Fatal("no prod")
	return agent.EnvironmentStatus{}
}

func (f *fleet) refreshes(want int) {
	f.t.Helper()
	if got := f.p.Refreshes(); got != want {
		f.t.Fatalf("%d refreshes, want %d\n%s", got, want, f.log)
	}
}

// same asks all nodes, which must have one token.
func (f *fleet) same() string {
	f.t.Helper()
	synctest.Wait()
	first := f.nodes[0].must()
	for _, n := range f.nodes[1:] {
		if got := n.must(); got != first {
			f.t.Fatalf("%s has another token than %s\n%s", n.name, f.nodes[0].name, f.log)
		}
	}
	return first
}

// One agent signs in, and all have its token. For a day of requests there is one refresh where
// one agent alone would make one.
func TestFleetRefreshesOnce(t *testing.T) {
	inFleet(t, 5, nil, func(f *fleet) {
		agenttest.Login(t, f.nodes[0].a, "prod")
		first := f.same()
		f.refreshes(0)
		for began := time.Now(); time.Since(began) < 24*time.Hour; time.Sleep(time.Minute) {
			for _, n := range f.nodes {
				n.must()
			}
		}
		if f.same() == first {
			t.Fatal("no new token in a day")
		}
		// A token lasts an hour and is replaced 5 minutes before that, or a little later.
		if got := f.p.Refreshes(); got < 24 || got > 26 {
			t.Fatalf("%d refreshes in a day, want one an hour\n%s", got, f.log)
		}
	})
}

// A logout on one machine is one for all, and a login elsewhere is taken over.
func TestFleetLogout(t *testing.T) {
	inFleet(t, 2, nil, func(f *fleet) {
		a, b := f.nodes[0], f.nodes[1]
		agenttest.Login(t, a.a, "prod")
		f.same()
		if err := b.a.Logout(context.Background(), agent.LogoutRequest{Environment: "prod"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := a.ask(); agent.CodeOf(err) != agent.CodeLoginRequired {
			t.Fatalf("after a logout elsewhere: %v", err)
		}
		if got := a.status().State; got != agent.StateAbsent {
			t.Fatalf("state %s", got)
		}
		agenttest.Login(t, b.a, "prod")
		f.same()
		if len(f.p.Revoked()) == 0 {
			t.Fatal("nothing was revoked")
		}
	})
}

// A node that starts has a token without a call.
func TestFleetLateNode(t *testing.T) {
	inFleet(t, 1, nil, func(f *fleet) {
		agenttest.Login(t, f.nodes[0].a, "prod")
		f.nodes[0].must()
		time.Sleep(20 * time.Minute)
		f.add("late", fleetKey)
		f.same()
		f.refreshes(0)
		if !strings.Contains(strings.Join(f.nodes[1].status().Fleet.Members, " "), "node-0") {
			t.Fatalf("members %v", f.nodes[1].status().Fleet.Members)
		}
	})
}

// While the engine is down, what is cached serves to its end and nobody refreshes.
func TestFleetEngineDown(t *testing.T) {
	inFleet(t, 2, nil, func(f *fleet) {
		agenttest.Login(t, f.nodes[0].a, "prod")
		first := f.same()
		f.engine.cut(errDown)
		time.Sleep(58 * time.Minute)
		if f.nodes[0].must() != first || f.nodes[1].must() != first {
			t.Fatal("another token")
		}
		if st := f.nodes[1].status(); !st.Degraded || st.Fleet.Error == "" {
			t.Fatalf("status %+v", st)
		}
		time.Sleep(3 * time.Minute)
		_, err := f.nodes[0].ask()
		if agent.CodeOf(err) != agent.CodeUnavailable || !strings.Contains(fmt.Sprint(err), "the engine is down") {
			t.Fatalf("with an expired token: %v", err)
		}
		f.refreshes(0)
		f.engine.cut(nil)
		time.Sleep(10 * time.Second)
		f.same()
		f.refreshes(1)
	})
}

// The engine is back and nobody has written anything since: that ends the degraded state as well,
// and the pauses after what failed.
func TestFleetEngineBackUnchanged(t *testing.T) {
	inFleet(t, 2, nil, func(f *fleet) {
		agenttest.Login(t, f.nodes[0].a, "prod")
		first := f.same()
		f.engine.cut(errDown)
		f.engine.Engine.(*shared.Memory).Fail(errDown) // ends the watches
		time.Sleep(58 * time.Minute)
		f.engine.Engine.(*shared.Memory).Fail(nil)
		f.engine.cut(nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		for _, n := range f.nodes {
			if st := n.status(); st.Degraded || st.Fleet.Error != "" {
				f.t.Errorf("%s: %v %s", n.name, st.Degraded, st.Fleet.Error)
			}
		}
		f.refreshes(1) // nobody asked
		if again := f.same(); again == first {
			f.t.Errorf("still the old token\n%s", f.log)
		}
	})
}

// An environment in which nobody is signed in has no value that could change.
func TestFleetEngineBackEmpty(t *testing.T) {
	inFleet(t, 1, nil, func(f *fleet) {
		engine := f.engine.Engine.(*shared.Memory)
		engine.Fail(errDown)
		time.Sleep(time.Minute)
		if st := f.nodes[0].status(); !st.Degraded {
			f.t.Fatalf("status %+v", st)
		}
		engine.Fail(nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if st := f.nodes[0].status(); st.Degraded || st.Fleet.Error != "" {
			f.t.Fatalf("10 s after the engine is back: %s", st.Fleet.Error)
		}
	})
}
