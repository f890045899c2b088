package agent_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/internal/testlog"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/memory"
)

func TestAgentIsAService(t *testing.T) {
	agenttest.TestService(t, func(t *testing.T, p *agenttest.Authenticator) agent.Service {
		return agenttest.NewAgent(t, p)
	})
}

// A clock is the wall clock of a test: time.Now, shifted.
type clock struct{ shift atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Round(0).Add(time.Duration(c.shift.Load())) }

// jump moves the wall clock and no timer, as suspend or a person does.
func (c *clock) jump(d time.Duration) { c.shift.Add(int64(d)) }

// A fixture is an agent under test in a synctest bubble.
type fixture struct {
	t     *testing.T
	p     *agenttest.Authenticator
	a     *agent.Agent
	clock *clock
	store *flakyStore
	// checked, if set, is the agent's store instead.
	checked store.Store
	// config is agenttest.Config unless set before start.
	config  agent.Config
	markers agent.Markers
}

// inBubble runs body with an agent that is signed in to prod.
func inBubble(t *testing.T, rules func(*agenttest.Rules), body func(f *fixture)) {
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{t: t, p: agenttest.NewAuthenticator(), clock: new(clock), store: &flakyStore{Store: memory.New()}}
		if rules != nil {
			f.p.Set(rules)
		}
		f.start()
		agenttest.Login(t, f.a, "prod")
		body(f)
	})
}

func (f *fixture) start() {
	f.a = agenttest.NewAgent(f.t, f.p, func(o *agent.Options) {
		o.Now, o.Store, o.Markers = f.clock.now, f.store, f.markers
		if f.checked != nil {
			o.Store = f.checked
		}
		if f.config.DefaultEnvironment != "" {
			o.Config = f.config
		}
	})
}

// restart stops the agent and starts another on the same store.
func (f *fixture) restart() {
	f.t.Helper()
	if err := f.a.Close(context.Background()); err != nil {
		f.t.Fatal(err)
	}
	f.start()
}

func (f *fixture) ask() (agent.Token, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
	defer cancel()
	return f.a.Token(ctx, agent.TokenRequest{Environment: "prod"})
}

// must asks for a token and also says how long the answer took.
func (f *fixture) must() (agent.Token, time.Duration) {
	f.t.Helper()
	began := time.Now()
	tok, err := f.ask()
	if err != nil {
		f.t.Fatalf("at %s: %v", time.Now().Format(time.TimeOnly), err)
	}
	return tok, time.Since(began)
}

func (f *fixture) status() agent.EnvironmentStatus {
	st, err := f.a.Status(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	return st.Environments[0]
}

func (f *fixture) state(want agent.State) {
	f.t.Helper()
	if got := f.status(); got.State != want {
		f.t.Fatalf("state %s (%s), want %s", got.State, got.LastError, want)
	}
}

func (f *fixture) refreshes(want int) {
	f.t.Helper()
	if got := f.p.Refreshes(); got != want {
		f.t.Fatalf("%d refreshes, want %d", got, want)
	}
}

// A flakyStore fails on demand.
type flakyStore struct {
	store.Store
	mu   sync.Mutex
	put  error
	get  error
	keys error
	hold chan struct{} // Put and Delete wait for it when set
	slow time.Duration // how long Put takes
	puts int
}

func (s *flakyStore) set(change func(*flakyStore)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *flakyStore) Get(ctx context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	err := s.get
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return s.Store.Get(ctx, key)
}

func (s *flakyStore) Keys(ctx context.Context) ([]string, error) {
	s.mu.Lock()
	err := s.keys
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return s.Store.Keys(ctx)
}

func (s *flakyStore) Put(ctx context.Context, key string, value []byte) error {
	s.mu.Lock()
	s.puts++
	err, hold, slow := s.put, s.hold, s.slow
	s.mu.Unlock()
	time.Sleep(slow)
	if hold != nil {
		<-hold
	}
	if err != nil {
		return err
	}
	return s.Store.Put(ctx, key, value)
}

func (s *flakyStore) Delete(ctx context.Context, key string) error {
	s.mu.Lock()
	hold := s.hold
	s.mu.Unlock()
	if hold != nil {
		<-hold
	}
	return s.Store.Delete(ctx, key)
}

func TestDayOfRequests(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Rotate, r.Latency = true, 300*time.Millisecond }, func(f *fixture) {
		for range 24 * 60 * 6 { // every 10 s for a day
			tok, took := f.must()
			if took > 0 {
				t.Fatalf("a request waited %s", took)
			}
			if left := time.Until(tok.ExpiresAt); left < 4*time.Minute {
				t.Fatalf("a token with %s left", left)
			}
			time.Sleep(10 * time.Second)
		}
		if n := f.p.Refreshes(); n < 24 || n > 28 {
			t.Errorf("%d refreshes in a day of one-hour tokens", n)
		}
	})
}

