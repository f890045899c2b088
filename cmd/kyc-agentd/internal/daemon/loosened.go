package daemon

import (
	"context"
	"slices"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/audit"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/ipc"
)

// proved reports whether p is the passphrase. A try may have to wait, which must not keep others
// from a reload.
func (d *daemon) proved(ctx context.Context, p ipc.Passphrase) (bool, error) {
	if p.Secret.IsZero() || !d.HasPassphrase() || d.lock.isLocked() {
		return false, nil
	}
	err := d.CheckPassphrase(ctx, p)
	return err == nil, err
}

// checkLoosened refuses a reload that takes a protection away, unless the passphrase was given
// with it, if one is set.
func (d *daemon) checkLoosened(c config.Config, proved bool) error {
	changes := needsPassphrase(d.inForce, c)
	if len(changes) == 0 || !d.HasPassphrase() {
		return nil
	}
	keys := strings.Join(changes, ", ")
	if proved {
		d.log.Warn("a reload with the passphrase takes protections away", "keys", keys)
		return nil
	}
	return &agent.Error{
		Code: agent.CodeApprovalRequired, Op: "reload", Hint: "at a terminal, run: kyc-agentd reload",
		Message: "not reloaded: config.toml takes protections away, which needs the passphrase: " + keys,
	}
}

// needsPassphrase returns the changes from old to new by which programs could do more unasked, or
// the agent records less or locks less, by their keys. A change that only forbids is none.
func needsPassphrase(old, new config.Config) (changes []string) {
	for _, name := range old.Confirmed() {
		if !slices.Contains(new.Confirmed(), name) {
			changes = append(changes, "environments."+name+".confirm")
		}
	}
	before := old.Policies()
	for _, p := range new.Policies() {
		i := slices.IndexFunc(before, func(o agent.Policy) bool { return o.Socket == p.Socket })
		if i < 0 || !p.Within(before[i]) {
			changes = append(changes, "sockets."+p.Socket)
		}
	}
	if auditRank(new) < auditRank(old) {
		changes = append(changes, "audit")
	}
	return append(changes, lessAutoLock(old.AutoLockConfig(), new.AutoLockConfig())...)
}

// auditRank orders the settings of audit: a higher one proves more.
func auditRank(c config.Config) int {
	return slices.Index([]audit.Mode{audit.Off, audit.On, audit.Required}, audit.Mode(c.Audit.String()))
}

// lessAutoLock returns the keys by which the agent locks later or less often in new than in old.
func lessAutoLock(old, new agent.AutoLock) (changes []string) {
	if old.IdleSeconds > 0 && (new.IdleSeconds == 0 || new.IdleSeconds > old.IdleSeconds) {
		changes = append(changes, "auto_lock.idle")
	}
	if old.OnScreenLock && !new.OnScreenLock {
		changes = append(changes, "auto_lock.on_screen_lock")
	}
	if old.OnSuspend && !new.OnSuspend {
		changes = append(changes, "auto_lock.on_suspend")
	}
	return changes
}
