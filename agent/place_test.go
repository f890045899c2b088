package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/memory"
)

const (
	endpointA = "http://127.0.0.1:1001"
	endpointB = "http://127.0.0.1:1002"
	awsIssuer = "https://cognito-idp.us-east-2.amazonaws.com/us-east-2_prd"
)

// prodConfig returns agenttest's configuration with another prod.
func prodConfig(change func(*agent.Environment)) agent.Config {
	c := agenttest.Config()
	change(&c.Environments[1])
	return c
}

// inPlace runs body with an agent that is signed in to prod as change configures it.
func inPlace(t *testing.T, change func(*agent.Environment), body func(f *fixture)) {
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{t: t, p: agenttest.NewAuthenticator(), clock: new(clock), store: &flakyStore{Store: memory.New()}, config: prodConfig(change)}
		f.start()
		agenttest.Login(t, f.a, "prod")
		body(f)
	})
}

func (f *fixture) configure(change func(*agent.Environment)) {
	f.t.Helper()
	f.config = prodConfig(change)
	if err := f.a.Configure(f.config); err != nil {
		f.t.Fatal(err)
	}
}

// sentElsewhere returns what was sent of a sign-in to another endpoint than home.
func (f *fixture) sentElsewhere(home string) (leaks []agenttest.Sent) {
	for _, s := range f.p.Sent() {
		if s.Endpoint != home && (s.RefreshToken != "" || s.DeviceKey != "") {
			leaks = append(leaks, s)
		}
	}
	return leaks
}

// TestMovedEndpoint checks that nothing of a sign-in is sent to another endpoint than the one
// where it was made, whatever the issuer says and however the configuration came.
func TestMovedEndpoint(t *testing.T) {
	at := func(endpoint, issuer string) func(*agent.Environment) {
		return func(e *agent.Environment) { e.Endpoint, e.Issuer = endpoint, issuer }
	}
	for name, issuer := range map[string]string{"no issuer": "", "AWS's issuer": awsIssuer, "the old issuer": endpointA + "/us-east-2_prd"} {
		for _, how := range []string{"reload", "restart"} {
			t.Run(name+", "+how, func(t *testing.T) {
				inPlace(t, at(endpointA, issuer), func(f *fixture) {
					f.p.Set(func(r *agenttest.Rules) {
						r.Rotate, r.Device = true, agent.Device{Key: "device-1", GroupKey: "g", Password: agent.NewSecret("p")}
					})
					agenttest.Login(t, f.a, "prod")
					time.Sleep(2 * time.Hour)
					f.must()
					f.configure(at(endpointB, issuer))
					if how == "restart" {
						f.restart()
					}
					for range 3 {
						if _, err := f.ask(); !errors.Is(err, agent.CodeLoginRequired) || !strings.Contains(err.Error(), "made at another endpoint") {
							t.Fatal(err)
						}
						time.Sleep(20 * time.Second)
					}
					agenttest.Login(t, f.a, "prod")
					synctest.Wait()
					for _, scope := range []agent.LogoutScope{agent.LogoutHere, agent.LogoutAllDevices} {
						f.configure(at(endpointA, issuer))
						agenttest.Login(t, f.a, "prod")
						time.Sleep(2 * time.Hour)
						f.must()
						f.configure(at(endpointB, issuer))
						err := f.a.Logout(f.t.Context(), agent.LogoutRequest{Environment: "prod", Scope: scope})
						if told := err != nil && strings.Contains(err.Error(), "not elsewhere"); told != (scope == agent.LogoutAllDevices) {
							t.Errorf("logout %s: %v", scope, err)
						}
					}
					home := make(map[string]string)
					for _, s := range f.p.Sent() {
						if s.RefreshToken == "" {
							continue
						}
						if home[s.RefreshToken] == "" {
							home[s.RefreshToken] = s.Endpoint
						}
						if home[s.RefreshToken] != s.Endpoint || s.DeviceKey != "" && s.Endpoint != home[s.RefreshToken] {
							t.Errorf("%s was used at %s and sent to %s by %s", s.RefreshToken, home[s.RefreshToken], s.Endpoint, s.Call)
						}
					}
					f.configure(at(endpointA, issuer))
				})
			})
		}
	}
}

