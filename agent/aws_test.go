package agent_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
)

func (f *fixture) askAWS(minValid time.Duration) (agent.AWSCredentials, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
	defer cancel()
	return f.a.AWSCredentials(ctx, agent.TokenRequest{Environment: "prod", MinValid: minValid})
}

// mustAWS asks for credentials and also says how long the answer took.
func (f *fixture) mustAWS() (agent.AWSCredentials, time.Duration) {
	f.t.Helper()
	began := time.Now()
	c, err := f.askAWS(0)
	if err != nil {
		f.t.Fatalf("at %s: %v", time.Now().Format(time.TimeOnly), err)
	}
	return c, time.Since(began)
}

func (f *fixture) exchanges(least, most int) {
	f.t.Helper()
	if n := f.p.Exchanges(); n < least || n > most {
		f.t.Errorf("%d exchanges, want %d to %d", n, least, most)
	}
}

func slowAWS(life time.Duration) func(*agenttest.AWSRules) {
	return func(r *agenttest.AWSRules) { r.Lifetime, r.Latency = life, 2*time.Second }
}

func TestDayOfAWSCredentials(t *testing.T) {
	for _, test := range []struct {
		life, every, left time.Duration
		least, most       int
	}{
		{time.Hour, 10 * time.Second, 19 * time.Minute, 37, 42}, // due at 20 minutes, up to 4 earlier
		{time.Hour, 4 * time.Minute, 15 * time.Minute, 33, 42},
		{15 * time.Minute, 10 * time.Second, 4 * time.Minute, 144, 180}, // the shortest STS gives
		{26 * time.Minute, time.Second, 19 * time.Minute, 250, 1500},
	} {
		t.Run(fmt.Sprintf("%s every %s", test.life, test.every), func(t *testing.T) {
			inBubble(t, nil, func(f *fixture) {
				f.p.SetAWS(slowAWS(test.life))
				f.mustAWS()
				for began := time.Now(); time.Since(began) < 24*time.Hour; time.Sleep(test.every) {
					c, took := f.mustAWS()
					if left := time.Until(c.ExpiresAt); took > 0 || left < test.left {
						f.t.Fatalf("a request waited %s for credentials with %s left", took, left)
					}
				}
				f.exchanges(test.least, test.most)
				if n := f.p.Refreshes(); n > 28 {
					t.Errorf("%d ID tokens in a day of credentials", n)
				}
			})
		})
	}
}

// While no request comes, nothing is called.
func TestIdleAWSCredentials(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		f.mustAWS()
		time.Sleep(48 * time.Hour)
		f.exchanges(1, 2)
		if _, took := f.mustAWS(); took > 0 {
			t.Errorf("waited %s with an AWS that answers at once", took)
		}
	})
}

func TestOneExchangeForAll(t *testing.T) {
	inBubble(t, func(r *agenttest.Rules) { r.Latency = time.Second }, func(f *fixture) {
		f.p.SetAWS(slowAWS(time.Hour))
		for round := 1; round <= 3; round++ {
			var wg sync.WaitGroup
			for range 200 {
				wg.Go(func() { f.mustAWS() })
			}
			wg.Wait()
			f.exchanges(round, round)
			f.clock.jump(45 * time.Minute) // below what is handed out without waiting
		}
	})
}

// The windows: a request waits below 16 minutes, and a min_valid is met or refused.
func TestAWSWindows(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		f.p.SetAWS(slowAWS(time.Hour))
		first, _ := f.mustAWS()
		f.clock.jump(40 * time.Minute) // 19 left
		if c, took := f.mustAWS(); took > 0 || c.AccessKeyID != first.AccessKeyID {
			t.Errorf("inside the margin a request waited %s", took)
		}
		synctest.Wait()
		time.Sleep(3 * time.Second)
		second, _ := f.mustAWS()
		if second.AccessKeyID == first.AccessKeyID {
			t.Error("nothing was renewed beside the answer")
		}
		f.clock.jump(44 * time.Minute) // 15 left
		if c, took := f.mustAWS(); took != 2*time.Second || time.Until(c.ExpiresAt)+f.clock.ahead() < 15*time.Minute {
			t.Errorf("a request got credentials after %s", took)
		}
		f.clock.jump(20 * time.Minute)
		if _, err := f.askAWS(time.Hour); agent.CodeOf(err) != agent.CodeUsage {
			t.Errorf("an hour of what lives 59 minutes: %v", err)
		}
		f.exchanges(3, 3)
		if c, err := f.askAWS(50 * time.Minute); err != nil || time.Until(c.ExpiresAt) < 50*time.Minute {
			t.Errorf("50 minutes: %v", err)
		}
		f.exchanges(4, 4)
	})
}

