package cognito_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/store/memory"
)

// A hostFixture is a host with a real agent, which uses a pool of cognitotest.
type hostFixture struct {
	*agent.Agent
	srv   *cognitotest.Server
	store *memory.Store
	wire  *wire // records every refresh token that the pool issues to this host
}

// newHostFixture starts an agent, in a synctest bubble, and signs ada in.
func newHostFixture(t *testing.T, srv *cognitotest.Server) *hostFixture {
	t.Helper()
	h := &hostFixture{srv: srv, store: memory.New(), wire: &wire{base: srv.Client().Transport}}
	h.start(t)
	if err := h.Login(t.Context(), ada(), unasked(t)); err != nil {
		t.Fatal(err)
	}
	return h
}

// start starts the agent with the current store.
func (h *hostFixture) start(t *testing.T) {
	t.Helper()
	p := cognito.New(cognito.Options{HTTPClient: &http.Client{Transport: h.wire}})
	h.Agent = agenttest.NewAgent(t, p, func(o *agent.Options) {
		o.Store = h.store
		o.Config = agent.Config{Environments: []agent.Environment{environment(h.srv)}, DefaultEnvironment: "prod"}
	})
}

// restart stops the agent and starts another with the same store.
func (h *hostFixture) restart(t *testing.T) {
	t.Helper()
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.start(t)
}

// refresh makes the agent refresh once, ten minutes later.
func (h *hostFixture) refresh(t *testing.T) error {
	t.Helper()
	time.Sleep(10 * time.Minute)
	_, err := h.Token(t.Context(), agent.TokenRequest{MinValid: time.Hour - time.Minute})
	return err
}

func (h *hostFixture) mustRefresh(t *testing.T, times int) {
	t.Helper()
	for range times {
		if err := h.refresh(t); err != nil {
			t.Fatal(err)
		}
	}
}

// loseLive rotates the refresh token and loses the answers with the new tokens until the agent
// gives up. The token that it has then is not the live one, and after an earlier rotation not the
// first one either.
func (h *hostFixture) loseLive(t *testing.T) {
	t.Helper()
	before := len(h.family())
	h.wire.losing(true)
	if err := h.refresh(t); err == nil {
		t.Fatal("a lost answer had a token in it")
	}
	h.wire.losing(false)
	if len(h.family()) == before {
		t.Fatal("nothing was lost")
	}
}

func (w *wire) losing(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose = on
}

// family returns every refresh token that was issued to this host, oldest first, including lost ones.
func (h *hostFixture) family() []string {
	h.wire.mu.Lock()
	defer h.wire.mu.Unlock()
	return slices.Clone(h.wire.issued)
}

// sentTokens returns the refresh tokens in the calls that arrived, each once, oldest first.
func sentTokens(srv *cognitotest.Server) []string {
	var list []string
	for _, c := range srv.Log() {
		var in struct {
			AuthParameters      struct{ REFRESH_TOKEN string }
			RefreshToken, Token string
		}
		_ = json.Unmarshal(c.Body, &in)
		for _, token := range []string{in.AuthParameters.REFRESH_TOKEN, in.RefreshToken, in.Token} {
			if token != "" && !slices.Contains(list, token) {
				list = append(list, token)
			}
		}
	}
	return list
}

// byBoth tries to refresh a token with both calls, and returns their answers.
func byBoth(t *testing.T, srv *cognitotest.Server, token string) [2]answer {
	t.Helper()
	return [2]answer{
		post(t, srv.Client(), srv.URL, initiateAuth, map[string]any{
			"ClientId": srv.ClientID, "AuthFlow": "REFRESH_TOKEN_AUTH", "AuthParameters": map[string]string{"REFRESH_TOKEN": token},
		}),
		post(t, srv.Client(), srv.URL, tokens, map[string]any{"ClientId": srv.ClientID, "RefreshToken": token}),
	}
}

