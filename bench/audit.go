package main

import (
	"context"
	"fmt"
)

// auditPart compares the agent with itself: without an audit log, with the one that nobody
// waits for, and with the one that every answer waits for.
func auditPart(ctx context.Context, h *harness, p plan) (section, error) {
	s := section{
		title: "What the audit log costs",
		about: fmt.Sprintf("The same request to three agents, with audit = \"off\", \"on\" and \"required\". %d times %d turns of %v each, in shuffled order. "+
			"What \"required\" costs is the disk's time for a flush, which requests at the same time share.", p.repeats, p.slices, p.slice),
		head: loadHead("audit", "off"),
	}
	sockets := map[string]string{}
	for _, mode := range auditModes {
		d, err := h.newDaemonWith(ctx, "audit-"+mode, "memory", fmt.Sprintf("audit = %q\n", mode))
		if err != nil {
			return s, err
		}
		defer d.process.stop()
		if err := d.login(ctx, "staging"); err != nil {
			return s, err
		}
		sockets[mode] = d.socket
	}
	for _, request := range []string{tokenKeep, tokenOnce} {
		for _, clients := range []int{1, 16} {
			var servers []*server
			for _, mode := range auditModes {
				servers = append(servers, &server{name: mode, socket: sockets[mode]})
			}
			if err := takeTurns(ctx, servers, request, clients, p); err != nil {
				return s, err
			}
			s.loadRows(servers, request, clients)
		}
	}
	return s, nil
}

// auditModes are compared with the last.
var auditModes = []string{"required", "on", "off"}