// A login tells no other endpoint how the first one remembers this machine.
func TestDeviceStaysInItsPlace(t *testing.T) {
	inPlace(t, func(e *agent.Environment) { e.Endpoint = endpointA }, func(f *fixture) {
		f.p.Set(func(r *agenttest.Rules) {
			r.Device = agent.Device{Key: "device-1", GroupKey: "g", Password: agent.NewSecret("p")}
		})
		agenttest.Login(t, f.a, "prod")
		agenttest.Login(t, f.a, "prod")
		if got := f.p.Device(); got.Key != "device-1" {
			t.Fatalf("signed in with device %q", got.Key)
		}
		f.configure(func(e *agent.Environment) { e.Endpoint = endpointB })
		_, _ = f.ask() // so that the record is in memory
		agenttest.Login(t, f.a, "prod")
		if got := f.p.Device(); got.Key != "" {
			t.Errorf("another endpoint was told device %q", got.Key)
		}
	})
}

// A reload between two tries of one refresh does not carry the refresh token along.
func TestEndpointMovedBetweenTries(t *testing.T) {
	inPlace(t, func(e *agent.Environment) { e.Endpoint = endpointA }, func(f *fixture) {
		f.p.Set(func(r *agenttest.Rules) {
			r.Rotate, r.Processed, r.Delivered = true, true, true
			r.Refresh = func(context.Context, int) error {
				f.configure(func(e *agent.Environment) { e.Endpoint = endpointB })
				return agenttest.Lost("prod", "cut off after the new refresh token")
			}
		})
		f.store.set(func(s *flakyStore) { s.put = errors.New("disk full") }) // so that memory keeps the sign-in
		time.Sleep(2 * time.Hour)
		if _, err := f.ask(); !errors.Is(err, agent.CodeLoginRequired) {
			t.Error(err)
		}
		if leaks := f.sentElsewhere(endpointA); len(leaks) > 0 {
			t.Errorf("sent elsewhere: %+v", leaks)
		}
		f.p.Set(func(r *agenttest.Rules) { r.Refresh = nil })
		f.configure(func(e *agent.Environment) { e.Endpoint = endpointA })
		f.must() // and nothing is lost
	})
}

// TestIssuerChanges checks that the configured issuer decides nothing about the sign-in.
func TestIssuerChanges(t *testing.T) {
	inPlace(t, func(*agent.Environment) {}, func(f *fixture) {
		f.p.Set(func(r *agenttest.Rules) { r.Rotate = true })
		first, _ := f.must()
		for i, issuer := range []string{"https://issuer-cognito-idp.us-east-2.amazonaws.com/us-east-2_prd", "https://elsewhere.example", ""} {
			f.configure(func(e *agent.Environment) { e.Issuer = issuer })
			if tok, _ := f.must(); !tok.IDToken.Equal(first.IDToken) {
				t.Errorf("issuer %q cost the token", issuer)
			}
			time.Sleep(2 * time.Hour)
			first, _ = f.must()
			if i%2 == 0 {
				f.restart()
				first, _ = f.must()
			}
		}
		if n := f.logins(); n != 1 {
			t.Errorf("%d sign-ins", n)
		}
	})
}