// wantDead checks that neither call refreshes any token of a family. It checks with the pool's
// settings and with rotation off, because with rotation the older call refuses every token.
func wantDead(t *testing.T, srv *cognitotest.Server, family []string) {
	t.Helper()
	for i, token := range family {
		for _, a := range byBoth(t, srv, token) {
			if a.Code != "NotAuthorizedException" || a.AuthenticationResult.IdToken != "" {
				t.Errorf("token %d of %d: %s", i+1, len(family), a)
			}
		}
	}
	srv.Set(cognitotest.NoRotation())
	for i, token := range family {
		for _, a := range byBoth(t, srv, token) {
			if a.Message != "Refresh Token has been revoked" {
				t.Errorf("token %d of %d, rotation off: %s", i+1, len(family), a)
			}
		}
	}
}

// wantAlive checks that the newest token of a family can be refreshed.
func wantAlive(t *testing.T, srv *cognitotest.Server, family []string) {
	t.Helper()
	if a := byBoth(t, srv, family[len(family)-1])[1]; a.AuthenticationResult.IdToken == "" {
		t.Errorf("the live token: %s", a)
	}
}

// String returns an answer without its secrets.
func (a answer) String() string {
	if a.AuthenticationResult.IdToken != "" {
		return "refreshed"
	}
	return a.Code + ": " + a.Message
}

// A familyPoolKind is a pool with rotation on or off.
type familyPoolKind struct {
	name    string
	options []cognitotest.Option
	rotates bool
}

var familyPools = []familyPoolKind{
	{"no rotation", nil, false},
	{"rotation", []cognitotest.Option{cognitotest.Rotation(0)}, true},
	{"rotation with 60 s of grace", []cognitotest.Option{cognitotest.Rotation(time.Minute)}, true},
}

// open starts a pool of the kind, in a synctest bubble, with the user ada.
func (pool familyPoolKind) open(t *testing.T) *cognitotest.Server {
	t.Helper()
	srv := cognitotest.NewInMemory(pool.options...)
	t.Cleanup(srv.Close)
	srv.AddUser(cognitotest.User{Name: username, Password: password})
	return srv
}

// TestFamily checks that after a logout no token of the family can be refreshed, even if there were
// many and the live one was lost. After a local logout, without a revocation, the live one can.
func TestFamily(t *testing.T) {
	for _, pool := range familyPools {
		for _, test := range []familyTest{
			{name: "at once"},
			{name: "refreshed", refreshes: 4},
			{name: "after a restart", refreshes: 4, restart: true},
			{name: "live token lost", refreshes: 4, lost: true},
			{name: "live token lost, after a restart", refreshes: 4, lost: true, restart: true},
			{name: "live token lost at the first rotation", lost: true},
		} {
			if test.lost && !pool.rotates {
				continue // there is but one token
			}
			t.Run(pool.name+", "+test.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { test.run(t, pool, agent.LogoutHere) })
			})
			t.Run(pool.name+", "+test.name+", local", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { test.run(t, pool, agent.LogoutLocal) })
			})
		}
	}
}

// A familyTest describes what happens before a logout.
type familyTest struct {
	name      string
	refreshes int
	lost      bool // the live token
	restart   bool // of the agent
}

func (test familyTest) run(t *testing.T, pool familyPoolKind, scope agent.LogoutScope) {
	srv := pool.open(t)
	h := newHostFixture(t, srv)
	h.mustRefresh(t, test.refreshes)
	pool.wantTokens(t, h, test.refreshes)
	if test.lost {
		h.loseLive(t)
	}
	if test.restart {
		h.restart(t)
	}
	if err := h.Logout(t.Context(), agent.LogoutRequest{Scope: scope}); err != nil {
		t.Error(err)
	}
	h.wantNothingLeft(t)
	if scope == agent.LogoutLocal {
		wantUntouched(t, srv)
		wantAlive(t, srv, h.family())
		return
	}
	if sent := sentTokens(srv); !test.lost && !slices.Equal(sent, h.family()) {
		t.Errorf("%d tokens arrived at the pool, which are not the %d of the family", len(sent), len(h.family()))
	}
	wantDead(t, srv, h.family())
}