func TestDayOfFiveMinuteTokens(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Lifetime, r.Latency = 5*time.Minute, 4*time.Second }, func(f *fixture) {
		for range 24 * 60 * 12 {
			if _, took := f.must(); took > 0 {
				t.Fatalf("a request waited %s", took)
			}
			time.Sleep(5 * time.Second)
		}
		// Due at a fifth of the life: every 4 minutes, up to 12 s earlier.
		if n := f.p.Refreshes(); n < 24*15-1 || n > 24*16 {
			t.Errorf("%d refreshes in a day of five-minute tokens", n)
		}
	})
}

func TestIdleAgentMakesNoCalls(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		f.must()
		time.Sleep(24 * time.Hour)
		// The token was used, so it was refreshed once; the new one never was.
		f.refreshes(1)
		f.state(agent.StateIdle)
		if _, took := f.must(); took > 0 {
			t.Error("an instant provider took", took)
		}
		f.refreshes(2)
	})
}

func TestUnusedTokenIsNotRefreshed(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		time.Sleep(24 * time.Hour)
		f.refreshes(0)
	})
}

func TestInsideTheMarginNobodyWaits(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		first, _ := f.must()
		time.Sleep(50 * time.Minute)
		f.p.Set(func(r *agenttest.Rules) { r.Latency = 4 * time.Second })
		time.Sleep(5*time.Minute + time.Second) // the refresh is in flight now, or soon
		tok, took := f.must()
		if took > 0 || !tok.IDToken.Equal(first.IDToken) && f.p.Refreshes() != 1 {
			t.Errorf("waited %s", took)
		}
		time.Sleep(5 * time.Second)
		if tok, _ = f.must(); tok.IDToken.Equal(first.IDToken) {
			t.Error("no refresh inside the margin")
		}
		f.refreshes(1)
	})
}

func TestLastMinuteWaitsForTheRefresh(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		time.Sleep(59*time.Minute + 30*time.Second)
		f.p.Set(func(r *agenttest.Rules) { r.Latency = 2 * time.Second })
		if _, took := f.must(); took != 2*time.Second {
			t.Errorf("waited %s, want the refresh's 2s", took)
		}
	})
}

func TestLastMinuteServesTheOldTokenWhenTheRefreshFails(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		f.p.Set(func(r *agenttest.Rules) {
			r.Refresh = func(context.Context, int) error { return agenttest.Unavailable("prod", "down") }
		})
		time.Sleep(59*time.Minute + 30*time.Second)
		f.must()
		if _, err := f.a.Token(f.t.Context(), agent.TokenRequest{Environment: "prod", MinValid: time.Minute}); !errors.Is(err, agent.CodeUnavailable) {
			t.Errorf("min_valid of a minute with 30 s left: %v", err)
		}
		time.Sleep(26 * time.Second) // under 5 s left: it would die on its way
		if tok, err := f.ask(); err == nil {
			t.Errorf("handed out a token with %s left", time.Until(tok.ExpiresAt))
		}
	})
}

func TestSuspend(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		first, _ := f.must()
		f.clock.jump(3 * time.Hour)
		tok, _ := f.must()
		if tok.IDToken.Equal(first.IDToken) {
			t.Fatal("a token that died in suspend was handed out")
		}
		f.clock.jump(57 * time.Minute)
		time.Sleep(time.Minute) // nobody asks: the scheduler finds out by itself
		synctest.Wait()
		f.refreshes(2)
		f.state(agent.StateFresh)
	})
}

