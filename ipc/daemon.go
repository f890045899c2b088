package ipc

import (
	"context"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// A Daemon is the process around an agent, as far as its owner has to do with it.
type Daemon interface {
	// Restart makes the installed program take over in this process, after the request was
	// answered. After an error nothing has changed.
	Restart(ctx context.Context) error
	// Lock locks all sign-ins with the passphrase. If for is not 0, no passphrase unlocks
	// before that time is over.
	Lock(ctx context.Context, min time.Duration) error
	// Unlock unlocks them.
	Unlock(ctx context.Context, p Passphrase) error
	// SetPassphrase makes next the passphrase. Of old, the one that there is, only an empty
	// secret is right if there is none.
	SetPassphrase(ctx context.Context, old Passphrase, next agent.Secret) error
}

// A Passphrase is one that a process has sent.
type Passphrase struct {
	Secret agent.Secret
	PID    int // of that process; 0 if it is not known
}

// serveRestart answers before the next image takes over.
func (h *handler) serveRestart(r *request) (response, error) {
	return h.serveDaemon(r, fields{}, func(ctx context.Context) error { return h.daemon.Restart(ctx) })
}

func (h *handler) serveLock(r *request) (response, error) {
	var least string
	return h.serveDaemon(r, fields{"for": &least}, func(ctx context.Context) error {
		d, err := wire.ParseDuration("for", least)
		if err != nil {
			return err
		}
		return h.daemon.Lock(ctx, d)
	})
}

func (h *handler) serveUnlock(r *request) (response, error) {
	var secret string
	return h.serveDaemon(r, fields{"passphrase": &secret}, func(ctx context.Context) error {
		return h.daemon.Unlock(ctx, Passphrase{agent.NewSecret(secret), peerOf(r.http).PID})
	})
}

func (h *handler) servePassphrase(r *request) (response, error) {
	var old, next string
	return h.serveDaemon(r, fields{"old": &old, "passphrase": &next}, func(ctx context.Context) error {
		return h.daemon.SetPassphrase(ctx, Passphrase{agent.NewSecret(old), peerOf(r.http).PID}, agent.NewSecret(next))
	})
}

// serveDaemon decodes the fields of the body and has the daemon do something. A client that
// disconnects does not end that: it may be the person who waits for a pause.
func (h *handler) serveDaemon(r *request, f fields, do func(context.Context) error) (response, error) {
	if len(r.body) > 0 {
		if err := f.decode(r.body); err != nil {
			return response{}, err
		}
	}
	if h.daemon == nil {
		return response{}, wire.UsageError("this agent has no daemon of its own")
	}
	ctx, cancel := h.withTimeout(workTimeout)
	defer cancel()
	if err := do(ctx); err != nil {
		return response{}, err
	}
	return jsonResponse(wire.LoginBody{State: wire.StateDone}), nil
}
