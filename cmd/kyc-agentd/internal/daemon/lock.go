package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/audit"
	"github.com/legaltalent/kyc-agent/agent/lock"
	"github.com/legaltalent/kyc-agent/internal/durable"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/ipc"
)

// The causes of a lock, for the status and the audit log.
const (
	lockedByCommand = "command"
	lockedByIdle    = "idle"
	lockedByScreen  = "screen"
	lockedBySuspend = "suspend"
)

// lockWithin is how long a lock waits for a refresh at Cognito, and wrapWithin for the store.
const (
	lockWithin = stopWithin
	wrapWithin = 20 * time.Second
)

// A lockKeeper locks and unlocks the sign-ins of a daemon. A daemon that is locked has none of
// them in memory but wrapped, because another image of the process took over after the lock.
type lockKeeper struct {
	daemon *daemon
	folder *lock.Folder
	turns  *lock.Turns

	mu      sync.Mutex // held by what changes the store
	pending map[string][]byte
	closed  bool // the agent is closed: another image takes over
	plain   bool // this image has read what was not wrapped

	errMu sync.Mutex
	err   error // why the store still has what should be wrapped
}

// open reads the lock in the folder.
func (k *lockKeeper) open(dir string) {
	k.folder = lock.New(dir)
	k.turns = &lock.Turns{Folder: k.folder, Check: k.check}
	if err := k.folder.Err(); err != nil {
		k.daemon.log.Error("it is not known whether the agent is locked, so it is", "error", err)
	}
}

func (k *lockKeeper) isLocked() bool { return k.folder.State().Locked }

// HasPassphrase reports whether there is a passphrase.
func (d *daemon) HasPassphrase() bool { return d.lock.folder.State().Passphrase }

// CheckPassphrase returns nil if p is the passphrase. It waits if there were wrong tries.
func (d *daemon) CheckPassphrase(ctx context.Context, p ipc.Passphrase) error {
	_, err := d.lock.try(ctx, p)
	return err
}

// reason returns why every request is refused, or nil.
func (k *lockKeeper) reason() *agent.Error {
	st := k.folder.State()
	if !st.Locked {
		return nil
	}
	e := &agent.Error{Code: agent.CodeLocked, Op: "lock", Message: "the agent is locked with your passphrase", Hint: "run: kyc-agentd unlock"}
	if !st.Since.IsZero() {
		e.Message += " since " + st.Since.Local().Format("2006-01-02 15:04")
	}
	if st.Until.After(time.Now()) {
		e.Message += ", until " + st.Until.Local().Format("2006-01-02 15:04") + " at least"
	}
	return e
}

// status describes the lock.
func (k *lockKeeper) status() *agent.LockStatus {
	if k.turns == nil {
		return nil
	}
	st := k.folder.State()
	out := &agent.LockStatus{Passphrase: st.Passphrase, Locked: st.Locked, Since: st.Since, Until: st.Until, Why: st.Why, Auto: k.daemon.autoLock.status()}
	k.errMu.Lock()
	defer k.errMu.Unlock()
	if err := errors.Join(k.folder.Err(), k.err); err != nil {
		out.Error = sanitize.OneLine(err.Error())
	}
	return out
}

func lockError(code agent.Code, err error, hint, format string, args ...any) *agent.Error {
	return &agent.Error{Code: code, Op: "lock", Message: fmt.Sprintf(format, args...), Hint: hint, Err: err}
}

// diskCode is the code of an error of the lock's file.
func diskCode(err error) agent.Code {
	if errors.Is(err, durable.ErrDisk) {
		return agent.CodeUnavailable
	}
	return agent.CodeConfiguration
}

var errNoPassphrase = lockError(agent.CodeConfiguration, nil, "run: kyc-agentd passphrase", "there is no passphrase to lock with")

// Lock implements [ipc.Daemon].
func (d *daemon) Lock(ctx context.Context, least time.Duration) error {
	return d.lock.lock(ctx, lockedByCommand, least)
}