func TestClockSetBack(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		first, _ := f.must()
		f.clock.jump(-24 * time.Hour)
		time.Sleep(61 * time.Minute)
		if tok, _ := f.must(); tok.IDToken.Equal(first.IDToken) {
			t.Error("a dead token was handed out after the clock was set back")
		}
	})
}

// A clock that is set back a day costs no call, and no token more than its life.
func TestClockSetBackWhileAsked(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		first, _ := f.must()
		time.Sleep(20 * time.Minute)
		calls := f.p.Refreshes()
		f.clock.jump(-24 * time.Hour)
		tok, took := f.must()
		if !tok.IDToken.Equal(first.IDToken) || took != 0 || f.p.Refreshes() != calls {
			f.t.Errorf("the cached token is given up: %d calls, after %s", f.p.Refreshes()-calls, took)
		}
		born := time.Now().Add(-20 * time.Minute)
		for range 24 * 60 * 3 {
			next, took := f.must()
			if !next.IDToken.Equal(tok.IDToken) {
				tok, born = next, time.Now()
			}
			if age := time.Since(born); age > time.Hour || took > 0 {
				f.t.Fatalf("a token of %s, after %s", age, took)
			}
			time.Sleep(20 * time.Second)
		}
		if n := f.p.Refreshes() - calls; n < 24 || n > 30 {
			f.t.Errorf("%d refreshes in 24 h", n)
		}
	})
}

// A token ages while the provider takes its time. It may then be too old for a request that
// waited for it, which says so.
func TestTokenAgesInASlowRefresh(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Lifetime = 20 * time.Second }, func(f *fixture) {
		f.must()
		time.Sleep(15 * time.Second)
		f.p.Set(func(r *agenttest.Rules) {
			r.Refresh = func(context.Context, int) error { time.Sleep(6 * time.Second); return nil }
		})
		_, err := f.a.Token(context.Background(), agent.TokenRequest{Environment: "prod", MinValid: 18 * time.Second})
		if !errors.Is(err, agent.CodeUnavailable) || !strings.Contains(err.Error(), "less than min_valid 18s was left") {
			t.Error(err)
		}
	})
}

func TestWrongClock(t *testing.T) {
	for _, off := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		t.Run(off.String(), func(t *testing.T) {
			inBubble(t, func(r *agenttest.Rules) { r.Skew = -off }, func(f *fixture) {
				f.clock.jump(off)
				agenttest.Login(t, f.a, "prod")
				for range 6 * 60 * 3 {
					f.must()
					time.Sleep(20 * time.Second)
				}
				if n := f.p.Refreshes(); n < 5 || n > 8 {
					t.Errorf("%d refreshes in 6 h", n)
				}
				if got := f.status().SkewSeconds; got != -off.Seconds() {
					t.Errorf("status says %g s skew", got)
				}
			})
		})
	}
}

func TestOutage(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Rotate = true }, func(f *fixture) {
		f.must()
		f.p.Set(func(r *agenttest.Rules) {
			r.Refresh = func(context.Context, int) error { return agenttest.Unavailable("prod", "connection refused") }
		})
		down := time.Now()
		served := 0
		for time.Since(down) < 2*time.Hour {
			tok, err := f.ask()
			switch {
			case err == nil:
				served++
				if time.Until(tok.ExpiresAt) <= 0 {
					t.Fatal("a dead token")
				}
			case !errors.Is(err, agent.CodeUnavailable) || !strings.Contains(err.Error(), "connection refused"):
				t.Fatal(err)
			case time.Since(down) < 59*time.Minute:
				t.Fatalf("%s into the outage: %v", time.Since(down), err)
			}
			time.Sleep(time.Minute)
		}
		if st := f.status(); !st.Degraded || st.LastError == "" || st.State == agent.StateRejected {
			t.Errorf("status in the outage: %+v", st)
		}
		// Each failure is one refresh, of up to three calls.
		if st, calls := f.status(), f.p.Refreshes(); st.RefreshFailures < calls/3-1 || st.RefreshFailures > calls {
			t.Errorf("%d failures counted of %d calls", st.RefreshFailures, calls)
		}
		if n := f.p.Refreshes(); n > 400 {
			t.Errorf("%d calls in 2 h of outage", n)
		}
		f.p.Set(func(r *agenttest.Rules) { r.Refresh = nil })
		time.Sleep(5 * time.Second)
		f.must()
		if f.status().Degraded {
			t.Error("still degraded")
		}
	})
}

