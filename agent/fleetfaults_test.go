package agent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/memory"
	"github.com/legaltalent/kyc-agent/store/shared"
)

// beat asks all nodes every second for d, or less often if that is long, and fails if one has no
// token.
func (f *fleet) beat(d time.Duration) {
	f.t.Helper()
	for began := time.Now(); time.Since(began) < d; time.Sleep(max(time.Second, d/500)) {
		for _, n := range f.nodes {
			n.must()
		}
	}
}

// value is what the engine has of prod.
func (f *fleet) value() []byte {
	f.t.Helper()
	v, err := f.engine.Engine.Get(context.Background(), "prod")
	if err != nil {
		f.t.Fatal(err)
	}
	return v.Data
}

// put replaces it, as nobody should.
func (f *fleet) put(data []byte) {
	f.t.Helper()
	if err := f.engine.Engine.Swap(context.Background(), "prod", f.value(), data); err != nil {
		f.t.Fatal(err)
	}
}

// Cognito answers after 45 s: the lease is renewed as long, and nobody else asks.
func TestFleetSlowCognito(t *testing.T) {
	inFleet(t, 4, nil, func(f *fleet) {
		agenttest.Login(t, f.nodes[0].a, "prod")
		f.same()
		f.p.Set(func(r *agenttest.Rules) { r.Latency = 45 * time.Second })
		f.beat(59 * time.Minute)
		f.refreshes(1)
		f.same()
	})
}

// cutDuringCall cuts off the node that refreshes, and returns it.
func (f *fleet) cutDuringCall() *node {
	f.t.Helper()
	for range 3600 {
		for _, n := range f.nodes {
			n.must()
		}
		synctest.Wait()
		holder := f.nodes[0].status().Fleet.Holder
		for _, n := range f.nodes {
			if n.name == holder {
				n.link.cut(errDown)
				return n
			}
		}
		time.Sleep(time.Second)
	}
	f.t.Fatal("nobody refreshes")
	return nil
}

// The holder of the lease is suspended, or cut off, for longer than the lease: another one
// refreshes, the holder adopts what that got, and nothing is revoked.
func TestFleetHolderVanishes(t *testing.T) {
	inFleet(t, 3, func(r *agenttest.Rules) { r.Latency = 40 * time.Second }, func(f *fleet) {
		agenttest.Login(t, f.nodes[0].a, "prod")
		f.same()
		holder := f.cutDuringCall()
		began := time.Now()
		f.beat(20 * time.Second)
		f.refreshes(2) // the one that is under way, and the one that took the lease
		if since := time.Since(began); since > time.Minute {
			t.Fatalf("after %s, which is more than the grace period", since)
		}
		f.beat(90 * time.Second)
		holder.link.cut(nil)
		f.beat(30 * time.Second)
		f.same()
		if revoked := f.p.Revoked(); len(revoked) > 0 {
			t.Fatalf("%d refresh tokens were revoked: a sign-in of all may end by that\n%s", len(revoked), f.log)
		}
		f.beat(2 * time.Hour)
		f.same()
	})
}

// The holder dies with the only new refresh token. Nobody asks for a token; the old one is good
// for a minute, and another node uses it.
func TestFleetHolderDies(t *testing.T) {
	inFleet(t, 2, func(r *agenttest.Rules) { r.Latency = 5 * time.Second }, func(f *fleet) {
		agenttest.Login(t, f.nodes[0].a, "prod")
		f.same()
		holder := f.cutDuringCall()
		holder.link.cut(errDown)
		time.Sleep(50 * time.Second)
		f.refreshes(2)
		for _, n := range f.nodes {
			if n != holder {
				n.must()
				if st := n.status(); st.State == agent.StateRejected || st.Fleet.Writer != n.name {
					t.Fatalf("%+v\n%s", st.Fleet, f.log)
				}
			}
		}
	})
}

