package daemon

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/audit"
	"github.com/legaltalent/kyc-agent/agent/sink"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/ipc/format"
)

// settleWithin is how long a logout waits for the token files.
const settleWithin = 5 * time.Second

// newSinks returns the token files, none of which is configured yet. A daemon that leaves
// them to another one does not touch what that one has noted, either.
func (d *daemon) newSinks() *sink.Manager {
	o := sink.Options{Token: d.token, Render: format.Render, Issued: d.issued, Logger: d.log}
	if !d.opts.NoSinks {
		o.State = config.StateDir(d.opts.Vars)
	}
	return sink.New(o)
}

// token is for the token files, which are made before the agent.
func (d *daemon) token(ctx context.Context, req agent.TokenRequest) (agent.Token, error) {
	t, err := d.agent.Token(ctx, req)
	if err != nil {
		return t, err
	}
	return t, d.audit.Record(ctx, audit.Event{Kind: audit.Sink, Environment: t.Environment, User: t.User, Token: t.IDToken})
}

// Logout returns when the token files are gone as well. The status has those that are not.
func (s service) Logout(ctx context.Context, req agent.LogoutRequest) error {
	if s.daemon.lock.isLocked() {
		return s.daemon.lock.forget(ctx, req)
	}
	err := s.Agent.Logout(ctx, req)
	if st, statusErr := s.Agent.Status(ctx); req.Environment == "" && statusErr == nil {
		req.Environment = st.DefaultEnvironment
	}
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleWithin)
	defer cancel()
	s.daemon.sinks.Settle(settling, req.Environment)
	return err
}

// issued reports whether token says of itself that it is an ID token for the environment. It
// is not verified: the question is whose file it is in.
func (d *daemon) issued(environment, token string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	var claims struct {
		Issuer   string `json:"iss"`
		Audience string `json:"aud"`
		Use      string `json:"token_use"`
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil || claims.Use != "id" {
		return false
	}
	return slices.ContainsFunc(*d.environments.Load(), func(e agent.Environment) bool {
		return e.Name == environment && e.ClientID == claims.Audience && slices.Contains(e.Issuers(), claims.Issuer)
	})
}
