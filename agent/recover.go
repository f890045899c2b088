package agent

import (
	"context"
	"time"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// Recover recovers an account at the provider, or changes its password. The stored sign-in
// stays as it is.
func (a *Agent) Recover(ctx context.Context, req RecoverRequest, ask Prompter) error {
	s, err := a.session("recover", req.Environment)
	if err != nil {
		return err
	}
	if err := s.checkRecover(req); err != nil {
		return err
	}
	req.Environment = s.name
	started := time.Now()
	call := func(ask Prompter) error { return a.auth.Recover(ctx, s.environment(), req, ask) }
	if req.Action == RecoverChange {
		err = s.guarded(ctx, "recover", req.Username, ask, call)
	} else {
		err = call(ask)
	}
	log := a.log.With("op", "recover", "action", string(req.Action), "env", s.name, "duration", time.Since(started).Round(time.Millisecond))
	if err != nil {
		e := s.wrap("recover", err)
		log.Warn("account not recovered", "code", string(e.Code), "error", e.Error(), "cause", causeOf(e))
		return e
	}
	log.Info("account recovered")
	return nil
}

func (s *session) checkRecover(req RecoverRequest) error {
	switch req.Action {
	case RecoverReset, RecoverConfirm, RecoverResend:
	case RecoverChange:
		if req.Password.IsZero() {
			return s.errorf("recover", CodeUsage, "changing the password needs the present one")
		}
	default:
		return s.errorf("recover", CodeUsage, "unknown action %q; there are: %s, %s, %s, %s", sanitize.Cut(string(req.Action), maxQuoted),
			RecoverReset, RecoverChange, RecoverConfirm, RecoverResend)
	}
	if req.Username == "" {
		return s.errorf("recover", CodeUsage, "%s needs a user name", req.Action)
	}
	return nil
}