// Cognito's refusal is believed only if nobody has a newer refresh token.
func TestFleetRefusalIsReadAgain(t *testing.T) {
	inFleet(t, 2, func(r *agenttest.Rules) { r.Grace, r.Latency = 0, 20*time.Second }, func(f *fleet) {
		agenttest.Login(t, f.nodes[0].a, "prod")
		f.same()
		holder := f.cutDuringCall()
		time.Sleep(17 * time.Second) // the other one takes the lease, and comes second at Cognito
		holder.link.cut(nil)         // in time to push what it got
		f.beat(2 * time.Minute)
		for _, n := range f.nodes {
			if st := n.status(); st.State == agent.StateRejected {
				t.Fatalf("%s: %s\n%s", n.name, st.LastError, f.log)
			}
		}
		f.same()
	})
}

// A sign-in that has ended costs one call, not one for each machine.
func TestFleetRejected(t *testing.T) {
	inFleet(t, 5, nil, func(f *fleet) {
		agenttest.Login(t, f.nodes[0].a, "prod")
		f.same()
		f.p.Set(func(r *agenttest.Rules) {
			r.Refresh = func(context.Context, int) error {
				return &agent.Error{Code: agent.CodeLoginRequired, Message: "revoked"}
			}
		})
		for began := time.Now(); time.Since(began) < 3*time.Hour; time.Sleep(10 * time.Second) {
			for _, n := range f.nodes {
				_, _ = n.ask()
			}
		}
		f.refreshes(1)
		for _, n := range f.nodes {
			if st := n.status(); st.State != agent.StateRejected || !strings.Contains(st.LastError, "revoked") {
				t.Errorf("%s: %s %s", n.name, st.State, st.LastError)
			}
		}
		f.p.Set(func(r *agenttest.Rules) { r.Refresh = nil })
		agenttest.Login(t, f.nodes[3].a, "prod")
		f.same()
	})
}

// A clock that is an hour wrong changes nothing: ages are by the engine's clock.
func TestFleetWrongClocks(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		f.nodes[1].clock.jump(time.Hour)
		f.nodes[2].clock.jump(-time.Hour)
		agenttest.Login(t, f.nodes[0].a, "prod")
		f.same()
		f.beat(6 * time.Hour)
		f.same()
		if got := f.p.Refreshes(); got < 6 || got > 7 {
			t.Fatalf("%d refreshes in 6 hours\n%s", got, f.log)
		}
	})
}

// What an agent could not push it pushes after a restart.
func TestFleetPending(t *testing.T) {
	inFleet(t, 2, nil, func(f *fleet) {
		a, b := f.nodes[0], f.nodes[1]
		agenttest.Login(t, a.a, "prod")
		f.same()
		b.link.cut(errDown)
		f.p.Set(func(r *agenttest.Rules) { r.Latency = time.Second })
		f.nodes = f.nodes[:1]
		holder := f.cutDuringCall()
		time.Sleep(5 * time.Second)
		if !holder.status().Fleet.Pending {
			t.Fatalf("nothing is pending\n%s", f.log)
		}
		if keys, _ := holder.local.Keys(context.Background()); !strings.Contains(fmt.Sprint(keys), "prod--pending") {
			t.Fatalf("stored: %v", keys)
		}
		if err := holder.a.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute) // longer than the grace period
		holder.link.cut(nil)
		holder.start(fleetKey)
		time.Sleep(15 * time.Second)
		b.link.cut(nil)
		f.nodes = []*node{holder, b}
		time.Sleep(30 * time.Second)
		f.beat(time.Minute)
		f.same()
		if holder.status().Fleet.Pending {
			t.Error("still pending")
		}
		if keys, _ := holder.local.Keys(context.Background()); strings.Contains(fmt.Sprint(keys), "pending") {
			t.Errorf("stored: %v", keys)
		}
	})
}

