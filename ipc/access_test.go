package ipc

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// withAccess is a service that hands out an access token of prod if it is asked for it.
func withAccess(access string) *scripted {
	return &scripted{
		status: hosted().status,
		token: func(_ context.Context, req agent.TokenRequest) (agent.Token, error) {
			t := fixture.Token("prod")
			if req.Type == agent.TypeAccess {
				t.AccessToken = agent.NewSecret(access)
			}
			return t, nil
		},
	}
}

// An access token is in the answer if it was asked for by name, and in no format or protocol
// whose reader would send it somewhere.
func TestAccessToken(t *testing.T) {
	ln := serveMem(t, withAccess("acc.e.ss"))
	get := func(query string) answer {
		return ask(t, ln, rawRequest(http.MethodGet, "/v1/token?env=prod"+query, "", textPlain))
	}
	if a := get("&type=access"); a.StatusCode != http.StatusOK || a.body != "acc.e.ss\n" {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
	if a := get("&type=access&format=json"); !strings.Contains(a.body, `{"token":"`+fixture.JWT+`",`) || !strings.HasSuffix(a.body, `,"access_token":"acc.e.ss"}`+"\n") {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
	for _, query := range []string{"", "&type=id", "&type=", "&format=json", "&format=curl"} {
		if a := get(query); a.StatusCode != http.StatusOK || strings.Contains(a.body, "acc") {
			t.Errorf("%s: %d %q", query, a.StatusCode, a.body)
		}
	}
	for _, format := range []string{"header", "curl", "env", "k8s", "google", "aws"} {
		if a := get("&type=access&format=" + format); a.StatusCode != http.StatusBadRequest || strings.Contains(a.body, "acc.e.ss") {
			t.Errorf("%s: %d %q", format, a.StatusCode, a.body)
		}
	}
	if a := ask(t, ln, helperRequestOf("exec?type=access", "", textPlain)); a.StatusCode != http.StatusBadRequest {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}

	c := &Client{Dial: ln.Dial}
	got, err := c.Token(t.Context(), agent.TokenRequest{Environment: "prod", Type: agent.TypeAccess})
	if err != nil || got.AccessToken.Reveal() != "acc.e.ss" || got.IDToken.Reveal() != fixture.JWT {
		t.Errorf("%+v %v", got, err)
	}
	got, err = c.Token(t.Context(), agent.TokenRequest{Environment: "prod"})
	if err != nil || !got.AccessToken.IsZero() {
		t.Errorf("%+v %v", got, err)
	}
}

// The socket for forwarding never has it, nor does an answer that a header could not carry.
func TestAccessTokenRefused(t *testing.T) {
	ln := serveMem(t, agent.Restrict(withAccess("acc.e.ss"), "prod"))
	a := ask(t, ln, rawRequest(http.MethodGet, "/v1/token?env=prod&type=access", "", textPlain))
	if a.StatusCode != http.StatusForbidden || !strings.HasPrefix(a.body, "access tokens are not for this socket") {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
	a = ask(t, serveMem(t, withAccess("a\r\nX: y")), rawRequest(http.MethodGet, "/v1/token?env=prod&type=access", "", textPlain))
	if a.StatusCode != http.StatusInternalServerError || strings.Contains(a.body, "X: y") {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
	// An agent that answers with something else than was asked for is not trusted.
	body := `{"token":"a.b.c","expires_at":"2030-01-02T03:04:05Z","environment":"prod"}`
	_, err := answering(t, rawResponse("200 OK", wire.MediaJSON, body)).Token(t.Context(), agent.TokenRequest{Type: agent.TypeAccess})
	fixture.WantError(t, err, agent.CodeInternal, "does not speak like kyc-agentd")
}