func TestUnaskedOutageBacksOff(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		f.must()
		f.p.Set(func(r *agenttest.Rules) {
			r.Refresh = func(context.Context, int) error { return agenttest.Unavailable("prod", "down") }
		})
		time.Sleep(55 * time.Minute)
		before := f.p.Refreshes()
		time.Sleep(5 * time.Minute) // the used token is still in demand
		if n := f.p.Refreshes() - before; n < 3 || n > 60 {
			t.Errorf("%d calls in 5 min", n)
		}
		time.Sleep(time.Hour) // a life after its last use it is not
		before = f.p.Refreshes()
		time.Sleep(24 * time.Hour)
		if n := f.p.Refreshes() - before; n != 0 {
			t.Errorf("%d calls by an agent nobody asks", n)
		}
	})
}

func TestThrottledIsNotPressed(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		f.p.Set(func(r *agenttest.Rules) {
			r.Refresh = func(context.Context, int) error {
				return &agent.Error{Code: agent.CodeThrottled, Message: "Too many requests. Please try again later.", RetryAfter: time.Minute}
			}
		})
		time.Sleep(2 * time.Hour)
		for range 30 {
			_, err := f.ask()
			e, ok := errors.AsType[*agent.Error](err)
			if !ok || e.Code != agent.CodeThrottled || e.Environment != "prod" {
				t.Fatal(err)
			}
			if e.RetryAfter <= 0 || e.RetryAfter > time.Minute {
				t.Fatalf("retry after %s", e.RetryAfter)
			}
			time.Sleep(time.Second)
		}
		f.refreshes(1)
	})
}

func TestAmbiguousFailureRetriesTheSameToken(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Rotate = true }, func(f *fixture) {
		f.p.Set(func(r *agenttest.Rules) {
			r.Refresh = func(_ context.Context, n int) error {
				if n < 3 {
					return agenttest.Lost("prod", "the answer was lost")
				}
				return nil
			}
		})
		time.Sleep(2 * time.Hour)
		_, took := f.must()
		if took <= 0 || took > 5*time.Second {
			t.Errorf("three tries took %s", took)
		}
		f.refreshes(3)
	})
}

func TestHangingProvider(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		time.Sleep(2 * time.Hour)
		f.p.Set(func(r *agenttest.Rules) { r.Latency = 24 * time.Hour })
		began := time.Now()
		_, err := f.ask()
		if !errors.Is(err, agent.CodeUnavailable) || time.Since(began) != 8*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		f.state(agent.StateRefreshing)
		time.Sleep(143 * time.Second)
		f.state(agent.StateIdle) // the refresh ended, if late: its answer could have had a new refresh token
	})
}

func TestRotatedTokenIsDurableBeforeItIsSeen(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Rotate = true }, func(f *fixture) {
		time.Sleep(2 * time.Hour)
		hold := make(chan struct{})
		f.store.set(func(s *flakyStore) { s.hold = hold })
		got := make(chan agent.Token, 1)
		go func() { tok, _ := f.must(); got <- tok }()
		synctest.Wait()
		select {
		case <-got:
			t.Fatal("an ID token was seen before its refresh token was durable")
		default:
		}
		close(hold)
		<-got
	})
}

func TestUnrotatedRefreshWritesNothing(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		before := f.store.puts
		time.Sleep(2 * time.Hour)
		f.must()
		if f.store.puts != before {
			t.Errorf("%d writes for an unchanged record", f.store.puts-before)
		}
	})
}

func TestUnsaved(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Rotate = true }, func(f *fixture) {
		f.store.set(func(s *flakyStore) { s.put = errors.New("no space left on device") })
		time.Sleep(2 * time.Hour)
		f.must() // the token is good all the same
		f.state(agent.StateUnsaved)
		if e := f.status().LastError; !strings.Contains(e, "not saved") || !strings.Contains(e, "no space left") {
			t.Errorf("status says %q", e)
		}
		time.Sleep(2 * time.Hour)
		f.must() // with the token from memory, not the dead one from the store
		f.store.set(func(s *flakyStore) { s.put = nil })
		time.Sleep(6 * time.Minute)
		f.state(agent.StateFresh)
		f.restart()
		f.must()
	})
}

