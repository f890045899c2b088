package ipc

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

// Cognito has a minute for each answer. Neither end of the socket gives up what is still going
// on there.
func TestNobodyGivesUpBeforeCognito(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work := func(ctx context.Context, takes time.Duration) error {
			select {
			case <-time.After(takes):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		c := &Client{Dial: serveMem(t, &scripted{
			// A password, a factor, a device and its password; a hiccup before each.
			login: func(ctx context.Context, _ agent.LoginRequest, _ agent.Prompter) error {
				return work(ctx, 4*70*time.Second+4*time.Minute)
			},
			recover: func(ctx context.Context, _ agent.RecoverRequest, _ agent.Prompter) error {
				return work(ctx, 6*time.Minute)
			},
			// A refresh that takes 55 s and is tried again, and the sign-out.
			logout: func(ctx context.Context, _ agent.LogoutRequest) error { return work(ctx, 2*time.Minute+50*time.Second) },
		}).Dial}
		for what, err := range map[string]error{
			"login":   c.Login(t.Context(), agent.LoginRequest{Username: "ana"}, nil),
			"recover": c.Recover(t.Context(), agent.RecoverRequest{Username: "ana"}, nil),
			"logout":  c.Logout(t.Context(), agent.LogoutRequest{Scope: agent.LogoutAllDevices}),
		} {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}
