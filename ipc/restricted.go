package ipc

import (
	"cmp"

	"github.com/legaltalent/kyc-agent/agent"
)

// restrict makes h the handler of a socket with a policy.
func (h *handler) restrict(r *agent.Restricted) {
	policy := r.Policy()
	h.service, h.restricted = r, r
	h.reload, h.metrics = nil, nil
	if !policy.Allows(agent.AccessAPI) {
		h.proxy = nil
	}
	if h.proxy != nil {
		h.proxy.Token, h.proxy.Policy, h.proxy.Admit = r.APIToken, &policy, r.Admit
	}
}

// closed are the words for what routes that are not open do.
var closed = map[string]string{
	"login": "sign-ins", "login-wait": "sign-ins", "login-answer": "sign-ins", "login-cancel": "sign-ins",
	"account": "changes of an account", "logout": "sign-outs",
	"approvals": "approvals", "approve": "approvals", "revoke": "approvals",
}

// checkOpen refuses a route that is not open. A new route is not, until its line in the table
// says so.
func (h *handler) checkOpen(rt *route) error {
	if h.restricted == nil || rt.open {
		return nil
	}
	return h.restricted.Denied(rt.op, cmp.Or(closed[rt.op], "requests to "+rt.path))
}