// ahead returns how far the clock is off.
func (c *clock) ahead() time.Duration { return time.Duration(c.shift.Load()) }

// While AWS or Cognito is down, the credentials in memory serve to their end, and neither
// gets more than the calls of the backoff.
func TestAWSOutage(t *testing.T) {
	down := &agent.Error{Code: agent.CodeUnavailable, Op: "aws", Environment: "prod", Message: "AWS is down", Err: agent.ErrUnreachable}
	for name, fail := range map[string]func(p *agenttest.Authenticator, err error){
		"AWS": func(p *agenttest.Authenticator, err error) {
			p.SetAWS(func(r *agenttest.AWSRules) { r.Exchange = func(int, string) error { return err } })
		},
		"Cognito": func(p *agenttest.Authenticator, err error) {
			p.Set(func(r *agenttest.Rules) { r.Refresh = func(context.Context, int) error { return err } })
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *agenttest.Rules) { r.Lifetime = 30 * time.Minute }, func(f *fixture) {
				c, _ := f.mustAWS()
				fail(f.p, down)
				for time.Until(c.ExpiresAt) > 10*time.Second {
					if got, err := f.askAWS(0); err != nil || got.AccessKeyID != c.AccessKeyID {
						f.t.Fatalf("%s before the end: %v", time.Until(c.ExpiresAt), err)
					}
					time.Sleep(time.Second)
				}
				time.Sleep(time.Minute)
				_, err := f.askAWS(0)
				if agent.CodeOf(err) != agent.CodeUnavailable || !strings.Contains(err.Error(), "AWS is down") {
					f.t.Fatalf("after the end: %v", err)
				}
				if n := f.p.Exchanges() + f.p.Refreshes(); n > 1000 { // three tries each 5 s at most
					f.t.Errorf("%d calls in an hour of an outage", n)
				}
				if st := f.status(); name == "AWS" && (st.AWSLastError == "" || st.Degraded) {
					t.Errorf("status %+v", st)
				}
				fail(f.p, nil)
				time.Sleep(time.Minute)
				if f.mustAWS(); f.status().AWSLastError != "" {
					t.Error("an error after a success")
				}
			})
		})
	}
}

// A refusal is not retried at every request: a client that asks every second costs a call
// every few minutes.
func TestAWSRefusalIsNotPressed(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		denied := &agent.Error{Code: agent.CodeDenied, Op: "aws", Message: "no trust"}
		f.p.SetAWS(func(r *agenttest.AWSRules) { r.Exchange = func(int, string) error { return denied } })
		for range 3600 {
			if _, err := f.askAWS(0); !errors.Is(err, agent.CodeDenied) {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		f.exchanges(10, 60)
		config := agenttest.Config()
		if err := f.a.Configure(config); err != nil {
			t.Fatal(err)
		}
		f.p.SetAWS(func(r *agenttest.AWSRules) { r.Exchange = nil })
		f.mustAWS() // a reload is worth a call at once
	})
}

// An ID token that AWS considers expired is replaced, once.
func TestAWSWantsANewerIDToken(t *testing.T) {
	stale := &agent.Error{Code: agent.CodeDenied, Op: "aws", Message: "too old", Err: agent.ErrIDTokenExpired}
	inBubble(t, nil, func(f *fixture) {
		old, _ := f.must()
		time.Sleep(10 * time.Minute)
		f.p.SetAWS(func(r *agenttest.AWSRules) {
			r.Exchange = func(_ int, idToken string) error {
				if idToken == old.IDToken.Reveal() {
					return stale
				}
				return nil
			}
		})
		f.mustAWS()
		f.exchanges(2, 2)
		f.refreshes(1)
	})
	inBubble(t, nil, func(f *fixture) {
		f.p.SetAWS(func(r *agenttest.AWSRules) { r.Exchange = func(int, string) error { return stale } })
		if _, err := f.askAWS(0); !errors.Is(err, agent.ErrIDTokenExpired) {
			t.Errorf("with a token that is new: %v", err)
		}
		f.exchanges(1, 1)
		time.Sleep(10 * time.Minute)
		if _, err := f.askAWS(0); !errors.Is(err, agent.ErrIDTokenExpired) {
			t.Errorf("with every token: %v", err)
		}
		f.exchanges(3, 3)
	})
}

