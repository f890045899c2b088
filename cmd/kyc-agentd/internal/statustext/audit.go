package statustext

import (
	"fmt"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// Audit says what is to be known of the audit log. It is empty if each event has its line.
func Audit(a *agent.AuditStatus) string {
	switch {
	case a == nil:
		return ""
	case a.Error != "":
		text := sanitize.OneLine(a.Error)
		if a.Dropped > 0 {
			text += fmt.Sprintf("; events without a line since the start: %d", a.Dropped)
		}
		return text
	case a.Dropped > 0:
		return fmt.Sprintf("the audit log lacks events since the start: %d", a.Dropped)
	case a.Mode == "off":
		return "the audit log is off"
	}
	return ""
}
