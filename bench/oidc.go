package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
)

// oidcToken sets up oidc-agent with one account at a simulated provider. The provider is
// asked only once, so the cached access token is timed.
func (h *harness) oidcToken(ctx context.Context) (*candidate, error) {
	agent, token, err := lookPaths("oidc-agent", "oidc-token")
	if err != nil {
		return nil, err
	}
	provider := newProvider()
	h.cleanup = append(h.cleanup, provider.Close)
	ca := h.path("oidc-ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: provider.Certificate().Raw}
	if err := os.WriteFile(ca, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, err
	}
	// oidc-agent does not make the parent of its folder.
	if err := os.MkdirAll(h.path(".config"), 0o700); err != nil {
		return nil, err
	}
	socket := h.path("oidc.sock")
	cmd := exec.CommandContext(ctx, agent, "--console", "--no-autoreauthenticate", "--socket-path="+socket)
	cmd.Env = h.environ()
	c, err := h.start(cmd, "oidc-agent")
	if err != nil {
		return nil, err
	}
	if err := c.awaitSocket(ctx, socket); err != nil {
		return nil, h.withLog(err, "oidc-agent")
	}
	env := h.environ("OIDC_SOCK="+socket, "PW=bench")
	gen := exec.CommandContext(ctx, "oidc-gen", "bench", "--manual", "--issuer", provider.URL,
		"--client-id", "bench", "--client-secret", "bench", "--redirect-uri", "http://localhost:4242",
		"--flow=password", "--op-username", user, "--op-password", password, "--scope", "openid offline_access",
		"--cp", ca, "--pw-env=PW", "--prompt=none", "--confirm-default", "--no-url-call")
	gen.Env = env
	if _, err := output(gen); err != nil {
		return nil, err
	}
	return &candidate{argv: []string{token, "bench"}, env: env, want: accessToken}, nil
}

const accessToken = "an-access-token-of-the-bench"

// newProvider starts an OpenID provider with only what oidc-agent needs: discovery, and
// a token endpoint that accepts everything.
func newProvider() *httptest.Server {
	mux := http.NewServeMux()
	srv := httptest.NewUnstartedServer(mux)
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		sendJSON(w, map[string]any{
			"issuer": srv.URL, "token_endpoint": srv.URL + "/token", "authorization_endpoint": srv.URL + "/authorize",
			"jwks_uri": srv.URL + "/jwks", "scopes_supported": []string{"openid", "offline_access"},
			"grant_types_supported":    []string{"password", "refresh_token"},
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
			"id_token_signing_alg_values_supported": []string{"RS256"},
		})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, _ *http.Request) {
		sendJSON(w, map[string]any{
			"access_token": accessToken, "token_type": "Bearer", "expires_in": 3600,
			"refresh_token": "a-refresh-token-of-the-bench", "scope": "openid offline_access",
		})
	})
	srv.StartTLS()
	return srv
}

func sendJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
