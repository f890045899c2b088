package daemon

import (
	"context"
	"log/slog"

	"github.com/legaltalent/kyc-agent/agent/approval"
	"github.com/legaltalent/kyc-agent/agent/approval/desktop"
	"github.com/legaltalent/kyc-agent/agent/audit"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
)

// newApprovals returns what decides which programs a person has approved. The standing grants are
// in the state folder, whatever the store is.
func (d *daemon) newApprovals() *approval.Approvals {
	announcer := desktop.New(d.opts.Vars.Get)
	a := approval.New(approval.Options{
		Dir: config.StateDir(d.opts.Vars), User: d.signedIn, Refuse: d.whileLocked, Logger: d.log, Record: d.noteApproval,
		Announce: func(r approval.Request) { announcer.Announce(announcement(r)) },
	})
	a.Configure(d.started.Confirmed())
	return a
}

// whileLocked returns why every request is refused: what a person would approve is locked.
func (d *daemon) whileLocked() error {
	if e := d.lock.reason(); e != nil {
		return e
	}
	return nil
}

// announcement returns the text for a notification. It can only be answered at a terminal.
func announcement(r approval.Request) (summary, body string) {
	return "A program asks for " + r.Use.String(),
		r.Facts.Process.String() + " in " + r.Subject.String() + ". To see who asks, and to answer: kyc-agentd approve " + r.ID
}

// signedIn returns the user of an environment.
func (d *daemon) signedIn(environment string) string {
	st, _ := d.agent.Status(context.Background()) // it answers from memory
	for _, e := range st.Environments {
		if e.Name == environment {
			return e.User
		}
	}
	return ""
}

// noteApproval logs what a person answered, and records each event in the audit log. What was asked
// and refused is in the log of requests, which bounds how often.
func (d *daemon) noteApproval(e approval.Event) error {
	level := slog.LevelDebug
	if e.Kind == approval.Approved || e.Kind == approval.Denied {
		level = slog.LevelInfo
	}
	d.log.Log(context.Background(), level, "approval", "event", string(e.Kind), "use", e.Use.String(), "id", e.Grant,
		"pid", e.Facts.Process.PID, "exe", e.Facts.Process.Name())
	event := audit.Event{
		Kind: audit.Kind(e.Kind), Socket: e.Use.Socket, Environment: e.Use.Environment,
		Detail: string(e.Use.Kind), Method: e.Use.Method, Path: e.Use.Path, Grant: e.Grant,
	}
	if e.Facts.Process.PID != 0 { // a standing grant is for what does not run yet
		event.Peer = audit.PeerOf(e.Facts)
	}
	ctx, cancel := context.WithTimeout(context.Background(), auditWithin)
	defer cancel()
	return d.audit.Record(ctx, event)
}