// A node that has seen more refuses an older value by its name, and goes on with what it has; the
// next refresh makes that the newest again. A new node cannot tell.
func TestFleetRolledBack(t *testing.T) {
	inFleet(t, 2, nil, func(f *fleet) {
		agenttest.Login(t, f.nodes[0].a, "prod")
		f.same()
		old := f.value()
		f.beat(2 * time.Hour)
		f.put(old)
		synctest.Wait()
		st := f.nodes[1].status()
		if !strings.Contains(st.Fleet.Error, "restored from a backup") || !strings.Contains(st.Fleet.Error, "kyc-agentd login prod") || !st.Degraded {
			t.Fatalf("status %+v", st.Fleet)
		}
		f.beat(2 * time.Hour) // the refresh token that memory has is newer, and works
		if st := f.nodes[1].status(); st.Fleet.Error != "" {
			t.Fatalf("status %+v", st.Fleet)
		}
		f.same()

		f.put(old)
		late := f.add("late", fleetKey)
		if _, err := late.ask(); err == nil {
			t.Fatal("the old refresh token works")
		}
		agenttest.Login(t, late.a, "prod")
		time.Sleep(time.Minute)
		f.same()
	})
}

// A new node that finds the restored sign-in refused ends it for nobody who has seen a newer one:
// that one is put back by the next refresh, and the new node has it as well.
func TestFleetRolledBackAndRefused(t *testing.T) {
	inFleet(t, 2, nil, func(f *fleet) {
		agenttest.Login(t, f.nodes[0].a, "prod")
		f.same()
		old := f.value()
		f.beat(2 * time.Hour)
		f.put(old)
		late := f.add("late", fleetKey)
		if _, err := late.ask(); agent.CodeOf(err) != agent.CodeLoginRequired {
			t.Fatalf("the old refresh token works: %v", err)
		}
		synctest.Wait()
		f.nodes = f.nodes[:2]
		f.same()
		for _, n := range f.nodes {
			if st := n.status(); !strings.Contains(st.Fleet.Error, "restored from a backup") {
				t.Fatalf("%s: %s, %+v", n.name, st.State, st.Fleet)
			}
		}
		f.beat(2 * time.Hour)
		f.nodes = append(f.nodes, late)
		f.same()
		for _, n := range f.nodes {
			if st := n.status(); st.Fleet.Error != "" {
				t.Errorf("%s: %+v", n.name, st.Fleet)
			}
		}
	})
}

// A node that only remembers how far the fleet was refuses an older value, and says the way out.
func TestFleetRolledBackAfterRestart(t *testing.T) {
	inFleet(t, 1, nil, func(f *fleet) {
		n := f.nodes[0]
		agenttest.Login(t, n.a, "prod")
		old := f.value()
		f.beat(2 * time.Hour)
		if err := n.a.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		for _, value := range [][]byte{old, nil} {
			f.put(value)
			n.start(fleetKey)
			_, err := n.ask()
			if agent.CodeOf(err) != agent.CodeConfiguration || !strings.Contains(err.Error(), "this agent has seen") || !strings.Contains(err.Error(), "kyc-agentd login prod") {
				t.Fatalf("%v\n%s", err, f.log)
			}
			if err := n.a.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		n.start(fleetKey)
		agenttest.Login(t, n.a, "prod")
		n.must()
		if got := f.value(); got == nil {
			t.Fatal("nothing was written")
		}
	})
}

// What is not this fleet's, or not this environment's, is refused by name and not replaced by a
// refresh.
func TestFleetForeignValues(t *testing.T) {
	inFleet(t, 1, nil, func(f *fleet) {
		agenttest.Login(t, f.nodes[0].a, "prod")
		agenttest.Login(t, f.nodes[0].a, "staging")
		mine := f.value()
		stranger := f.add("stranger", "another fleet's")
		staging, err := f.engine.Engine.Get(context.Background(), "staging")
		if err != nil {
			t.Fatal(err)
		}
		_, err = stranger.ask()
		if agent.CodeOf(err) != agent.CodeConfiguration || !strings.Contains(err.Error(), "not written with the key of this agent") {
			t.Fatalf("another key: %v", err)
		}
		err = stranger.a.Login(context.Background(), agent.LoginRequest{Environment: "prod", Username: agenttest.User, Password: agent.NewSecret(agenttest.Password)}, nil)
		if agent.CodeOf(err) != agent.CodeConfiguration {
			t.Fatalf("login with another key: %v", err)
		}
		if string(f.value()) != string(mine) {
			t.Fatal("another fleet's value was replaced")
		}
		var o map[string]any
		if err := json.Unmarshal(staging.Data, &o); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name string
			data []byte
			want string
		}{
			{"swapped", staging.Data, `that of environment "staging"`},
			{"swapped and renamed", edited(t, staging.Data, "env", "prod"), "not written with the key"},
			{"another revision", edited(t, mine, "rev", 9e9), "not written with the key"},
			{"a newer version", edited(t, mine, "v", 2), "upgrade this one"},
			{"no JSON", []byte("{"), "damaged"},
			{"nothing of ours", []byte("{}"), "damaged"},
			{"a cut value", edited(t, mine, "sealed", "AAAA"), "not written with the key"},
		} {
			before := f.value()
			f.put(c.data)
			n := f.add("new "+c.name, fleetKey)
			if _, err := n.ask(); agent.CodeOf(err) != agent.CodeConfiguration || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", c.name, err, c.want)
			}
			if got := n.status().Fleet.Error; !strings.Contains(got, c.want) {
				t.Errorf("%s: status says %q", c.name, got)
			}
			if string(f.value()) != string(c.data) {
				t.Errorf("%s: it was replaced", c.name)
			}
			f.put(before)
		}
	})
}

