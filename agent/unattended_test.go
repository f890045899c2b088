package agent_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/store/memory"
)

// A credential is what an unattended environment signs in with.
type credential struct {
	mu  sync.Mutex
	now agent.Credential
	err error
}

func (c *credential) Credential() (agent.Credential, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, c.err
}

func (c *credential) set(password, stamp string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = agent.Credential{Username: agenttest.User, Password: agent.NewSecret(password), Stamp: stamp}
}

// unattended runs body with an agent that has a credential for prod and no sign-in.
func unattended(t *testing.T, password string, body func(f *fixture, c *credential)) {
	synctest.Test(t, func(t *testing.T) {
		c := new(credential)
		c.set(password, "1")
		f := &fixture{t: t, p: agenttest.NewAuthenticator(), clock: new(clock), store: &flakyStore{Store: memory.New()}}
		f.config = agenttest.Config()
		f.config.Environments[1].Unattended = c
		f.start()
		body(f, c)
	})
}

// logins counts the calls of Login so far.
func (f *fixture) logins() (n int) {
	for {
		select {
		case call := <-f.p.Called():
			if call == "login" {
				n++
			}
		default:
			return n
		}
	}
}

func TestUnattended(t *testing.T) {
	unattended(t, agenttest.Password, func(f *fixture, _ *credential) {
		f.must()
		f.must()
		if n := f.logins(); n != 1 {
			t.Errorf("%d sign-ins", n)
		}
		f.restart()
		f.must()
		if n := f.logins(); n != 0 {
			t.Errorf("%d sign-ins with one in the store", n)
		}
	})
}

func TestUnattendedAfterRejection(t *testing.T) {
	unattended(t, agenttest.Password, func(f *fixture, _ *credential) {
		f.must()
		f.p.EndAll()
		time.Sleep(2 * time.Hour)
		f.must()
		f.state(agent.StateFresh)
		if n := f.logins(); n != 2 {
			t.Errorf("%d sign-ins", n)
		}
	})
}

