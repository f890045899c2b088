package doctor

import (
	"cmp"
	"context"
	"strings"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
)

// checkFleet reports on what the agent shares with those of other machines.
func checkFleet(_ context.Context, p *probe) (found []Finding) {
	for _, name := range p.names() {
		e, ok := p.statusOf(name)
		if !ok || e.Fleet == nil {
			continue
		}
		found = append(found, p.fleet(name, statustext.Fleet(e), e.Fleet.Error).forEnv(name))
		if e.Rotated {
			found = append(found, info("fleet.grace", "",
				"Cognito replaces the refresh token; the app client's RetryGracePeriodSeconds has to be 60, or a machine that ends in the middle of a refresh ends the sign-in of all").forEnv(name))
		}
	}
	if p.answers() && p.status.Store.Kind == "kubernetes" && p.status.Store.Advice != "" {
		found = append(found, warning("fleet.watch", "add the verb watch to the Role", "%s", p.status.Store.Advice))
	}
	return found
}

func (p *probe) fleet(name, text, failed string) Finding {
	if failed == "" {
		return ok("fleet", "%s", text)
	}
	message, fix, _ := strings.Cut(failed, "; ")
	return problem("fleet.store", cmp.Or(fix, "make the store answer; the agent tries again by itself"), "%s", message)
}