func edited(t *testing.T, data []byte, key string, value any) []byte {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal(data, &o); err != nil {
		t.Fatal(err)
	}
	if o[key] = value; key == "rev" {
		o[key] = json.Number("9000000000")
	}
	out, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A stormEngine refuses the first tries of every change.
type stormEngine struct {
	shared.Engine
	n atomic.Int64
}

func (e *stormEngine) Swap(ctx context.Context, key string, old, new []byte) error {
	if e.n.Add(1)%7 != 0 {
		return fmt.Errorf("storm: %w", shared.ErrConflict)
	}
	return e.Engine.Swap(ctx, key, old, new)
}

// Six of seven changes are refused with a conflict.
func TestFleetConflictStorm(t *testing.T) {
	inFleet(t, 1, nil, func(f *fleet) {
		f.engine.replace(&stormEngine{Engine: f.engine.Engine})
		agenttest.Login(t, f.nodes[0].a, "prod")
		f.beat(3 * time.Hour)
		f.refreshes(3)
	})
}

// Two agents have refreshed within the grace period, and the first one stores what it got while the
// other's call is under way. The later refresh token is the only one that works: the agent that
// has it stores it over the first.
func TestFleetLaterRefreshIsKept(t *testing.T) {
	inFleet(t, 2, func(r *agenttest.Rules) { r.Latency = time.Second }, func(f *fleet) {
		agenttest.Login(t, f.nodes[0].a, "prod")
		f.same()
		first := f.cutDuringCall()
		time.Sleep(3 * time.Second)
		if !first.status().Fleet.Pending {
			t.Fatalf("nothing is pending\n%s", f.log)
		}
		f.p.Set(func(r *agenttest.Rules) { r.Latency = 20 * time.Second })
		time.Sleep(20 * time.Second) // the lease is dead, and the other one's call goes on
		f.refreshes(2)
		first.link.cut(nil)
		time.Sleep(10 * time.Second)
		if first.status().Fleet.Pending {
			t.Fatalf("the first has not stored it meanwhile\n%s", f.log)
		}
		time.Sleep(20 * time.Second)
		f.refreshes(2)
		f.p.Set(func(r *agenttest.Rules) { r.Latency = 0 })
		f.beat(3 * time.Hour)
		f.same()
	})
}

// A fleet that nobody has signed in is known to have no sign-in as soon as its store was read.
func TestFleetEmpty(t *testing.T) {
	inFleet(t, 1, nil, func(f *fleet) {
		synctest.Wait()
		if st := f.nodes[0].status(); st.State != agent.StateAbsent {
			t.Errorf("state %s", st.State)
		}
		agenttest.Login(t, f.nodes[0].a, "prod")
		f.same()
	})
}

// A slowEngine answers late, or not before the caller gives up.
type slowEngine struct {
	shared.Engine
	delay time.Duration
}

func (e *slowEngine) wait(ctx context.Context) error {
	select {
	case <-time.After(e.delay):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("no answer in time: %w", store.ErrUnavailable)
	}
}

func (e *slowEngine) Get(ctx context.Context, key string) (shared.Value, error) {
	if err := e.wait(ctx); err != nil {
		return shared.Value{}, err
	}
	return e.Engine.Get(ctx, key)
}

func (e *slowEngine) Swap(ctx context.Context, key string, old, new []byte) error {
	if err := e.wait(ctx); err != nil {
		return err
	}
	return e.Engine.Swap(ctx, key, old, new)
}

func (e *slowEngine) Watch(ctx context.Context, key string, known []byte, every time.Duration) (shared.Value, error) {
	if _, err := e.Get(ctx, key); err != nil { // Fleet limits no watch
		return shared.Value{}, err
	}
	return e.Engine.Watch(ctx, key, known, every)
}

// An engine that takes 2 s for each call costs nobody a token, and no second refresh. With 4 s what
// was refreshed is pushed late, and another agent may do it again. One that takes longer than the
// agents wait is as good as down, until it is fast again.
func TestFleetSlowEngine(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		agenttest.Login(t, f.nodes[0].a, "prod")
		f.same()
		fast := f.engine.Engine
		f.engine.replace(&slowEngine{Engine: fast, delay: 2 * time.Second})
		f.beat(3 * time.Hour)
		f.refreshes(3)
		f.engine.replace(&slowEngine{Engine: fast, delay: 4 * time.Second})
		f.beat(3 * time.Hour)
		if n := f.p.Refreshes(); n > 3+3*3 { // each agent once an hour at worst
			t.Errorf("%d refreshes in 3 hours", n-3)
		}
		f.engine.replace(&slowEngine{Engine: fast, delay: 10 * time.Second})
		for range 60 {
			if f.beat(time.Minute); f.nodes[1].status().Degraded {
				break
			}
		}
		if got := f.nodes[1].status(); !strings.Contains(got.Fleet.Error, "no answer in time") {
			t.Fatalf("%+v", got.Fleet)
		}
		f.engine.replace(fast)
		f.beat(2 * time.Hour)
		f.same()
		if revoked := f.p.Revoked(); len(revoked) > 0 {
			t.Errorf("%d refresh tokens were revoked", len(revoked))
		}
	})
}