// lock wraps all sign-ins and has another image take over. The note that the agent is locked
// comes first: after a kill, the next start finishes this.
func (k *lockKeeper) lock(ctx context.Context, why string, least time.Duration) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.folder.Recipient() == nil {
		return errNoPassphrase
	}
	locked := k.isLocked()
	if err := k.folder.Lock(why, least); err != nil {
		return lockError(diskCode(err), err, "correct that, and lock again; kyc-agentd stop ends the agent", "not locked: the lock cannot be written: %s", err)
	}
	if locked {
		return nil
	}
	d := k.daemon
	_ = k.audit(audit.Lock, why, "") // a lock does not wait for a disk that is full
	d.agent.Lock(k.reason())
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), lockWithin)
	defer cancel()
	var sinks sync.WaitGroup
	sinks.Go(func() { d.sinks.Close(closing) })
	if err := d.agent.Close(closing); err != nil {
		d.log.Error("a refresh was cut off by the lock; if the sign-in does not work afterwards, run: kyc-agentd login", "error", err)
	}
	k.closed, k.pending = true, d.agent.Unsaved()
	sinks.Wait()
	_, err := k.wrapLocked()
	_ = d.leave(nextImage{program: sameProgram(), forget: true}) // or another image takes over already
	if err != nil {
		return lockError(agent.CodeUnavailable, err, "the agent tries again by itself", "locked, but a sign-in is not wrapped in the store yet: %s", err)
	}
	return nil
}

// wrapLocked wraps what is not wrapped, and returns how many that were. The caller holds mu.
func (k *lockKeeper) wrapLocked() (n int, err error) {
	recipient := k.folder.Recipient()
	if recipient == nil {
		return 0, k.folder.Err()
	}
	ctx, cancel := context.WithTimeout(context.Background(), wrapWithin)
	defer cancel()
	n, left, err := lock.All(ctx, k.daemon.store, recipient, k.pending)
	k.pending = left
	k.errMu.Lock()
	k.err = err
	k.errMu.Unlock()
	if err != nil {
		k.daemon.log.Error("locked, but a sign-in is not wrapped in the store yet; trying again", "error", err)
	}
	return n, err
}

// finish finishes a lock in which an earlier agent was killed. If it read a sign-in for that,
// another image has to take over, which it returns.
func (k *lockKeeper) finish(context.Context) *nextImage {
	if !k.isLocked() {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	n, err := k.wrapLocked()
	if n == 0 {
		return nil
	}
	if k.plain = err != nil; k.plain {
		return nil // retry goes on
	}
	k.daemon.log.Info("finished the lock in which the agent ended", "wrapped", n)
	return &nextImage{program: sameProgram(), forget: true}
}

// retry wraps what the store has not taken, until ctx ends.
func (k *lockKeeper) retry(ctx context.Context) {
	for pause := time.Second; k.isLocked() && ctx.Err() == nil; pause = min(2*pause, time.Minute) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		k.mu.Lock()
		if k.closed || !k.isLocked() {
			k.mu.Unlock()
			return
		}
		n, err := k.wrapLocked()
		again := err == nil && (n > 0 || k.plain)
		k.mu.Unlock()
		switch {
		case again:
			_ = k.daemon.leave(nextImage{program: sameProgram(), forget: true})
			return
		case err == nil:
			return
		}
	}
}

// receive takes what an earlier image could not save. If the agent is locked, it is kept here.
func (k *lockKeeper) receive(unsaved map[string][]byte) map[string][]byte {
	if !k.isLocked() {
		return unsaved
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pending = unsaved
	return nil
}

// unsaved returns what the next image has to save.
func (k *lockKeeper) unsaved() map[string][]byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || k.isLocked() {
		return k.pending
	}
	return k.daemon.agent.Unsaved()
}

// closedAgent reports whether the agent is closed already. Another Close would save again what
// is wrapped by now.
func (k *lockKeeper) closedAgent() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.closed
}

// audit records a lock, or an unlock that worked if code is "".
func (k *lockKeeper) audit(kind audit.Kind, detail string, code agent.Code) error {
	k.daemon.log.Info(string(kind), "op", string(kind), "why", detail, "code", string(code))
	ctx, cancel := context.WithTimeout(context.Background(), auditWithin)
	defer cancel()
	return k.daemon.audit.Record(ctx, audit.Event{Kind: kind, Detail: detail, Code: code})
}
