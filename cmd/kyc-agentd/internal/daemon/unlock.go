package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/audit"
	"github.com/legaltalent/kyc-agent/agent/lock"
	"github.com/legaltalent/kyc-agent/ipc"
)

// Unlock implements [ipc.Daemon].
func (d *daemon) Unlock(ctx context.Context, p ipc.Passphrase) error {
	k := &d.lock
	st := k.folder.State()
	if err := k.folder.Err(); err != nil {
		return lockError(agent.CodeConfiguration, err, forgottenHint, "the passphrase cannot be checked: %s", err)
	}
	if !st.Passphrase {
		return errNoPassphrase
	}
	if left := time.Until(st.Until); st.Locked && left > 0 {
		return lockError(agent.CodeLocked, nil, "wait until then; a lock with --for ends no earlier",
			"the agent stays locked until %s", st.Until.Local().Format("2006-01-02 15:04"))
	}
	identity, err := k.try(ctx, p)
	if err != nil {
		return err
	}
	return k.unlock(ctx, identity)
}

const forgottenHint = "if the passphrase is lost: kyc-agentd logout --local, for each environment, and then kyc-agentd login"

// try makes one try with a passphrase.
func (k *lockKeeper) try(ctx context.Context, p ipc.Passphrase) (*age.X25519Identity, error) {
	if !k.folder.State().Passphrase {
		return nil, errNoPassphrase
	}
	session, terminal := sessionOf(p.PID)
	identity, err := k.turns.Do(ctx, lock.Try{Passphrase: p.Secret.Reveal(), Session: session, Terminal: terminal})
	switch {
	case err == nil:
		return identity, nil
	case errors.Is(err, lock.ErrWrongPassphrase):
		e := lockError(agent.CodeDenied, agent.ErrBadCredential, forgottenHint, "wrong passphrase")
		if pause := k.folder.Pause().Round(time.Second); pause > 0 {
			e.Message += fmt.Sprintf("; the next try waits %s", pause)
			e.RetryAfter = pause
		}
		_ = k.audit(audit.Unlock, "wrong passphrase", agent.CodeDenied)
		return nil, e
	case errors.Is(err, lock.ErrTooMany):
		return nil, lockError(agent.CodeThrottled, err, "try again", "%s", err)
	}
	return nil, lockError(agent.CodeOf(err), err, "try again", "the passphrase could not be checked: %s", err)
}

// check opens the identity, and compares it with what records are wrapped to.
func (k *lockKeeper) check(passphrase string) (*age.X25519Identity, error) {
	identity, err := lock.Helper{Command: k.daemon.opts.PassphraseCommand}.Open(context.Background(), passphrase, k.folder.Sealed())
	if err != nil {
		return nil, err
	}
	if recipient := k.folder.Recipient(); recipient == nil || identity.Recipient().String() != recipient.String() {
		return nil, errors.New("lock.json has the identity of another passphrase than the one that locked")
	}
	return identity, nil
}

// unlock opens all that is wrapped and has another image take over, which does not have the
// identity. The lock ends last: after a kill the next start wraps again.
func (k *lockKeeper) unlock(ctx context.Context, identity age.Identity) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return lockError(agent.CodeUnavailable, nil, "try again", "the agent is being replaced")
	}
	wasLocked, d := k.isLocked(), k.daemon
	pending := maps.Clone(k.pending)
	if !wasLocked {
		pending = nil
	}
	if err := k.audit(audit.Unlock, "", ""); err != nil {
		return err
	}
	opening, cancel := context.WithTimeout(context.WithoutCancel(ctx), wrapWithin)
	defer cancel()
	n, left, foreign, err := lock.Open(opening, d.store, identity, pending)
	if err != nil {
		return lockError(agent.CodeUnavailable, err, "correct that, then run: kyc-agentd unlock", "the agent stays locked: %s", err)
	}
	for _, key := range foreign {
		d.log.Error("a stored sign-in is locked with another passphrase, or damaged", "env", key)
	}
	if err := k.folder.Unlock(); err != nil {
		return lockError(diskCode(err), err, "correct that, then run: kyc-agentd unlock", "the agent stays locked: the lock cannot be removed: %s", err)
	}
	if !wasLocked && n == 0 {
		return nil
	}
	if !wasLocked {
		return d.leave(nextImage{program: sameProgram()})
	}
	k.closed, k.pending = true, left
	return d.leave(nextImage{program: sameProgram(), forget: true})
}

// SetPassphrase implements [ipc.Daemon]. The identity stays what it is, so that everything that
// was ever wrapped can still be opened.
func (d *daemon) SetPassphrase(ctx context.Context, old ipc.Passphrase, next agent.Secret) error {
	k := &d.lock
	if err := k.reason(); err != nil {
		return err
	}
	if next.IsZero() {
		return lockError(agent.CodeUsage, nil, "", "the passphrase is empty")
	}
	if d.HasPassphrase() {
		if old.Secret.IsZero() {
			return lockError(agent.CodeUsage, nil, "", "there is a passphrase already, and to change it the old one is needed")
		}
		if _, err := k.try(ctx, old); err != nil {
			return err
		}
	}
	recipient, sealed, err := lock.Helper{Command: d.opts.PassphraseCommand}.Seal(ctx, next.Reveal(), k.folder.Sealed(), old.Secret.Reveal())
	if err == nil {
		err = k.folder.SetPassphrase(recipient, sealed)
	}
	if err != nil {
		return lockError(diskCode(err), err, "", "the passphrase is not set: %s", err)
	}
	d.log.Info("the passphrase is set")
	return nil
}

// forget deletes what is stored of an environment, for a logout with LogoutLocal while the agent
// is locked. After the last one there is nothing that the passphrase protects, and it is
// forgotten, too.
func (k *lockKeeper) forget(ctx context.Context, req agent.LogoutRequest) error {
	if req.Scope != agent.LogoutLocal {
		e := k.reason()
		e.Hint += ", or, if the passphrase is lost: kyc-agentd logout --local " + req.Environment
		return e
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	d := k.daemon
	keys, err := d.store.Keys(ctx)
	if err != nil {
		return lockError(agent.CodeUnavailable, err, "", "the store cannot be read: %s", err)
	}
	rest := 0
	for _, key := range keys {
		if !belongsTo(key, req.Environment) {
			rest++
		} else if err := d.store.Delete(ctx, key); err != nil {
			return lockError(agent.CodeUnavailable, err, "", "%s is still in the store: %s", key, err)
		}
	}
	maps.DeleteFunc(k.pending, func(key string, _ []byte) bool { return belongsTo(key, req.Environment) })
	d.agent.Forgotten(req.Environment)
	d.log.Info("signed out while locked", "op", "logout", "env", req.Environment)
	if rest > 0 || len(k.pending) > 0 {
		return nil
	}
	if err := k.folder.Forget(); err != nil {
		return lockError(diskCode(err), err, "", "the passphrase cannot be forgotten: %s", err)
	}
	k.closed = true
	return d.leave(nextImage{program: sameProgram(), forget: true})
}

// belongsTo reports whether a key of the store is of an environment.
func belongsTo(key, environment string) bool {
	return key == environment || strings.HasPrefix(key, environment+"--")
}
