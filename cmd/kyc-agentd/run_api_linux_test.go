package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// An apiFixture has an API that answers with what it was sent, and with whose token.
func apiFixture(t *testing.T) *fixture {
	t.Helper()
	h := newFixture(t)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s token=%t\n", r.Method, r.RequestURI, body, strings.HasPrefix(r.Header.Get("Authorization"), "Bearer eyJ"))
	}))
	t.Cleanup(api.Close)
	h.env = append(h.env, "KYC_STAGING_API_URL="+api.URL)
	return h
}

// apiOnly runs a command of a shell under `run --api-only`.
func (h *fixture) apiOnly(script string, args ...string) outcome {
	h.t.Helper()
	cmd := kycAgentd(append(append([]string{"run", "--api-only"}, args...), "--", "sh", "-c", script)...)
	cmd.Env, cmd.Dir = h.env, h.t.TempDir()
	return h.run("", cmd)
}

const callAPI = `curl -sS -H "Authorization: Bearer $KYC_TOKEN" "$KYC_API_URL/kyc?x=1" -d '{}'; `

func TestRunAPIOnly(t *testing.T) {
	h := apiFixture(t)
	h.daemon("--store", "memory")
	h.login()
	got := h.apiOnly(callAPI + `env | grep ^KYC_ | sed 's/=.*//' | sort; exit 5`)
	if want := "POST /kyc?x=1 {} token=true\nKYC_API_URL\nKYC_ENV\nKYC_TOKEN\n"; got.exit != 5 || got.out != want || got.errOut != "" {
		t.Errorf("%+v, want %q", got, want)
	}
}

func TestRunSandboxed(t *testing.T) {
	testpeer.Program(t, "bwrap", "bubblewrap")
	h := apiFixture(t)
	h.daemon("--store", "memory")
	h.login()
	got := h.apiOnly(callAPI+`env | grep ^KYC_ | sed 's/=.*//' | sort; exit 5`, "--sandbox")
	if want := "POST /kyc?x=1 {} token=true\nKYC_API_URL\nKYC_ENV\nKYC_TOKEN\n"; got.exit != 5 || got.out != want || got.errOut != "" {
		t.Errorf("%+v, want %q", got, want)
	}
}
