package daemon

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/logind"
	"github.com/legaltalent/kyc-agent/internal/bootclock"
	"github.com/legaltalent/kyc-agent/internal/handover"
	"github.com/legaltalent/kyc-agent/ipc"
)

// An autoLock locks the agent by itself.
type autoLock struct {
	daemon  *daemon
	screens *logind.Screens

	idle atomic.Bool // current.IdleSeconds is above 0; every request asks

	mu      sync.Mutex
	serving context.Context // nil before begin
	current agent.AutoLock
	stop    func()
	used    bootclock.Mark // whatever is done to the clock; a suspend counts
}

// begin watches until ctx ends.
func (a *autoLock) begin(ctx context.Context, c agent.AutoLock) {
	a.mu.Lock()
	a.serving = ctx
	a.mu.Unlock()
	a.configure(c)
}

// dataScreens are the sessions whose screen is locked: an agent that was unlocked nevertheless, over
// ssh perhaps, is not locked by its next image.
const dataScreens = "screens"

func receiveScreens() *logind.Screens {
	var locked []string
	handover.Data(dataScreens, &locked)
	return logind.NewScreens(locked)
}

// handOver may come before begin, if this image only finishes a lock.
func (a *autoLock) handOver() error {
	return handover.SetData(dataScreens, a.screens.Locked())
}

// touch notes that somebody uses the agent.
func (a *autoLock) touch() {
	if !a.idle.Load() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used = bootclock.Now()
}

// observe is told of every request on the agent's own socket. What shows the state only, for a
// prompt or a monitor, is no use, and neither is the daemon's own probe.
func (a *autoLock) observe(info ipc.RequestInfo) {
	if info.Op != "status" && info.Op != "metrics" {
		a.touch()
	}
}

// configure makes c what locks the agent.
func (a *autoLock) configure(c agent.AutoLock) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.serving == nil || c == a.current && a.stop != nil {
		return
	}
	if a.stop != nil {
		a.stop()
	}
	ctx, cancel := context.WithCancel(a.serving)
	a.current, a.stop = c, cancel
	a.idle.Store(c.IdleSeconds > 0)
	if c == (agent.AutoLock{}) {
		return
	}
	if !a.daemon.HasPassphrase() {
		a.daemon.log.Warn("auto_lock is set, and there is no passphrase to lock with; run: kyc-agentd passphrase")
	}
	if c.IdleSeconds > 0 {
		a.used = bootclock.Now()
		go a.watchIdle(ctx, time.Duration(c.IdleSeconds)*time.Second)
	}
	if c.OnScreenLock || c.OnSuspend {
		go logind.Watch(ctx, a.logindOptions(ctx, c))
	}
}

func (a *autoLock) status() agent.AutoLock {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current
}

func (a *autoLock) lock(ctx context.Context, why string) {
	if !a.daemon.HasPassphrase() || a.daemon.lock.isLocked() {
		return
	}
	if err := a.daemon.lock.lock(ctx, why, 0); err != nil {
		a.daemon.log.Error("the agent could not lock by itself", "why", why, "error", err)
	}
}

func (a *autoLock) watchIdle(ctx context.Context, limit time.Duration) {
	for {
		a.mu.Lock()
		left := limit - bootclock.Now().Since(a.used)
		a.mu.Unlock()
		if left <= 0 {
			a.lock(ctx, lockedByIdle)
			left = limit
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(left, 30*time.Second)): // this clock stands still in suspend
		}
	}
}

func (a *autoLock) logindOptions(ctx context.Context, c agent.AutoLock) logind.Options {
	o := logind.Options{
		Failed: func(err error) {
			a.daemon.log.Warn("auto_lock does not work for the screen and for suspend", "error", err)
		},
		Undelayed: func(err error) {
			a.daemon.log.Warn("auto_lock cannot delay a suspend, which may begin before the lock is complete; it needs polkit: install polkitd", "error", err)
		},
	}
	if c.OnScreenLock {
		o.Screens, o.Screen = a.screens, func() { a.lock(ctx, lockedByScreen) }
	}
	if c.OnSuspend {
		o.Suspend = func(delay *os.File) {
			if delay != nil {
				defer delay.Close()
				a.daemon.lock.delaying(delay)
			}
			a.lock(ctx, lockedBySuspend)
		}
	}
	return o
}

// delaying delays a suspend until the next image, which has no secret, is ready, if this one
// locks: it closes what nobody takes.
func (k *lockKeeper) delaying(delay *os.File) {
	if !k.isLocked() && k.folder.State().Passphrase {
		_ = handover.Put("suspend delay", delay)
	}
}
