package ipc

import "github.com/legaltalent/kyc-agent/agent"

// restrict makes h the handler of a socket with a policy.
func (h *handler) restrict(r *agent.Restricted) {
	policy := r.Policy()
	h.service, h.restricted = r, r
	if !policy.Allows(agent.AccessAPI) {
		h.proxy = nil
	}
	if h.proxy != nil {
		h.proxy.Token, h.proxy.Policy = r.APIToken, &policy
	}
}

// admit counts a request against the rate of the socket's policy.
func (h *handler) admit() error {
	if h.restricted == nil {
		return nil
	}
	return h.restricted.Admit()
}

// checkOpen refuses a route that no policy opens. A new route is none of them until its line
// in the table says so.
func (h *handler) checkOpen(rt route) error {
	if h.restricted == nil || rt.open {
		return nil
	}
	return h.restricted.Denied(rt.op, "requests to "+rt.path)
}