// TestPlaces checks which endpoints are the place of a sign-in that was made at AWS.
func TestPlaces(t *testing.T) {
	for endpoint, same := range map[string]bool{
		"": true,
		"https://cognito-idp.us-east-2.amazonaws.com":                     true,
		"https://COGNITO-IDP.us-east-2.amazonaws.com:443":                 true,
		"https://cognito-idp-fips.us-east-2.amazonaws.com":                true,
		"https://cognito-idp.us-west-2.amazonaws.com":                     true, // a replica
		"https://cognito-idp.us-east-2.api.aws":                           true,
		"https://vpce-0a1b-2c3d.cognito-idp.us-east-2.vpce.amazonaws.com": true,

		"http://cognito-idp.us-east-2.amazonaws.com":                   false,
		"https://cognito-idp.us-east-2.amazonaws.com:8443":             false,
		"https://cognito-idp.us-east-2.amazonaws.com.evil.example":     false,
		"https://cognito-idp.us-east-2.amazonaws.com.cn":               false,
		"https://evil.example/cognito-idp.us-east-2.amazonaws.com":     false,
		"https://abc.execute-api.us-east-2.amazonaws.com":              false,
		"https://cognito-idp.s3.us-east-2.amazonaws.com":               false,
		"https://cognito-idp.evil.execute-api.us-east-2.amazonaws.com": false,
		"https://cognito-idp.us-east-2.amazonaws.com@evil.example":     false,
		"https://evil.cognito-idp.us-east-2.amazonaws.com":             false,
		"https://evilcognito-idp.us-east-2.amazonaws.com":              false,
		"http://127.0.0.1:1001":                                        false,
	} {
		t.Run(endpoint, func(t *testing.T) {
			inPlace(t, func(*agent.Environment) {}, func(f *fixture) {
				f.configure(func(e *agent.Environment) { e.Endpoint = endpoint })
				time.Sleep(2 * time.Hour)
				if _, err := f.ask(); same != (err == nil) {
					t.Errorf("%v", err)
				}
				if !same {
					f.refreshes(0)
				}
				f.restart()
				if _, err := f.ask(); same != (err == nil) {
					t.Errorf("after a restart: %v", err)
				}
				f.configure(func(*agent.Environment) {})
				f.must()
			})
		})
	}
}

