package daemon

import (
	"context"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
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
// with it, if one is set, by somebody who was shown all that it takes away: shown is the message
// of the refusal that they got, because config.toml can have changed since.
func (d *daemon) checkLoosened(c config.Config, proved bool, shown string) error {
	changes := config.Loosened(d.inForce, c)
	if len(changes) == 0 || !d.HasPassphrase() {
		return nil
	}
	texts := make([]string, len(changes))
	for i, change := range changes {
		texts[i] = change.String()
	}
	e := &agent.Error{
		Code: agent.CodeApprovalRequired, Op: "reload", Hint: "at a terminal, run: kyc-agentd reload",
		Message: "not reloaded: config.toml takes protections away, which needs the passphrase: " + strings.Join(texts, ", "),
	}
	switch {
	case !proved || shown == "":
		return e
	case shown != sanitize.OneLine(e.Message):
		e.Message, e.Hint = "not reloaded: config.toml takes other protections away than you were shown", "to see which, run again: kyc-agentd reload"
		return e
	}
	d.log.Warn("a reload with the passphrase takes protections away", "keys", strings.Join(texts, ", "))
	return nil
}
