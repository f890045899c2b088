package doctor

import (
	"cmp"
	"context"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// checkPolicySockets reports on the sockets with a policy: those that could not be made, and
// what each of the others gives to whoever reaches it.
func checkPolicySockets(_ context.Context, p *probe) (found []Finding) {
	for _, s := range p.status.Sockets {
		if s.Error != "" {
			message, fix, _ := strings.Cut(s.Error, "; ")
			found = append(found, warning("sockets.failed", cmp.Or(fix, "correct that, then run: kyc-agentd reload"), "socket %s: %s", s.Name, message))
			continue
		}
		found = append(found, ok("sockets", "socket %s: %s", s.Name, gives(s)))
	}
	return found
}

func gives(s agent.SocketStatus) string {
	text := statustext.Allowed(s) + " of " + strings.Join(s.Environments, ", ")
	if s.Rate != "" {
		text += ", at most " + s.Rate
	}
	return sanitize.OneLine(text)
}