// Of an engine that is read-only the fleet goes on to use what there is.
type readOnlyEngine struct{ shared.Engine }

func (readOnlyEngine) Swap(context.Context, string, []byte, []byte) error {
	return fmt.Errorf("it is read-only: %w", store.ErrUnavailable)
}

func TestFleetReadOnlyEngine(t *testing.T) {
	inFleet(t, 2, nil, func(f *fleet) {
		agenttest.Login(t, f.nodes[0].a, "prod")
		f.same()
		writable := f.engine.Engine
		f.engine.replace(readOnlyEngine{writable})
		f.beat(58 * time.Minute)
		f.refreshes(0)
		if got := f.nodes[0].status(); !got.Degraded || !strings.Contains(got.Fleet.Error, "read-only") {
			t.Fatalf("%+v", got.Fleet)
		}
		f.engine.replace(writable)
		f.beat(time.Hour)
		f.same()
	})
}

// password is the credential of a node that may sign in for itself.
type password struct{}

func (password) Credential() (agent.Credential, error) {
	return agent.Credential{Username: agenttest.User, Password: agent.NewSecret(agenttest.Password), Stamp: "1"}, nil
}

// With fallback = "own" a node without its engine signs in for itself, keeps nothing, and goes
// back to the fleet's sign-in.
func TestFleetFallback(t *testing.T) {
	inFleet(t, 1, nil, func(f *fleet) {
		own := &node{fleet: f, name: "own", link: &cutEngine{Engine: f.engine}, local: memory.New(), clock: new(clock)}
		own.env = func(e *agent.Environment) { e.Unattended, e.FallbackOwn = password{}, true }
		f.nodes = append(f.nodes, own)
		own.start(fleetKey)
		agenttest.Login(t, f.nodes[0].a, "prod")
		f.same()
		own.link.cut(errDown)
		time.Sleep(61 * time.Minute)
		mine := own.must()
		if mine == f.nodes[0].must() {
			t.Fatal("it has the fleet's token")
		}
		synctest.Wait()
		if len(f.p.Revoked()) != 1 {
			t.Fatalf("revoked %v: nothing keeps the refresh token", f.p.Revoked())
		}
		if keys, _ := own.local.Keys(context.Background()); strings.Contains(fmt.Sprint(keys), "pending") {
			t.Fatalf("stored %v", keys)
		}
		if st := own.status(); !st.Degraded {
			t.Fatalf("%+v", st)
		}
		own.link.cut(nil)
		time.Sleep(time.Minute)
		f.beat(61 * time.Minute)
		f.same()
	})
}