// TestOldRecords checks that a record of an older version, which has no endpoint, is used where
// it was made and nowhere else.
func TestOldRecords(t *testing.T) {
	record := func(issuer string) string {
		return `{"v":1,"iss":"` + issuer + `","client_id":"client-prd","username":"ada","sub":"sub-of-ada@example.com","refresh_token":"refresh-token-1",` +
			`"signed_in_at":"2000-01-01T00:00:00Z","generation":1,"first":1}`
	}
	for name, c := range map[string]struct {
		issuer string // of the record
		change func(*agent.Environment)
		ok     bool
	}{
		"AWS": {awsIssuer, func(*agent.Environment) {}, true},
		"AWS, newer issuer": {awsIssuer, func(e *agent.Environment) {
			e.Issuer = "https://issuer-cognito-idp.us-east-2.amazonaws.com/us-east-2_prd"
		}, true},
		"AWS, made with that": {"https://issuer-cognito-idp.us-east-2.amazonaws.com/us-east-2_prd", func(*agent.Environment) {}, true},
		"AWS, any issuer":     {awsIssuer, func(e *agent.Environment) { e.Issuer = "https://elsewhere.example" }, true},
		"AWS, FIPS and issuer": {awsIssuer, func(e *agent.Environment) {
			e.Endpoint, e.Issuer = "https://cognito-idp-fips.us-east-2.amazonaws.com", awsIssuer
		}, true},
		"an emulator":           {endpointA + "/us-east-2_prd", func(e *agent.Environment) { e.Endpoint = endpointA }, true},
		"an emulator, issuer":   {endpointA + "/us-east-2_prd", func(e *agent.Environment) { e.Endpoint, e.Issuer = endpointA, endpointA+"/us-east-2_prd" }, true},
		"an emulator, no pool":  {endpointA, func(e *agent.Environment) { e.Endpoint, e.Issuer = endpointA, endpointA }, true},
		"a foreign endpoint":    {awsIssuer, func(e *agent.Environment) { e.Endpoint, e.Issuer = endpointA, awsIssuer }, false},
		"from emulator to AWS":  {endpointA + "/us-east-2_prd", func(*agent.Environment) {}, false},
		"another emulator":      {endpointA + "/us-east-2_prd", func(e *agent.Environment) { e.Endpoint = endpointB }, false},
		"another pool":          {"https://cognito-idp.us-east-2.amazonaws.com/us-east-2_other", func(*agent.Environment) {}, false},
		"another client":        {awsIssuer, func(e *agent.Environment) { e.ClientID = "another" }, false},
		"an issuer of no place": {"not a URL", func(e *agent.Environment) { e.Issuer = "not a URL" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			inPlace(t, c.change, func(f *fixture) {
				if err := f.a.Close(f.t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := f.store.Put(f.t.Context(), "prod", []byte(record(c.issuer))); err != nil {
					t.Fatal(err)
				}
				f.start()
				if _, err := f.ask(); c.ok != (err == nil) {
					t.Errorf("%v", err)
				}
				if !c.ok {
					f.refreshes(0)
				}
			})
		})
	}
}

// An oldRecord is a record as versions without endpoints wrote it.
type oldRecord struct {
	Version      int       `json:"v"`
	Issuer       string    `json:"iss"`
	ClientID     string    `json:"client_id"`
	Username     string    `json:"username"`
	Subject      string    `json:"sub"`
	RefreshToken string    `json:"refresh_token"`
	RefreshAPI   string    `json:"refresh_api,omitempty"`
	SignedInAt   time.Time `json:"signed_in_at"`
	Generation   int       `json:"generation"`
	First        int       `json:"first,omitempty"`

	DeviceKey      string `json:"device_key,omitempty"`
	DeviceGroupKey string `json:"device_group_key,omitempty"`
	DevicePassword string `json:"device_password,omitempty"`
	APIKey         string `json:"api_key,omitempty"`
}

// downgrade does what such a version does with the record of prod: it refuses one that is not
// for its issuer and client, and writes it again with what it knows.
func (f *fixture) downgrade(refreshToken string) {
	f.t.Helper()
	if err := f.a.Close(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	data, err := f.store.Get(f.t.Context(), "prod")
	if err != nil {
		f.t.Fatal(err)
	}
	var r oldRecord
	if err := json.Unmarshal(data, &r); err != nil || r.Version != 1 {
		f.t.Fatalf("an old version does not read it: %v, v %d", err, r.Version)
	}
	env := f.config.Environments[1]
	issuer := env.Issuer
	if issuer == "" {
		issuer = env.EndpointURL() + "/" + env.UserPoolID
	}
	if r.Issuer != issuer || r.ClientID != env.ClientID {
		f.t.Fatalf("an old version asks for a new sign-in: %s of %s", r.Issuer, r.ClientID)
	}
	if refreshToken != "" {
		r.RefreshToken, r.Generation = refreshToken, r.Generation+1
	}
	if data, err = json.Marshal(r); err != nil {
		f.t.Fatal(err)
	}
	if err := f.store.Put(f.t.Context(), "prod", data); err != nil {
		f.t.Fatal(err)
	}
	f.start()
}

// TestDowngrade goes from this version to an older one and back, again and again.
func TestDowngrade(t *testing.T) {
	for name, change := range map[string]func(*agent.Environment){
		"plain": func(*agent.Environment) {},
		"issuer": func(e *agent.Environment) {
			e.Issuer = "https://issuer-cognito-idp.us-east-2.amazonaws.com/us-east-2_prd"
		},
		"endpoint":       func(e *agent.Environment) { e.Endpoint = endpointA },
		"endpoint, path": func(e *agent.Environment) { e.Endpoint = endpointA + "/cognito" },
		"both":           func(e *agent.Environment) { e.Endpoint, e.Issuer = endpointA, endpointA+"/us-east-2_prd" },
		"FIPS and issuer": func(e *agent.Environment) {
			e.Endpoint, e.Issuer = "https://cognito-idp-fips.us-east-2.amazonaws.com", awsIssuer
		},
	} {
		t.Run(name, func(t *testing.T) {
			inPlace(t, change, func(f *fixture) {
				f.p.Set(func(r *agenttest.Rules) { r.Rotate = true })
				for range 3 {
					f.must()
					f.downgrade("")
					f.must()
					time.Sleep(2 * time.Hour)
					f.must()
					f.restart()
				}
				if n := f.logins(); n != 1 {
					t.Errorf("%d sign-ins", n)
				}
			})
		})
	}
}

// A changed issuer is in the record after the next refresh, so that a downgrade finds it.
func TestDowngradeAfterANewIssuer(t *testing.T) {
	inPlace(t, func(*agent.Environment) {}, func(f *fixture) {
		f.configure(func(e *agent.Environment) {
			e.Issuer = "https://issuer-cognito-idp.us-east-2.amazonaws.com/us-east-2_prd"
		})
		time.Sleep(2 * time.Hour)
		f.must()
		f.downgrade("")
		f.must()
	})
}

// TestCopiedRecord checks that a record is good under its own name only.
func TestCopiedRecord(t *testing.T) {
	for name, login := range map[string]agent.LoginRequest{
		"a sign-in":  {Environment: "prod", Username: agenttest.User, Password: agent.NewSecret(agenttest.Password)},
		"an API key": {Environment: "prod", APIKey: agent.NewSecret("sk_live_0123456789")},
	} {
		t.Run(name, func(t *testing.T) {
			p, st := agenttest.NewAuthenticator(), memory.New()
			config := agenttest.Config()
			config.Environments[0] = config.Environments[1]
			config.Environments[0].Name = "staging"
			a := agenttest.NewAgent(t, p, func(o *agent.Options) { o.Store, o.Config = st, config })
			if err := a.Login(t.Context(), login, nil); err != nil {
				t.Fatal(err)
			}
			data, err := st.Get(t.Context(), "prod")
			if err != nil {
				t.Fatal(err)
			}
			if err := st.Put(t.Context(), "staging", data); err != nil {
				t.Fatal(err)
			}
			_, err = a.Token(t.Context(), agent.TokenRequest{Environment: "staging"})
			if !errors.Is(err, agent.CodeLoginRequired) || !strings.Contains(err.Error(), "another environment") || p.Refreshes() != 0 {
				t.Errorf("%d calls, %v", p.Refreshes(), err)
			}
		})
	}
}

// TestRecordSize checks that the largest usual sign-in fits into every store.
func TestRecordSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := memory.New()
		env := agent.Environment{
			Name: "production-europe", Region: "ap-southeast-2", UserPoolID: "ap-southeast-2_AbCdEfGhI", ClientID: strings.Repeat("c", 26), APIURL: "https://x.example",
		}
		p := &longTokens{agenttest.NewAuthenticator()}
		p.Set(func(r *agenttest.Rules) {
			r.Username, r.RefreshAPI = strings.Repeat("u", 36), "initiate-auth"
		})
		a := agenttest.NewAgent(t, p, func(o *agent.Options) {
			o.Store, o.Config = st, agent.Config{Environments: []agent.Environment{env}, DefaultEnvironment: env.Name}
		})
		agenttest.Login(t, a, env.Name)
		data, err := st.Get(t.Context(), env.Name)
		if err != nil || len(data) > store.MaxValue {
			t.Errorf("%d bytes, %v", len(data), err)
		}
	})
}

// longTokens issues refresh tokens as long as Cognito's, and subjects, too.
type longTokens struct{ *agenttest.Authenticator }

func (p *longTokens) Login(ctx context.Context, env agent.Environment, req agent.LoginRequest, ask agent.Prompter) (agent.AuthResult, error) {
	res, err := p.Authenticator.Login(ctx, env, req, ask)
	res.SignIn.RefreshToken, res.SignIn.Subject = agent.NewSecret(strings.Repeat("t", 1800)), strings.Repeat("s", 36)
	return res, err
}
