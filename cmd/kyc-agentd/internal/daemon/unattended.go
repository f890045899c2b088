package daemon

import (
	"cmp"
	"slices"

	"github.com/legaltalent/kyc-agent/agent"
)

// checkUnattended warns early of what would make the first unattended sign-in fail. It is
// not an error, because the file may be written after the start of the daemon.
func (d *daemon) checkUnattended(c agent.Config) {
	for _, e := range c.Environments {
		if e.Unattended == nil {
			continue
		}
		if _, err := e.Unattended.Credential(); err != nil {
			d.log.Warn("the agent cannot sign in by itself yet", "env", e.Name, "error", err)
		}
	}
}

// keepUnattended changes l.agent so that a password from a file goes only where it could go at the
// start of the daemon: a reload that moves such an environment would hand the password to
// whatever has just written config.toml, with no person to notice. It returns what was not
// taken, by environment and key of config.toml.
func (d *daemon) keepUnattended(l loaded) map[string]map[string]string {
	kept := map[string]map[string]string{}
	for i, e := range l.agent.Environments {
		if e.Unattended == nil {
			continue
		}
		at := slices.IndexFunc(d.startedAgent.Environments, func(s agent.Environment) bool { return s.Name == e.Name })
		if at >= 0 {
			started := d.startedAgent.Environments[at]
			if moved := whereMoved(started, e); len(moved) > 0 {
				l.agent.Environments[i], kept[e.Name] = atPlaceOf(e, started), moved
			}
			continue
		}
		known := func(s agent.Environment) bool { return len(whereMoved(s, e)) == 0 }
		if !slices.ContainsFunc(d.startedAgent.Environments, known) {
			l.agent.Environments[i].Unattended = nil
			kept[e.Name] = map[string]string{"username": l.config.Environments[e.Name].Username.String()}
		}
	}
	return kept
}

// whereMoved returns what of e changes who gets a password, or in which form, by keys of
// config.toml. It is empty if a password is as safe with e as with was.
func whereMoved(was, e agent.Environment) map[string]string {
	moved := map[string]string{}
	if e.EndpointURL() != was.EndpointURL() {
		moved["endpoint"] = e.EndpointURL()
	} else if !slices.Equal(e.Issuers(), was.Issuers()) && e.UserPoolID == was.UserPoolID {
		moved["issuer"] = e.IssuerURL()
	}
	if e.Issuer != was.Issuer {
		moved["issuer"] = e.IssuerURL()
	}
	if e.KeysURL("") != was.KeysURL("") {
		moved["jwks_url"] = e.KeysURL(e.IssuerURL())
	}
	if e.UserPoolID != was.UserPoolID {
		moved["user_pool_id"] = e.UserPoolID
	}
	if e.ClientID != was.ClientID {
		moved["client_id"] = e.ClientID
	}
	if e.AuthFlow.ShowsPassword() && !was.AuthFlow.ShowsPassword() {
		moved["auth_flow"] = string(cmp.Or(e.AuthFlow, agent.FlowPassword))
	}
	return moved
}

// atPlaceOf returns e with everything of was that a sign-in is bound to.
func atPlaceOf(e, was agent.Environment) agent.Environment {
	e.Region, e.Endpoint, e.Issuer, e.JWKSURL = was.Region, was.Endpoint, was.Issuer, was.JWKSURL
	e.UserPoolID, e.ClientID, e.ClientSecret, e.AuthFlow = was.UserPoolID, was.ClientID, was.ClientSecret, was.AuthFlow
	return e
}
