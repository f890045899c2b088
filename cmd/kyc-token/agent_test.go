package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// A service is an agent with one token or one error.
type service struct {
	agent.Service
	token agent.Token
	err   error
	got   agent.TokenRequest
}

func (s *service) Token(_ context.Context, req agent.TokenRequest) (agent.Token, error) {
	s.got = req
	return s.token, s.err
}

func someToken() agent.Token {
	return agent.Token{
		Environment: "prod",
		IDToken:     agent.NewSecret("eyJ.e30.c2ln"),
		ExpiresAt:   time.Now().Add(time.Hour),
		APIURL:      "https://kyc.legaltalent.ai",
	}
}

// serve runs the real server of the socket API until the test ends.
func serve(t *testing.T, s agent.Service) (path string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "agent.sock")
	ln, err := socket.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- (&ipc.Server{Service: s}).Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return path
}

func TestRealServer(t *testing.T) {
	s := &service{token: someToken()}
	path := serve(t, s)
	run(t, nil, "-socket", path, "-min-valid", "90", "prod").wantSuccess(t, "eyJ.e30.c2ln\n")
	if want := (agent.TokenRequest{Environment: "prod", MinValid: 90 * time.Second}); s.got != want {
		t.Errorf("asked for %+v, want %+v", s.got, want)
	}
	run(t, nil, "-socket", path, "-f", "header").wantSuccess(t, "Authorization: Bearer eyJ.e30.c2ln\n")
	run(t, nil, "-socket", path, "-f", "curl").wantSuccess(t, "oauth2-bearer = \"eyJ.e30.c2ln\"\n"+allowed)
	if o := run(t, nil, "-socket", path, "-f", "json"); o.exit != 0 || !strings.Contains(o.stdout, `"token":"eyJ.e30.c2ln"`) {
		t.Errorf("json: %+v", o)
	}
	run(t, nil, "-socket", path, "-f", "yaml").wantFailure(t, exitUsage, "", "yaml", "token, header, curl, json")
	run(t, nil, "-socket", path, "-min-valid", "soon").wantFailure(t, exitUsage, "", "soon")
	run(t, nil, "-socket", path, "-f", "curl", "-min-valid", "soon").wantFailure(t, exitUsage, failClosed, "soon")
}

func TestRealServerFails(t *testing.T) {
	for code, exit := range map[agent.Code]int{
		agent.CodeUsage: 64, agent.CodeLoginRequired: 77, agent.CodeDenied: 77, agent.CodeUnknownEnvironment: 78,
		agent.CodeConfiguration: 78, agent.CodeLocked: 77, agent.CodeThrottled: 75, agent.CodeInternal: 70,
		agent.CodeUnavailable: 75,
	} {
		path := serve(t, &service{err: &agent.Error{Code: code, Environment: "prod", Message: "cause", Hint: "run: this"}})
		run(t, nil, "-socket", path, "prod").wantFailure(t, exit, "", "kyc-token: prod: cause; run: this\n")
		run(t, nil, "-socket", path, "-f=curl").wantFailure(t, exit, failClosed, "cause")
	}
}

// The client and the agent must look in the same place.
func TestSocketIsWhereTheAgentListens(t *testing.T) {
	for _, env := range [][]string{
		nil, {"XDG_RUNTIME_DIR", "/r"}, {"XDG_RUNTIME_DIR", "r"}, {"XDG_RUNTIME_DIR", "/r/"},
		{"KYC_AGENT_SOCK", "/s", "XDG_RUNTIME_DIR", "/r"}, {"KYC_AGENT_SOCK", ""},
	} {
		p := process{uid: os.Getuid()}
		environ(env...)(&p)
		got, err := p.socket(options{})
		if want := socket.Path(p.getenv); err != nil || filepath.Clean(got.path) != want {
			t.Errorf("%q: %q, %v; the agent says %q", env, got, err, want)
		}
	}
}
