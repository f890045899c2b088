package main

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

// A sign-in for a limited time is revoked and forgotten when that is over, by the next daemon,
// too, without any request, and after a lock; and no token outlives it.
func TestLoginForALimitedTime(t *testing.T) {
	for name, between := range map[string]func(*binaries, *daemonProcess){
		"":          func(*binaries, *daemonProcess) {},
		"restart":   func(s *binaries, p *daemonProcess) { p.stop(); s.start() },
		"kill":      func(s *binaries, p *daemonProcess) { p.kill(); s.start() },
		"lock":      func(s *binaries, _ *daemonProcess) { s.must("kyc-agentd", "lock"); s.unlock() },
		"new login": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, srv := newSignedIn(t)
			s.fileStore()
			p := s.start()
			s.setPassphrase()
			err := s.client().Login(within(t, 10*time.Second), agent.LoginRequest{
				Environment: "prod", Username: "ada", Password: agent.NewSecret("Plum-stone-41"), For: 8 * time.Second,
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			token, err := s.client().Token(within(t, 10*time.Second), agent.TokenRequest{Environment: "prod"})
			if err != nil || time.Until(token.ExpiresAt) > 8*time.Second {
				t.Fatalf("a token until %s: %v", token.ExpiresAt, err)
			}
			if between == nil {
				s.login("prod", "ada", "Plum-stone-41")
				<-time.After(9 * time.Second)
				s.must("kyc-token", "prod")
				return
			}
			between(s, p)
			awaitState(t, "the end of the sign-in", func() bool { return srv.LiveSignIns() == 0 })
			_, err = s.client().Token(within(t, 10*time.Second), agent.TokenRequest{Environment: "prod"})
			if !errors.Is(err, agent.CodeLoginRequired) {
				t.Errorf("a token afterwards: %v", err)
			}
			awaitState(t, "an empty store", func() bool {
				left, _ := filepath.Glob(filepath.Join(s.dir, ".local/state/kyc-agent/prod*.age"))
				return len(left) == 0
			})
		})
	}
}