func TestUnsavedIsSavedAtTheEnd(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Rotate = true }, func(f *fixture) {
		f.store.set(func(s *flakyStore) { s.put = errors.New("busy") })
		time.Sleep(2 * time.Hour)
		f.must()
		f.store.set(func(s *flakyStore) { s.put = nil })
		f.restart()
		f.must()
	})
}

func TestRotatedTokenWithAnUnverifiedIDToken(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Rotate, r.Processed, r.Delivered = true, true, true }, func(f *fixture) {
		f.p.Set(func(r *agenttest.Rules) {
			r.Refresh = func(context.Context, int) error {
				return &agent.Error{Code: agent.CodeInternal, Message: "the ID token has the wrong audience"}
			}
		})
		time.Sleep(2 * time.Hour)
		if _, err := f.ask(); !errors.Is(err, agent.CodeInternal) {
			t.Fatal(err)
		}
		f.p.Set(func(r *agenttest.Rules) { r.Refresh = nil })
		f.restart() // the store has the rotated one
		f.must()
	})
}

func TestRejected(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		began := time.Now()
		f.must()
		f.p.EndAll()
		time.Sleep(time.Hour)
		for range 10 {
			if _, err := f.ask(); !errors.Is(err, agent.CodeLoginRequired) {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
		}
		f.refreshes(1)
		f.state(agent.StateRejected)
		if st := f.status(); st.LastErrorAt.Before(began) || st.LastErrorAt.After(began.Add(time.Hour)) {
			f.t.Errorf("status does not say since when: %+v", st)
		}
		if keys, _ := f.store.Keys(f.t.Context()); len(keys) != 1 {
			t.Error("the record of a rejected sign-in is gone")
		}
		agenttest.Login(t, f.a, "prod")
		f.must()
		f.state(agent.StateFresh)
	})
}

func TestAnotherAgentRotated(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Rotate = true }, func(f *fixture) {
		other := agenttest.NewAgent(f.t, f.p, func(o *agent.Options) { o.Store = f.store })
		if _, err := other.Token(f.t.Context(), agent.TokenRequest{Environment: "prod"}); err != nil {
			t.Fatal(err)
		}
		f.refreshes(1)
		time.Sleep(2 * time.Hour)
		f.refreshes(2) // the other's token was used, so it was refreshed ahead
		f.must()       // refused with the old token, then taken with the other's
		f.refreshes(4)
	})
}

func TestRestart(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Rotate = true }, func(f *fixture) {
		for i := range 5 {
			f.restart()
			f.state(agent.StateIdle)
			f.must()
			f.refreshes(i + 1)
		}
	})
}

func TestRecordsThatCannotBeUsed(t *testing.T) {
	for name, c := range map[string]struct {
		record string
		code   agent.Code
		says   string
	}{
		"damaged":        {"\x00garbage", agent.CodeLoginRequired, "damaged; run: kyc-agentd login prod"},
		"empty":          {"", agent.CodeLoginRequired, "damaged"},
		"no token":       {`{"v":1,"sub":"x"}`, agent.CodeLoginRequired, "damaged"},
		"newer":          {`{"v":2,"refresh_token":"s3cret"}`, agent.CodeLoginRequired, "newer kyc-agentd (record version 2, this one reads up to 1); upgrade kyc-agentd, or run: kyc-agentd login prod"},
		"another pool":   {`{"v":1,"iss":"https://evil.example","client_id":"client-prd","sub":"x","refresh_token":"s3cret"}`, agent.CodeLoginRequired, "made at another endpoint"},
		"another client": {`{"v":1,"iss":"https://cognito-idp.us-east-2.amazonaws.com/us-east-2_prd","client_id":"x","sub":"x","refresh_token":"s3cret"}`, agent.CodeLoginRequired, "another user pool or client"},
		"torn":           {`{"v":1,"sub":"x","refresh_token":"s3cr`, agent.CodeLoginRequired, "damaged"},
		"type mismatch":  {`{"v":1,"sub":"x","refresh_token":["s3cret"]}`, agent.CodeLoginRequired, "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			p, st := agenttest.NewAuthenticator(), memory.New()
			if err := st.Put(t.Context(), "prod", []byte(c.record)); err != nil {
				t.Fatal(err)
			}
			a := agenttest.NewAgent(t, p, func(o *agent.Options) { o.Store = st })
			for range 2 {
				_, err := a.Token(t.Context(), agent.TokenRequest{Environment: "prod"})
				if !errors.Is(err, c.code) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "s3cr") {
					t.Fatal(err)
				}
			}
			if p.Refreshes() != 0 {
				t.Error("a call was made with it")
			}
			if got, _ := st.Get(t.Context(), "prod"); string(got) != c.record {
				t.Error("the record was changed")
			}
			agenttest.Login(t, a, "prod")
			if _, err := a.Token(t.Context(), agent.TokenRequest{Environment: "prod"}); err != nil {
				t.Error("after a new sign-in:", err)
			}
		})
	}
}

func TestStoreThatDoesNotAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		code agent.Code
	}{
		"locked": {fmt.Errorf("the keyring is %w", store.ErrLocked), agent.CodeLocked},
		"silent": {fmt.Errorf("the keyring did not answer: %w", store.ErrUnavailable), agent.CodeUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(f *fixture) {
				f.restart()
				f.store.set(func(s *flakyStore) { s.get = c.err })
				if _, err := f.ask(); !errors.Is(err, c.code) || !strings.Contains(err.Error(), "prod: the keyring") {
					t.Fatal(err)
				}
				f.store.set(func(s *flakyStore) { s.get = nil })
				time.Sleep(5 * time.Second)
				f.must()
			})
		})
	}
}

func TestConfigure(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		first, _ := f.must()
		c := agenttest.Config()
		c.Environments[1].APIURL = "https://new.example.com"
		if err := f.a.Configure(c); err != nil {
			t.Fatal(err)
		}
		if tok, _ := f.must(); !tok.IDToken.Equal(first.IDToken) || tok.APIURL != "https://new.example.com" {
			t.Error("a new API URL cost the token, or did not arrive")
		}
		c.Environments[1].ClientID = "another"
		if err := f.a.Configure(c); err != nil {
			t.Fatal(err)
		}
		if _, err := f.ask(); !errors.Is(err, agent.CodeLoginRequired) || !strings.Contains(err.Error(), "another user pool or client") {
			t.Fatal(err)
		}
		f.refreshes(0)
		if err := f.a.Configure(agenttest.Config()); err != nil {
			t.Fatal(err)
		}
		f.must() // the record was there all along
	})
}

func TestConfigureRefuses(t *testing.T) {
	for name, change := range map[string]func(*agent.Config){
		"twice":         func(c *agent.Config) { c.Environments[1].Name = "staging" },
		"name":          func(c *agent.Config) { c.Environments[0].Name = "../x" },
		"default":       func(c *agent.Config) { c.DefaultEnvironment = "moon" },
		"client_id":     func(c *agent.Config) { c.Environments[0].ClientID = "" },
		"region":        func(c *agent.Config) { c.Environments[0].Region = "" },
		"below zero":    func(c *agent.Config) { c.RefreshMargin = -1 },
		"user_pool_id":  func(c *agent.Config) { c.Environments[0].UserPoolID = "" },
		"is not among ": func(c *agent.Config) { c.Environments = nil },
	} {
		t.Run(name, func(t *testing.T) {
			a := agenttest.NewAgent(t, agenttest.NewAuthenticator())
			c := agenttest.Config()
			change(&c)
			if err := a.Configure(c); !errors.Is(err, agent.CodeConfiguration) || !strings.Contains(err.Error(), name) {
				t.Errorf("%v", err)
			}
			if st, _ := a.Status(t.Context()); len(st.Environments) != 2 {
				t.Error("the old configuration is gone")
			}
		})
	}
}

func TestCloseFinishesTheRefresh(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Rotate, r.Latency = true, 3*time.Second }, func(f *fixture) {
		time.Sleep(2 * time.Hour)
		go func() { _, _ = f.ask() }()
		synctest.Wait()
		f.restart() // in mid-refresh
		f.must()
		f.refreshes(2)
	})
}

