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

	reads int
}

func (c *credential) Credential() (agent.Credential, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads++
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
		synctest.Wait()
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
		if n := f.logins(); n < 10 || n > 16 {
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

// TestUnattendedFailsForAnotherReason checks that only a refusal of the credential is held
// against it: everything else keeps its own words, is tried again, and is forgotten when the
// agent is started again or reloads its configuration.
func TestUnattendedFailsForAnotherReason(t *testing.T) {
	for _, code := range []agent.Code{
		agent.CodeDenied, agent.CodeConfiguration, agent.CodeInternal, agent.CodeLoginRequired, agent.CodeUnavailable, agent.CodeThrottled,
	} {
		failure := &agent.Error{Code: code, Op: "login", Message: "blocked by a firewall", Hint: "ask an administrator"}
		for name, recover := range map[string]func(f *fixture){
			"time": func(f *fixture) {
				time.Sleep(61 * time.Minute)
			},
			"reload": func(f *fixture) {
				if err := f.a.Configure(f.config); err != nil {
					f.t.Fatal(err)
				}
			},
			"restart": func(f *fixture) { f.restart() },
		} {
			t.Run(string(code)+", "+name, func(t *testing.T) {
				unattended(t, agenttest.Password, func(f *fixture, _ *credential) {
					f.p.Set(func(r *agenttest.Rules) { r.Login = failure })
					for range 3 * 60 {
						_, err := f.ask()
						if !errors.Is(err, code) || !strings.Contains(err.Error(), "unattended sign-in: blocked by a firewall") ||
							!strings.Contains(err.Error(), "the agent tries again by itself in ") || strings.Contains(err.Error(), "fix the credential") {
							t.Fatal(err)
						}
						time.Sleep(time.Minute)
					}
					if n := f.logins(); n < 5 || n > 40 {
						t.Errorf("%d calls in three hours", n)
					}
					if keys, _ := f.store.Keys(f.t.Context()); len(keys) != 0 {
						t.Errorf("stored: %v", keys)
					}
					f.p.Set(func(r *agenttest.Rules) { r.Login = nil })
					recover(f)
					f.must()
				})
			})
		}
	}
}

// The line says when, and the agent does it without another request.
func TestUnattendedTriesAgainByItself(t *testing.T) {
	unattended(t, agenttest.Password, func(f *fixture, _ *credential) {
		f.p.Set(func(r *agenttest.Rules) { r.Login = agenttest.Internal("prod") })
		if _, err := f.ask(); !strings.Contains(err.Error(), "the agent tries again by itself in 5s") {
			t.Error(err)
		}
		time.Sleep(6 * time.Second)
		if _, err := f.ask(); !strings.Contains(err.Error(), "the agent tries again by itself in 14s") {
			t.Error(err)
		}
		f.p.Set(func(r *agenttest.Rules) { r.Login = nil })
		time.Sleep(15 * time.Second)
		f.state(agent.StateFresh)
	})
}

// What an older version stored as refused may have been any failure, so it counts for nothing.
func TestUnattendedStampOfAnOlderVersion(t *testing.T) {
	unattended(t, agenttest.Password, func(f *fixture, _ *credential) {
		if err := f.store.Put(f.t.Context(), "prod--refused", []byte("1")); err != nil {
			t.Fatal(err)
		}
		f.must()
		synctest.Wait()
		if keys, _ := f.store.Keys(f.t.Context()); len(keys) != 1 {
			t.Errorf("keys %v", keys)
		}
	})
}

// A credential that one user pool refused may be right at another.
func TestUnattendedRefusalIsOfOneUserPool(t *testing.T) {
	unattended(t, "wrong", func(f *fixture, c *credential) {
		_, _ = f.ask()
		f.config.Environments[1].UserPoolID = "us-east-2_other"
		if err := f.a.Configure(f.config); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		_, _ = f.ask()
		if n := f.logins(); n != 2 {
			t.Errorf("%d calls", n)
		}
	})
}

// A credential file that is missing for a while does not make the agent read it in a loop.
func TestUnattendedFileGoneAfterAFailure(t *testing.T) {
	unattended(t, agenttest.Password, func(f *fixture, c *credential) {
		f.p.Set(func(r *agenttest.Rules) { r.Login = agenttest.Internal("prod") })
		_, _ = f.ask()
		c.mu.Lock()
		c.err = errors.New("no such file")
		c.mu.Unlock()
		time.Sleep(time.Hour)
		c.mu.Lock()
		n := c.reads
		c.mu.Unlock()
		if n > 5 {
			t.Errorf("%d reads in an hour", n)
		}
	})
}
