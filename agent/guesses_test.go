package agent_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
)

// guesser signs in to an agent with a wrong password and counts the calls of the provider.
type guesser struct {
	t *testing.T
	a *agent.Agent
	p *agenttest.Authenticator
}

func newGuesser(t *testing.T) guesser {
	p := agenttest.NewAuthenticator()
	return guesser{t, agenttest.NewAgent(t, p), p}
}

func (g guesser) login(user, password string) error {
	return g.a.Login(context.Background(), agent.LoginRequest{Environment: "prod", Username: user, Password: agent.NewSecret(password)},
		func(context.Context, agent.Challenge) (agent.Answers, error) {
			return nil, errors.New("nobody is there")
		})
}

// calls returns how many calls the provider got since the last time.
func (g guesser) calls() (n int) {
	for {
		select {
		case <-g.p.Called():
			n++
		default:
			return n
		}
	}
}

// waits checks that err says that the agent waits, and returns how long.
func waits(t *testing.T, err error) time.Duration {
	t.Helper()
	e, _ := errors.AsType[*agent.Error](err)
	if e == nil || e.Code != agent.CodeThrottled || e.RetryAfter <= 0 || e.RetryAfter > time.Minute ||
		!strings.Contains(e.Error(), "wrong") || !strings.Contains(e.Error(), "try again in ") {
		t.Fatalf("%v", err)
	}
	return e.RetryAfter
}

// TestGuessesAreSlowed holds that a local program that guesses has three tries, and then one for
// each pause, which grows to a minute; and that a person with the right password is told how
// long it takes, and gets in then.
func TestGuessesAreSlowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		for i := range 30 {
			_ = g.login(agenttest.User, fmt.Sprint("Wr0ng!", i))
		}
		if n := g.calls(); n != 3 {
			t.Errorf("%d of 30 guesses reached the provider, want 3", n)
		}
		for _, want := range []time.Duration{5, 10, 20, 40, 60, 60, 60} {
			err := g.login(agenttest.User, agenttest.Password)
			if pause := waits(t, err); pause != want*time.Second {
				t.Errorf("a pause of %s, want %d s", pause, want)
			}
			time.Sleep(want*time.Second - time.Millisecond)
			waits(t, g.login(agenttest.User, "Wr0ng!"))
			time.Sleep(time.Millisecond)
			if err := g.login(strings.ToUpper(agenttest.User), "Wr0ng!"); agent.CodeOf(err) != agent.CodeLoginRequired {
				t.Errorf("after the pause: %v", err)
			}
			if n := g.calls(); n != 1 {
				t.Errorf("%d calls in a pause of %d s", n, want)
			}
		}
		time.Sleep(waits(t, g.login(agenttest.User, agenttest.Password)))
		for range 3 {
			if err := g.login(agenttest.User, agenttest.Password); err != nil {
				t.Errorf("the right one: %v", err)
			}
			_ = g.login(agenttest.User, "Wr0ng!")
			_ = g.login(agenttest.User, "Wr0ng!")
		}
	})
}

// Another user, another environment, and a failure that says nothing about the password, are
// not slowed; after a quarter of an hour everything is forgotten.
func TestGuessesOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		for range 4 {
			_ = g.login("somebody", "Wr0ng!")
		}
		waits(t, g.login("Somebody ", "Wr0ng!"))
		if err := g.login(agenttest.User, agenttest.Password); err != nil {
			t.Errorf("another user: %v", err)
		}
		err := g.a.Login(t.Context(), agent.LoginRequest{Environment: "staging", Username: "somebody", Password: agent.NewSecret("Wr0ng!")}, nil)
		if agent.CodeOf(err) != agent.CodeLoginRequired {
			t.Errorf("another environment: %v", err)
		}
		time.Sleep(15 * time.Minute)
		for range 3 {
			if err := g.login("somebody", "Wr0ng!"); agent.CodeOf(err) != agent.CodeLoginRequired {
				t.Errorf("after a quarter of an hour: %v", err)
			}
		}
		g.p.Set(func(r *agenttest.Rules) { r.Login = agenttest.Unavailable("prod", "no route") })
		for range 20 {
			if err := g.login(agenttest.User, agenttest.Password); agent.CodeOf(err) != agent.CodeUnavailable {
				t.Errorf("without a network: %v", err)
			}
		}
		g.p.Set(func(r *agenttest.Rules) { r.Login = nil })
		for range 10 { // the password is right, and the code is not typed
			if err := g.login(agenttest.MFAUser, agenttest.Password); agent.CodeOf(err) != agent.CodeUsage {
				t.Errorf("given up: %v", err)
			}
		}
	})
}

// TestGuessesAtOnce holds that guesses which overtake one another, or are given up before the
// answer, count: the provider has seen the passwords.
func TestGuessesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		hold := make(chan struct{})
		g.p.Set(func(r *agenttest.Rules) { r.HoldLogin = hold })
		var all sync.WaitGroup
		for range 30 {
			all.Go(func() { _ = g.login(agenttest.User, "Wr0ng!") })
		}
		synctest.Wait()
		if n := g.calls(); n != 3 {
			t.Errorf("%d of 30 guesses at once reached the provider, want 3", n)
		}
		close(hold)
		all.Wait()
		g.p.Set(func(r *agenttest.Rules) { r.HoldLogin = nil })
		waits(t, g.login(agenttest.User, "Wr0ng!"))

		for i := range 200 {
			_ = g.login(fmt.Sprint("user", i), "Wr0ng!")
			g.calls()
		}
		waits(t, g.login("yet another", "Wr0ng!")) // those beyond a number count as one
	})
}

// A change of the password sends the present one, which can be guessed as well.
func TestGuessesByAChangeOfPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		for range 3 {
			_ = g.login(agenttest.User, "Wr0ng!")
		}
		change := agent.RecoverRequest{Environment: "prod", Action: agent.RecoverChange, Username: agenttest.User, Password: agent.NewSecret("Wr0ng!")}
		waits(t, g.a.Recover(t.Context(), change, nil))
		reset := agent.RecoverRequest{Environment: "prod", Action: agent.RecoverResend, Username: agenttest.User}
		if err := g.a.Recover(t.Context(), reset, nil); err != nil {
			t.Errorf("what needs no password: %v", err)
		}
	})
}