func TestCloseCutsOffAHangingRefresh(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Latency = time.Hour }, func(f *fixture) {
		time.Sleep(2 * time.Hour)
		go func() { _, _ = f.ask() }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		defer cancel()
		began := time.Now()
		if err := f.a.Close(ctx); err == nil || time.Since(began) != 8*time.Second {
			t.Errorf("closed after %s: %v", time.Since(began), err)
		}
		if _, err := f.ask(); !errors.Is(err, agent.CodeUnavailable) {
			t.Errorf("a request after Close: %v", err)
		}
	})
}

func TestLoginWhileARefreshIsInFlight(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Rotate = true }, func(f *fixture) {
		time.Sleep(2 * time.Hour)
		f.p.Set(func(r *agenttest.Rules) { r.Latency = 3 * time.Second })
		waiter := make(chan error, 1)
		go func() { _, err := f.ask(); waiter <- err }()
		synctest.Wait()
		agenttest.Login(t, f.a, "prod")
		if err := <-waiter; err != nil {
			t.Error(err)
		}
		f.p.Set(func(r *agenttest.Rules) { r.Latency = 0 })
		f.restart()
		f.must() // the store has the new sign-in, not the old one's rotation
		f.refreshes(2)
	})
}

// Otherwise a replaced sign-in would stay valid at the provider, and no logout would reach
// it.
func TestReplacedSignInIsEnded(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Rotate = true }, func(f *fixture) {
		for range 2 {
			time.Sleep(2 * time.Hour)
			f.must()
		}
		agenttest.Login(t, f.a, "prod")
		synctest.Wait()
		if f.p.Live() != 1 {
			t.Errorf("%d sign-ins live at the provider", f.p.Live())
		}
		if revoked := f.p.Revoked(); len(revoked) != 2 || revoked[1] != "refresh-token-1" {
			t.Errorf("revoked %v, want the live one and the first", revoked)
		}
		f.must()
	})
}

func TestUnsavedSignInEndsNothing(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		f.store.set(func(s *flakyStore) { s.put = errors.New("disk full") })
		agenttest.Login(t, f.a, "prod")
		synctest.Wait()
		if f.p.Live() != 2 {
			t.Error("the sign-in that the store still has was ended")
		}
	})
}

func TestLogoutIsNotHalfDone(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		ctx, cancel := context.WithCancel(f.t.Context())
		cancel()
		_ = f.a.Logout(ctx, agent.LogoutRequest{Environment: "prod"})
		synctest.Wait()
		f.state(agent.StateAbsent)
		if keys, _ := f.store.Keys(f.t.Context()); len(keys) != 0 || f.p.Live() != 0 {
			t.Errorf("left: keys %v, %d live refresh tokens", keys, f.p.Live())
		}
	})
}

// TestSecrets runs a sign-in to its end with debug logging and looks for every secret.
func TestSecrets(t *testing.T) {
	p, out := agenttest.NewAuthenticator(), new(testlog.Buffer)
	p.Set(func(r *agenttest.Rules) { r.Rotate, r.Lifetime = true, time.Nanosecond })
	a := agenttest.NewAgent(t, p, func(o *agent.Options) {
		o.Logger = slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	agenttest.Login(t, a, "prod")
	_, err1 := a.Token(t.Context(), agent.TokenRequest{Environment: "prod"})
	p.EndAll()
	_, err2 := a.Token(t.Context(), agent.TokenRequest{Environment: "prod"})
	st, _ := a.Status(t.Context())
	_ = a.Close(t.Context())
	fmt.Fprintf(out, "%v %+v %#v %+v %#v", err1, err2, err2, st, a)
	for _, secret := range []string{agenttest.Password, "refresh-token-", "id-token-"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q leaked", secret)
		}
	}
}

func TestSignInWithoutAPassword(t *testing.T) {
	for flow, code := range map[agent.AuthFlow]agent.Code{
		agent.FlowPassword: agent.CodeUsage, agent.FlowSRP: agent.CodeUsage,
		agent.FlowChoice: agent.CodeLoginRequired, agent.FlowCustom: agent.CodeLoginRequired, // refused by the provider
	} {
		a := agenttest.NewAgent(t, agenttest.NewAuthenticator(), func(o *agent.Options) { o.Config.Environments[1].AuthFlow = flow })
		err := a.Login(t.Context(), agent.LoginRequest{Environment: "prod", Username: agenttest.User}, nil)
		if !errors.Is(err, code) {
			t.Errorf("%s: %v, want %s", flow, err, code)
		}
	}
}

// askFor asks for a token that is valid for at least minValid.
func (f *fixture) askFor(minValid time.Duration) (agent.Token, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 7*time.Second)
	defer cancel()
	return f.a.Token(ctx, agent.TokenRequest{Environment: "prod", MinValid: minValid})
}