// TestFamilies checks what a logout on one host does to the same user's sign-in on another.
func TestFamilies(t *testing.T) {
	for _, pool := range familyPools {
		t.Run(pool.name, func(t *testing.T) {
			for scope, f := range map[agent.LogoutScope]func(*testing.T, *cognitotest.Server, *hostFixture, *hostFixture){
				agent.LogoutHere: func(t *testing.T, srv *cognitotest.Server, here, there *hostFixture) {
					wantAlive(t, srv, there.family())
					wantDead(t, srv, here.family())
				},
				agent.LogoutLocal: func(t *testing.T, srv *cognitotest.Server, here, there *hostFixture) {
					wantUntouched(t, srv)
					wantAlive(t, srv, there.family())
					wantAlive(t, srv, here.family())
				},
				agent.LogoutAllDevices: func(t *testing.T, srv *cognitotest.Server, here, there *hostFixture) {
					if err := there.refresh(t); !errors.Is(err, agent.CodeLoginRequired) {
						t.Errorf("the other host refreshed: %v", err)
					}
					wantDead(t, srv, slices.Concat(here.family(), there.family()))
				},
			} {
				t.Run("logout "+cmp.Or(string(scope), "here"), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						srv := pool.open(t)
						here, there := pool.twoHosts(t, srv)
						if err := here.Logout(t.Context(), agent.LogoutRequest{Scope: scope}); err != nil {
							t.Error(err)
						}
						here.wantNothingLeft(t)
						f(t, srv, here, there)
					})
				})
			}
		})
	}
}

// TestFamiliesLost checks that without the live token a logout elsewhere is an error, and that this
// sign-in ends nevertheless.
func TestFamiliesLost(t *testing.T) {
	for _, pool := range familyPools {
		if !pool.rotates {
			continue
		}
		t.Run(pool.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := pool.open(t)
				here, there := pool.twoHosts(t, srv)
				here.loseLive(t)
				here.wire.losing(true)      // the agent tries again by itself
				time.Sleep(2 * time.Minute) // beyond the grace period
				here.wire.losing(false)
				err := here.Logout(t.Context(), agent.LogoutRequest{Scope: agent.LogoutAllDevices})
				wantError(t, err, agent.CodeLoginRequired, "signed out here, but not elsewhere", "kyc-agentd logout --all-devices prod")
				here.wantNothingLeft(t)
				wantAlive(t, srv, there.family())
				wantDead(t, srv, here.family())
			})
		})
	}
}

func (pool familyPoolKind) twoHosts(t *testing.T, srv *cognitotest.Server) (here, there *hostFixture) {
	t.Helper()
	const refreshes = 3
	here, there = newHostFixture(t, srv), newHostFixture(t, srv)
	for _, h := range []*hostFixture{here, there} {
		h.mustRefresh(t, refreshes)
		pool.wantTokens(t, h, refreshes)
	}
	return here, there
}

// wantTokens checks the number of tokens in a family after a number of refreshes.
func (pool familyPoolKind) wantTokens(t *testing.T, h *hostFixture, refreshes int) {
	t.Helper()
	want := 1
	if pool.rotates {
		want += refreshes
	}
	if got := len(h.family()); got != want {
		t.Fatalf("the family has %d tokens, want %d", got, want)
	}
}

// wantUntouched checks that no sign-in was ended at the pool.
func wantUntouched(t *testing.T, srv *cognitotest.Server) {
	t.Helper()
	if n := srv.Calls("RevokeToken") + srv.Calls("GlobalSignOut"); n != 0 {
		t.Errorf("a local logout made %d calls that end sign-ins", n)
	}
}

// wantNothingLeft checks that a host has no data of its sign-in any more.
func (h *hostFixture) wantNothingLeft(t *testing.T) {
	t.Helper()
	if _, err := h.Token(t.Context(), agent.TokenRequest{}); !errors.Is(err, agent.CodeLoginRequired) {
		t.Errorf("a token after the logout: %v", err)
	}
	if keys, err := h.store.Keys(t.Context()); err != nil || len(keys) != 0 {
		t.Errorf("the store has %v, %v", keys, err)
	}
}
