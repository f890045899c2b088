package doctor

import (
	"context"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
)

// checkAudit reports whether each event has a line in the audit log of the agent that answers.
func checkAudit(_ context.Context, p *probe) []Finding {
	if !p.answers() || p.status.Audit == nil { // an older agent does not say
		return nil
	}
	a, text := p.status.Audit, statustext.Audit(p.status.Audit)
	switch {
	case a.Error != "" && a.Mode == "required":
		return []Finding{problem("audit.broken", "make the log's folder writable, with room; until then nothing is handed out", "%s", text)}
	case a.Error != "":
		return []Finding{problem("audit.broken", "make the log's folder writable, with room; the agent tries again by itself", "%s", text)}
	case a.Dropped > 0:
		return []Finding{warning("audit.dropped", "if no event may be without a line, run: kyc-agentd config set audit required && kyc-agentd reload", "%s", text)}
	case text != "":
		return []Finding{info("audit.off", "", "%s", text)}
	}
	return []Finding{ok("audit", "%s", a.Mode)}
}
