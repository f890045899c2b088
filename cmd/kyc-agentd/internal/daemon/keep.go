package daemon

import (
	"context"

	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// keep makes the socket of ln again when it was removed, until ctx ends. While that is not
// possible the daemon goes on: only it has the sign-ins that are in memory, it writes the
// token files, and what is in the way may go away by itself, as at the next login of a user
// whose runtime folder was removed.
func (d *daemon) keep(ctx context.Context, ln *socket.Listener) {
	path := ln.Addr().String()
	ln.Keep(ctx, socket.Watcher{
		Rebound: func(systemd bool) {
			attrs := []any{"socket", path}
			if systemd {
				attrs = append(attrs, "hint", "only this process listens there now, and systemd would not start the next one; "+
					"to change that, at the price of the sign-ins that are only in memory: systemctl --user restart kyc-agentd.socket")
			}
			d.log.Warn("the socket was removed; the agent has made it again", attrs...)
		},
		Lost: func(err error) {
			d.log.Error("the socket was removed and cannot be made again; no client reaches the agent, which goes on and tries again",
				"socket", path, "error", err)
		},
	})
}
