package daemon

import (
	"context"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/audit"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// auditWithin is how long a start, a stop and an answer to a request for an approval wait for
// their lines.
const auditWithin = 2 * time.Second

// openAudit returns the audit log. Its heads go to the daemon's own log: the journal is out of
// reach of a process of this user that would cut lines off the file.
func (d *daemon) openAudit(c config.Config) *audit.Log {
	return audit.Open(audit.Options{
		Dir: config.StateDir(d.opts.Vars), Mode: audit.Mode(c.Audit.String()), Logger: d.log,
		OnHead: func(h audit.Head) {
			d.log.Info(audit.HeadMessage, "chain", h.Chain, "n", h.N, "hash", h.Hash, "file", h.File)
		},
	})
}

func (d *daemon) auditStatus() *agent.AuditStatus {
	a := d.audit.Status()
	return &agent.AuditStatus{Mode: string(a.Mode), Lines: a.Lines, Dropped: a.Dropped, Error: a.Error}
}

func (d *daemon) recordStart() {
	ctx, cancel := context.WithTimeout(context.Background(), auditWithin)
	defer cancel()
	_ = d.audit.Record(ctx, audit.Event{Kind: audit.Start, Detail: "version " + d.opts.Version})
}

// recordUnattended records a sign-in that the agent has made by itself. It does not wait.
func (d *daemon) recordUnattended(environment, user string, code agent.Code) {
	e := audit.Event{Kind: audit.Login, Environment: environment, User: user, Detail: "unattended", Code: code}
	go func() { _ = d.audit.Record(context.Background(), e) }()
}

// closeAudit writes the last line. Requests have ended by now.
func (d *daemon) closeAudit(reason error) {
	ctx, cancel := context.WithTimeout(context.Background(), auditWithin)
	defer cancel()
	e := audit.Event{Kind: audit.Stop}
	if reason != nil {
		e.Detail = sanitize.OneLine(reason.Error())
	}
	d.audit.Close(ctx, e)
}

// codeOf returns the code of err, or "".
func codeOf(err error) agent.Code {
	if err == nil {
		return ""
	}
	return agent.CodeOf(err)
}
