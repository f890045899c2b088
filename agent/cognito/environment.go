package cognito

import (
	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

// checkEnvironment refuses an environment that cannot work or that would show a
// password or a refresh token to the network.
func (t *task) checkEnvironment() error {
	e := t.env
	for _, field := range []struct{ name, value string }{
		{"region", e.Region}, {"user_pool_id", e.UserPoolID}, {"client_id", e.ClientID},
	} {
		if field.value == "" {
			return t.misconfigured("no " + field.name + " is configured")
		}
	}
	for _, field := range []struct{ name, value string }{
		{"endpoint", e.EndpointURL()}, {"issuer", e.IssuerURL()}, {"jwks_url", e.KeysURL()},
	} {
		if problem := awscall.CheckURL(field.value); problem != "" {
			return t.misconfigured(field.name + " " + problem)
		}
	}
	return nil
}

func (t *task) misconfigured(message string) error {
	return &agent.Error{
		Code: agent.CodeConfiguration, Op: t.op, Environment: t.env.Name, Message: message,
		Hint: "correct the configuration of environment " + t.env.Name + ", then run: kyc-agentd reload",
	}
}