// TestMinValidNearTheLife asks for nearly the whole life of a token, over and over. Each request
// gets it, and they cost one call every five seconds.
func TestMinValidNearTheLife(t *testing.T) {
	const nearly = time.Hour - time.Second
	inBubble(t, func(r *agenttest.Rules) { r.Latency = 200 * time.Millisecond }, func(f *fixture) {
		time.Sleep(1500 * time.Millisecond)
		began := time.Now()
		for range 40 {
			tok, err := f.askFor(nearly)
			if err != nil || time.Until(tok.ExpiresAt) < nearly {
				t.Fatalf("after %s: %v, until %s", time.Since(began), err, tok.ExpiresAt)
			}
			time.Sleep(time.Second)
		}
		if n, most := f.p.Refreshes(), int(time.Since(began)/(5*time.Second))+1; n > most {
			t.Errorf("%d refreshes in %s, want at most %d", n, time.Since(began), most)
		}
		before := f.p.Refreshes()
		var wg sync.WaitGroup
		time.Sleep(2 * time.Second)
		for range 50 {
			wg.Go(func() {
				if _, err := f.askFor(nearly); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		f.refreshes(before + 1)
		for _, minValid := range []time.Duration{time.Hour, 2 * time.Hour} {
			if _, err := f.askFor(minValid); !errors.Is(err, agent.CodeUsage) || !strings.Contains(err.Error(), "not less than an ID token's life of 1h0m0s") {
				t.Errorf("%s of an hour: %v", minValid, err)
			}
		}
		f.refreshes(before + 1)
	})
}

// A request whose own deadline comes first is told to try again.
func TestMinValidWithoutTime(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		time.Sleep(2 * time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := f.a.Token(ctx, agent.TokenRequest{Environment: "prod", MinValid: 59*time.Minute + 59*time.Second})
		if !errors.Is(err, agent.CodeUnavailable) || !strings.Contains(err.Error(), "try again") {
			t.Error(err)
		}
		f.refreshes(0)
	})
}

// TestMinValidBeyondAKeptToken asks for more life than a token has that was kept until it could
// be verified. Its age is no part of its lifetime.
func TestMinValidBeyondAKeptToken(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		time.Sleep(2 * time.Hour)
		f.p.Set(func(r *agenttest.Rules) {
			r.Age = 30 * time.Second
			r.Refresh = func(_ context.Context, n int) error {
				if n == 3 {
					f.p.Set(func(r *agenttest.Rules) { r.Age = 0 })
				}
				return nil
			}
		})
		tok, _ := f.must()
		if left := time.Until(tok.ExpiresAt); left != time.Hour-30*time.Second {
			t.Errorf("%s left of the kept token", left)
		}
		time.Sleep(10 * time.Second)
		if tok, err := f.askFor(59*time.Minute + 50*time.Second); err != nil || time.Until(tok.ExpiresAt) < 59*time.Minute+50*time.Second {
			t.Errorf("until %s: %v", tok.ExpiresAt, err)
		}
		f.refreshes(3)
	})
}

// TestMinValidAfterASlowRefresh joins a refresh that has taken long already, and gets the next
// token.
func TestMinValidAfterASlowRefresh(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		time.Sleep(2 * time.Hour)
		slow := f.slowly(6 * time.Second)
		f.p.Set(func(r *agenttest.Rules) { r.Late = 0 })
		time.Sleep(5 * time.Second)
		if tok, err := f.askFor(59*time.Minute + 55*time.Second); err != nil || time.Until(tok.ExpiresAt) < 59*time.Minute+55*time.Second {
			t.Errorf("until %s: %v", tok.ExpiresAt, err)
		}
		if err := <-slow; err != nil {
			t.Error(err)
		}
	})
}