// Every change of the sign-in, or of where it is exchanged, ends the credentials, and makes
// an exchange in progress start again.
func TestAWSCredentialsEnd(t *testing.T) {
	prod := func(c *agent.Config) *agent.Environment {
		return &c.Environments[slices.IndexFunc(c.Environments, func(e agent.Environment) bool { return e.Name == "prod" })]
	}
	configured := func(f *fixture, change func(*agent.Environment)) {
		c := agenttest.Config()
		change(prod(&c))
		if err := f.a.Configure(c); err != nil {
			f.t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name string
		do   func(*fixture)
		code agent.Code // of a request afterwards; "" is others
		same bool
	}{
		{"nothing", func(*fixture) {}, "", true},
		{"the same configuration", func(f *fixture) { configured(f, func(*agent.Environment) {}) }, "", true},
		{"an ID token that was refreshed", func(f *fixture) {
			_, _ = f.a.Token(context.Background(), agent.TokenRequest{Environment: "prod", MinValid: 59*time.Minute + 55*time.Second})
		}, "", true},
		{"another pool", func(f *fixture) {
			configured(f, func(e *agent.Environment) { e.IdentityPoolID = "us-east-2:11111111-1111-1111-1111-111111111111" })
		}, "", false},
		{"another role", func(f *fixture) {
			configured(f, func(e *agent.Environment) { e.RoleARN = "arn:aws:iam::123456789012:role/x" })
		}, "", false},
		{"another way", func(f *fixture) {
			configured(f, func(e *agent.Environment) { e.IdentityPoolID, e.AWSRoleARN = "", "arn:aws:iam::123456789012:role/x" })
		}, "", false},
		{"another endpoint", func(f *fixture) { configured(f, func(e *agent.Environment) { e.AWSEndpoint = "https://x.example" }) }, "", false},
		{"no way", func(f *fixture) { configured(f, func(e *agent.Environment) { e.IdentityPoolID = "" }) }, agent.CodeConfiguration, false},
		{"another user pool", func(f *fixture) { configured(f, func(e *agent.Environment) { e.UserPoolID = "us-east-2_other" }) }, agent.CodeLoginRequired, false},
		{"a sign-in", func(f *fixture) { agenttest.Login(f.t, f.a, "prod") }, "", false},
		{"an API key", func(f *fixture) {
			_ = f.a.Login(context.Background(), agent.LoginRequest{Environment: "prod", APIKey: agent.NewSecret("sk_1")}, nil)
		}, agent.CodeLoginRequired, false},
		{"a logout", func(f *fixture) { _ = f.a.Logout(context.Background(), agent.LogoutRequest{Environment: "prod"}) }, agent.CodeLoginRequired, false},
		{"a refusal", func(f *fixture) {
			f.p.EndAll()
			_, _ = f.a.Token(context.Background(), agent.TokenRequest{Environment: "prod", MinValid: 59*time.Minute + 55*time.Second})
		}, agent.CodeLoginRequired, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, nil, func(f *fixture) {
				before, _ := f.mustAWS()
				time.Sleep(time.Minute)
				test.do(f)
				c, err := f.askAWS(0)
				if agent.CodeOf(err) != test.code && err != nil || test.code != "" && err == nil {
					f.t.Fatalf("afterwards: %v", err)
				}
				if got := c.AccessKeyID == before.AccessKeyID; err == nil && got != test.same {
					t.Errorf("the same credentials afterwards: %v", got)
				}
			})
			inBubble(t, nil, func(f *fixture) {
				f.p.SetAWS(func(r *agenttest.AWSRules) { r.Latency = 3 * time.Second })
				time.Sleep(time.Minute)
				got := make(chan error, 1)
				go func() {
					_, err := f.askAWS(0)
					got <- err
				}()
				time.Sleep(time.Second)
				test.do(f)
				if err := <-got; agent.CodeOf(err) != test.code && err != nil || test.code != "" && err == nil {
					t.Errorf("in flight: %v", err)
				}
				if want := 2; !test.same && test.code == "" && f.p.Exchanges() != want {
					t.Errorf("%d exchanges, want the one in flight to be made again", f.p.Exchanges())
				}
			})
		})
	}
}
