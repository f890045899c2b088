package doctor

import (
	"context"

	"github.com/legaltalent/kyc-agent/agent/cognito"
)

// checkDomain asks the domains for their sign-in pages, as a browser would, and signs nobody in.
func checkDomain(ctx context.Context, p *probe) []Finding {
	return p.perEnvironment(func(o *poolProbe) Finding {
		if o.env.Domain == "" {
			return Finding{}
		}
		host := hostOf(o.env.Domain)
		found := p.auth.ProbeDomain(ctx, o.env)
		switch {
		case found == nil:
			return ok("domain", "%s has a sign-in page for the app client and redirect_uris", host)
		case found.Kind == cognito.ProblemDNS:
			message, _ := advice(found.Err)
			return problem("domain.dns", "check domain of the environment, and this machine's DNS: getent hosts "+host, "%s", message)
		}
		return problemFinding("domain", found, o.env.Domain+"/oauth2/authorize")
	})
}