// With a password on each node and nobody signed in, one of them signs in for all.
func TestFleetUnattended(t *testing.T) {
	inFleet(t, 0, nil, func(f *fleet) {
		for i := range 5 {
			n := &node{fleet: f, name: fmt.Sprint("node-", i), link: &cutEngine{Engine: f.engine}, local: memory.New(), clock: new(clock)}
			n.env = func(e *agent.Environment) { e.Unattended = password{} }
			f.nodes = append(f.nodes, n)
			n.start(fleetKey)
		}
		errs := make(chan error, len(f.nodes))
		for _, n := range f.nodes {
			go func() { _, err := n.ask(); errs <- err }()
		}
		for range f.nodes {
			if err := <-errs; err != nil {
				t.Fatalf("%v\n%s", err, f.log)
			}
		}
		f.same()
		logins := 0
		for _, sent := range f.p.Sent() {
			if sent.Call == "login" {
				logins++
			}
		}
		if logins != 1 {
			t.Fatalf("%d sign-ins\n%s", logins, f.log)
		}
	})
}

// An agent without a fleet is as it was: no engine, no keys of a fleet in its store.
func TestNoFleet(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		f.must()
		if f.status().Fleet != nil {
			t.Error("status has a fleet")
		}
		keys, err := f.store.Keys(context.Background())
		if err != nil || strings.Contains(fmt.Sprint(keys), "--") {
			t.Errorf("%v, %v", keys, err)
		}
	})
}

// A locked agent takes no token from the others.
func TestFleetLocked(t *testing.T) {
	inFleet(t, 2, nil, func(f *fleet) {
		agenttest.Login(t, f.nodes[0].a, "prod")
		f.same()
		locked := f.nodes[1]
		locked.a.Lock(&agent.Error{Code: agent.CodeLocked, Message: "locked"})
		f.nodes = f.nodes[:1]
		f.beat(2 * time.Hour)
		synctest.Wait()
		if st := locked.status(); !st.ExpiresAt.IsZero() || st.State == agent.StateFresh {
			t.Errorf("it has a token: %+v", st)
		}
		if _, err := locked.ask(); agent.CodeOf(err) != agent.CodeLocked {
			t.Errorf("%v", err)
		}
	})
}

// What neither the fleet nor the store has taken is pushed by the next image of the process.
func TestFleetUnsaved(t *testing.T) {
	inFleet(t, 1, func(r *agenttest.Rules) { r.Latency = time.Second }, func(f *fleet) {
		n := f.nodes[0]
		agenttest.Login(t, n.a, "prod")
		n.must()
		full := &flakyStore{Store: n.local}
		full.set(func(s *flakyStore) { s.put = errDown })
		if err := n.a.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		n.local = full
		n.start(fleetKey)
		n.must()
		n = f.cutDuringCall()
		time.Sleep(10 * time.Second)
		if !n.status().Fleet.Pending {
			t.Fatalf("nothing is pending\n%s", f.log)
		}
		if err := n.a.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		n.unsaved = n.a.Unsaved()
		time.Sleep(10 * time.Minute)
		n.link.cut(nil)
		n.local = memory.New()
		n.start(fleetKey)
		time.Sleep(30 * time.Second)
		n.must()
		if st := n.status(); st.State == agent.StateRejected || st.Fleet.Pending {
			t.Errorf("%s %+v\n%s", st.State, st.Fleet, f.log)
		}
		f.refreshes(2)
	})
}

