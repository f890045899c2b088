package daemon

import (
	"context"
	"slices"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
)

// checkLoosened refuses a reload that takes a protection away, unless the passphrase was given
// with it, if one is set.
func (d *daemon) checkLoosened(ctx context.Context, c config.Config) error {
	changes := needsPassphrase(d.inForce, c)
	if len(changes) == 0 || d.proveReload == nil {
		return nil
	}
	return d.proveReload(ctx, changes)
}

// needsPassphrase returns the changes from old to new by which programs could do more unasked, by
// their keys. A change that only forbids is none.
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
	return changes
}
