package cognito

import (
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

// checkEnvironment refuses an environment that cannot work, or that would send a password or
// a refresh token over the network in the clear.
func (o *operation) checkEnvironment() error {
	e := o.env
	for _, field := range []struct{ name, value string }{
		{"region", e.Region}, {"user_pool_id", e.UserPoolID}, {"client_id", e.ClientID},
	} {
		if field.value == "" {
			return o.misconfigured("no " + field.name + " is configured")
		}
	}
	for _, field := range []struct{ name, value string }{
		{"endpoint", e.EndpointURL()}, {"issuer", e.IssuerURL()}, {"jwks_url", e.KeysURL(e.IssuerURL())},
	} {
		if problem := awscall.CheckURL(field.value); problem != "" {
			return o.misconfigured(field.name + " " + problem)
		}
	}
	switch secret := e.ClientSecret.Current().Reveal(); {
	case beginsWithBOM(secret):
		return o.misconfigured("the client secret begins with a byte order mark (U+FEFF): " + bomHint)
	case strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }):
		return o.misconfigured("the client secret contains a blank, or a character that is not ASCII")
	}
	return nil
}

func (o *operation) misconfigured(message string) error {
	return &agent.Error{
		Code: agent.CodeConfiguration, Op: o.name, Environment: o.env.Name, Message: message,
		Hint: "correct the configuration of environment " + o.env.Name + ", then run: kyc-agentd reload",
	}
}