// A folder that cannot be read at the start may have the only good refresh token: nobody refreshes
// with the fleet's before that is known.
func TestFleetPendingUnreadable(t *testing.T) {
	inFleet(t, 1, func(r *agenttest.Rules) { r.Latency = time.Second }, func(f *fleet) {
		n := f.nodes[0]
		agenttest.Login(t, n.a, "prod")
		n = f.cutDuringCall()
		time.Sleep(10 * time.Second)
		if err := n.a.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		slow := &flakyStore{Store: n.local}
		slow.set(func(s *flakyStore) { s.get = errDown })
		n.local = slow
		n.link.cut(nil)
		n.start(fleetKey)
		for range 5 {
			if _, err := n.ask(); agent.CodeOf(err) != agent.CodeUnavailable {
				t.Fatalf("%v\n%s", err, f.log)
			}
			time.Sleep(10 * time.Second)
		}
		f.refreshes(1)
		slow.set(func(s *flakyStore) { s.get = nil })
		time.Sleep(10 * time.Second)
		n.must()
		if st := n.status(); st.Fleet.Pending || st.State == agent.StateRejected {
			t.Errorf("%s %+v\n%s", st.State, st.Fleet, f.log)
		}
	})
}

// Without a grace period an agent that dies with the only new refresh token ends the sign-in of
// all. If it comes back with its folder, it brings the sign-in back.
func TestFleetNoGrace(t *testing.T) {
	inFleet(t, 3, func(r *agenttest.Rules) { r.Grace, r.Latency = 0, 5*time.Second }, func(f *fleet) {
		agenttest.Login(t, f.nodes[0].a, "prod")
		f.same()
		holder := f.cutDuringCall()
		time.Sleep(2 * time.Minute)
		f.refreshes(2)
		lost := 0
		for _, n := range f.nodes {
			if _, err := n.ask(); n != holder && agent.CodeOf(err) == agent.CodeLoginRequired {
				lost++
			}
		}
		if lost != 2 {
			t.Fatalf("%d agents know that the sign-in has ended, want 2\n%s", lost, f.log)
		}
		if err := holder.a.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		holder.link.cut(nil)
		holder.start(fleetKey)
		time.Sleep(30 * time.Second)
		f.beat(3 * time.Hour)
		f.same()
		if revoked := f.p.Revoked(); len(revoked) > 0 {
			t.Errorf("%d refresh tokens were revoked", len(revoked))
		}
	})
}

// A frozenEngine is the engine of a process that is suspended after the engine has answered.
type frozenEngine struct {
	shared.Engine
	freeze time.Duration
}

func (e frozenEngine) Get(ctx context.Context, key string) (shared.Value, error) {
	v, err := e.Engine.Get(ctx, key)
	time.Sleep(e.freeze)
	return v, err
}

// What passes between the engine's answer and its use is part of the token's age: otherwise the
// agent hands it out after its end.
func TestFleetFrozenReader(t *testing.T) {
	inFleet(t, 2, nil, func(f *fleet) {
		agenttest.Login(t, f.nodes[0].a, "prod")
		f.same()
		want, err := f.nodes[0].ask()
		if err != nil {
			f.t.Fatal(err)
		}
		late := f.add("late", fleetKey)
		late.link.replace(frozenEngine{f.engine, 4 * time.Minute})
		time.Sleep(10 * time.Minute)
		got, err := late.ask()
		if err != nil || got.ExpiresAt.After(want.ExpiresAt.Add(time.Second)) {
			f.t.Fatalf("it ends at %v and is handed out until %v: %v", want.ExpiresAt, got.ExpiresAt, err)
		}
		f.refreshes(0)
	})
}
