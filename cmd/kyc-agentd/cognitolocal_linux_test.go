package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitolocal"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/auto"
	"github.com/legaltalent/kyc-agent/store/file"
	"github.com/legaltalent/kyc-agent/store/keyring/keyringtest"
)

// The tests of this file run the shipped binaries against cognito-local, a Cognito
// that nobody of this project wrote.

const (
	peerUser     = "ada@example.com"
	peerPassword = "Correct-horse-7"
)

func startPeer(t *testing.T, lifetime time.Duration) *cognitolocal.Server {
	return cognitolocal.Start(t, cognitolocal.Options{
		IDTokenLifetime: lifetime,
		Users:           []cognitolocal.User{{Name: peerUser, Password: peerPassword}},
	})
}

func peerSite(t *testing.T, srv *cognitolocal.Server) *binaries {
	return newBinaries(t, srv.URL, srv.PoolID, srv.ClientID)
}

// expiry reads the exp of a token; its signature is the daemon's business.
func expiry(t *testing.T, token string) time.Time {
	t.Helper()
	parsed, err := jwt.ParseSigned(strings.TrimSpace(token), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatalf("not a token: %v", err)
	}
	var c jwt.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&c); err != nil {
		t.Fatal(err)
	}
	return c.Expiry.Time()
}

// TestExpiryCrossed has a client ask in a loop while ID tokens live for 10 seconds,
// until five of the tokens it was given are dead: no request failed meanwhile, and
// none got a dead one.
func TestExpiryCrossed(t *testing.T) {
	testpeer.Slow(t)
	t.Parallel()
	s := peerSite(t, startPeer(t, 10*time.Second))
	s.start("--store", "memory")
	s.login("prod", peerUser, peerPassword)
	ends := make(map[string]time.Time)
	asked := 0
	tokens := testpeer.Rounds(2, 5)
	for tick := time.NewTicker(50 * time.Millisecond); dead(ends) < tokens; <-tick.C {
		token := s.must("kyc-token", "prod")
		ends[token] = expiry(t, token)
		if left := time.Until(ends[token]); left <= 0 {
			t.Fatalf("a token that is dead for %s", -left)
		}
		asked++
	}
	t.Logf("%d requests, %d tokens of 10 s, no failure", asked, len(ends))
}

func dead(ends map[string]time.Time) (n int) {
	for _, end := range ends {
		if time.Now().After(end) {
			n++
		}
	}
	return n
}

// TestRestart keeps a sign-in over a restart of the daemon, in each lasting store.
func TestRestart(t *testing.T) {
	testpeer.Slow(t)
	for kind, use := range map[string]func(*binaries){
		"file":    (*binaries).fileStore,
		"keyring": (*binaries).realKeyring,
	} {
		t.Run(kind, func(t *testing.T) {
			s := peerSite(t, startPeer(t, time.Hour))
			use(s)
			p := s.start("--store", kind)
			s.login("prod", peerUser, peerPassword)
			first := s.must("kyc-token", "prod")
			p.stop()
			p = s.start("--store", kind)
			second := s.must("kyc-token", "prod")
			expiry(t, second)
			if first == second {
				t.Error("the ID token outlived the daemon: only the refresh token may be kept")
			}
			p.kill()
			s.start("--store", kind)
			s.must("kyc-token", "prod")
			if out := s.must("kyc-agentd", "status"); !strings.Contains(out, kind) || !strings.Contains(out, peerUser) {
				t.Errorf("status: %s", out)
			}
		})
	}
}

// realKeyring gives the binaries a session bus with an unlocked gnome-keyring.
func (s *binaries) realKeyring() {
	s.t.Helper()
	s.env = append(s.env, keyringtest.Start(s.t, keyringtest.Unlocked).Env()...)
	// The agent's own files stay below s.dir, where a test looks for secrets.
	s.env = append(s.env, "HOME="+s.dir, "XDG_RUNTIME_DIR="+filepath.Join(s.dir, "run"), "XDG_STATE_HOME="+filepath.Join(s.dir, ".local", "state"))
}

// TestRevokedElsewhere revokes the refresh token at the Cognito behind the agent's
// back: the agent must say "sign in again", and nothing else may be lost.
func TestRevokedElsewhere(t *testing.T) {
	srv := startPeer(t, time.Hour)
	s := peerSite(t, srv)
	s.fileStore()
	p := s.start()
	s.login("prod", peerUser, peerPassword)
	s.login("staging", peerUser, peerPassword)
	p.stop()
	revoke(t, srv, s.refreshToken("prod"))
	s.start()
	exit, out, errOut := s.run("", "kyc-token", "prod")
	if exit != 77 || out != "" || !strings.Contains(errOut, "run: kyc-agentd login prod") {
		t.Errorf("exit %d, stdout %q, stderr %q", exit, out, errOut)
	}
	s.must("kyc-token", "staging")
	s.login("prod", peerUser, peerPassword)
	s.must("kyc-token", "prod")
}

// TestLogoutRevokes shows that a refresh token is worth nothing after logout.
func TestLogoutRevokes(t *testing.T) {
	srv := startPeer(t, time.Hour)
	s := peerSite(t, srv)
	s.fileStore()
	p := s.start()
	s.login("prod", peerUser, peerPassword)
	p.stop()
	token := s.refreshToken("prod")
	s.start()
	if status := call(t, srv, "InitiateAuth", refreshWith(srv, token)); status != http.StatusOK {
		t.Fatalf("before logout the refresh token gets %d", status)
	}
	s.must("kyc-agentd", "logout", "prod")
	if status := call(t, srv, "InitiateAuth", refreshWith(srv, token)); status != http.StatusBadRequest {
		t.Errorf("after logout the refresh token gets %d", status)
	}
	if exit, _, _ := s.run("", "kyc-token", "prod"); exit != 77 {
		t.Errorf("kyc-token exits %d after logout", exit)
	}
}

// refreshToken reads the refresh token of a stopped daemon out of its file store.
func (s *binaries) refreshToken(env string) string {
	s.t.Helper()
	ids, _, err := file.FindIdentity(func(string) string { return "" }, filepath.Join(s.dir, "store.key"))
	if err != nil {
		s.t.Fatal(err)
	}
	st, err := file.Open(filepath.Join(s.dir, ".local", "state", "kyc-agent"), ids...)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = auto.Close(st) }()
	var record struct {
		RefreshToken string `json:"refresh_token"`
	}
	data, err := store.Store(st).Get(s.t.Context(), env)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := json.Unmarshal(data, &record); err != nil || record.RefreshToken == "" {
		s.t.Fatalf("no refresh token in the record: %v", err)
	}
	return record.RefreshToken
}

func refreshWith(srv *cognitolocal.Server, token string) map[string]any {
	return map[string]any{
		"AuthFlow": "REFRESH_TOKEN_AUTH", "ClientId": srv.ClientID,
		"AuthParameters": map[string]string{"REFRESH_TOKEN": token},
	}
}

func revoke(t *testing.T, srv *cognitolocal.Server, token string) {
	t.Helper()
	if status := call(t, srv, "RevokeToken", map[string]any{"ClientId": srv.ClientID, "Token": token}); status != http.StatusOK {
		t.Fatalf("RevokeToken answers %d", status)
	}
}

// call makes one call of Cognito's API and returns the status.
func call(t *testing.T, srv *cognitolocal.Server, op string, in any) int {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, srv.URL, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", fmt.Sprintf("AWSCognitoIdentityProviderService.%s", op))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}