func TestUnattendedWithAWrongPassword(t *testing.T) {
	unattended(t, "wrong", func(f *fixture, c *credential) {
		for range 3 * 60 { // three hours of requests
			_, err := f.ask()
			if !errors.Is(err, agent.CodeLoginRequired) || !strings.Contains(err.Error(), "unattended sign-in: Invalid username or password") {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		if n := f.logins(); n != 1 {
			t.Fatalf("%d calls with one wrong password", n)
		}
		c.set("wrong again", "2")
		_, _ = f.ask()
		c.set(agenttest.Password, "3")
		if _, err := f.ask(); err == nil {
			t.Fatal("two calls within five minutes")
		}
		time.Sleep(5 * time.Minute)
		f.must()
		if n := f.logins(); n != 2 {
			t.Errorf("%d calls for two more credentials", n)
		}
	})
}

// A daemon that a service manager starts again and again must not lock the account.
func TestUnattendedRefusalOutlivesTheDaemon(t *testing.T) {
	unattended(t, "wrong", func(f *fixture, c *credential) {
		for range 5 {
			if _, err := f.ask(); !errors.Is(err, agent.CodeLoginRequired) {
				t.Fatal(err)
			}
			if e := f.status().LastError; !strings.Contains(e, "unattended sign-in") {
				t.Fatalf("status says %q", e)
			}
			time.Sleep(10 * time.Minute)
			f.restart()
		}
		if n := f.logins(); n != 1 {
			t.Errorf("%d calls with one wrong password and five daemons", n)
		}
		c.set(agenttest.Password, "2")
		f.must()
		if keys, _ := f.store.Keys(f.t.Context()); len(keys) != 1 {
			t.Errorf("keys %v", keys)
		}
	})
}

func TestUnattendedProviderAway(t *testing.T) {
	unattended(t, agenttest.Password, func(f *fixture, _ *credential) {
		f.p.Set(func(r *agenttest.Rules) { r.Login = agenttest.Unavailable("prod", "down") })
		began := time.Now()
		for time.Since(began) < time.Hour {
			if _, err := f.ask(); !errors.Is(err, agent.CodeUnavailable) {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if n := f.logins(); n < 10 || n > 13 {
			t.Errorf("%d calls in an hour of outage", n)
		}
		f.p.Set(func(r *agenttest.Rules) { r.Login = nil })
		time.Sleep(5 * time.Minute)
		f.must()
	})
}

func TestUnattendedCannotAnswer(t *testing.T) {
	unattended(t, agenttest.Password, func(f *fixture, c *credential) {
		c.mu.Lock()
		c.now.Username = agenttest.MFAUser
		c.mu.Unlock()
		if _, err := f.ask(); !errors.Is(err, agent.CodeLoginRequired) {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		_, _ = f.ask()
		if n := f.logins(); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestUnattendedWithoutAFile(t *testing.T) {
	unattended(t, "", func(f *fixture, c *credential) {
		c.err = &agent.Error{Code: agent.CodeConfiguration, Message: "/etc/kyc.password: no such file", Hint: "make it"}
		if _, err := f.ask(); !errors.Is(err, agent.CodeConfiguration) || !strings.Contains(err.Error(), "prod: /etc/kyc.password: no such file; make it") {
			t.Fatal(err)
		}
		c.err = nil
		c.set(agenttest.Password, "2")
		f.must() // at once: no call had been made
	})
}

func TestUnattendedStaysSignedOut(t *testing.T) {
	unattended(t, agenttest.Password, func(f *fixture, _ *credential) {
		f.must()
		if err := f.a.Logout(f.t.Context(), agent.LogoutRequest{Environment: "prod"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if _, err := f.ask(); !errors.Is(err, agent.CodeLoginRequired) {
			t.Errorf("signed in again after a logout: %v", err)
		}
		if err := f.a.Configure(f.config); err != nil {
			t.Fatal(err)
		}
		f.must()
	})
}

func TestRevokesTheFirstRefreshToken(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Rotate = true }, func(f *fixture) {
		for range 3 {
			time.Sleep(2 * time.Hour)
			f.must()
		}
		if keys, _ := f.store.Keys(f.t.Context()); len(keys) != 2 {
			t.Fatalf("keys %v", keys)
		}
		if err := f.a.Logout(f.t.Context(), agent.LogoutRequest{Environment: "prod"}); err != nil {
			t.Fatal(err)
		}
		revoked := f.p.Revoked()
		if len(revoked) != 2 || revoked[1] != "refresh-token-1" {
			t.Errorf("revoked %v, want the live one and the first", revoked)
		}
		if keys, _ := f.store.Keys(f.t.Context()); len(keys) != 0 {
			t.Errorf("keys %v", keys)
		}
	})
}

func TestDeviceIsKept(t *testing.T) {
	device := agent.Device{Key: "us-east-2_d", GroupKey: "g", Password: agent.NewSecret("device-password")}
	inBubble(t, nil, func(f *fixture) {
		f.p.Set(func(r *agenttest.Rules) { r.Device = device })
		agenttest.Login(t, f.a, "prod")
		f.restart()
		f.must()
		got := f.p.Device()
		if got.Key != device.Key || got.GroupKey != device.GroupKey || !got.Password.Equal(device.Password) {
			t.Errorf("the refresh had device %+v", got)
		}
		agenttest.Login(t, f.a, "prod")
		if got := f.p.Device(); got.Key != device.Key {
			t.Errorf("the next sign-in had device %+v", got)
		}
	})
}

// A credential that cannot be read does not make the agent press Cognito with a refresh
// token that it refuses.
func TestUnattendedWithoutAFileAfterRejection(t *testing.T) {
	unattended(t, agenttest.Password, func(f *fixture, c *credential) {
		f.p.Set(func(r *agenttest.Rules) { r.Latency = 50 * time.Millisecond })
		f.must()
		f.must()
		f.p.EndAll()
		c.mu.Lock()
		c.err = errors.New("no such file")
		c.mu.Unlock()
		time.Sleep(2 * time.Hour)
		if n := f.p.Refreshes(); n > 60 {
			t.Errorf("%d refreshes with a dead refresh token", n)
		}
	})
}
