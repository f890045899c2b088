package helper

import (
	"errors"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/origin"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// answerGoauth answers the go command (`go help goauth`): at first, without a URL, with
// the hosts of one environment; then, if a server refused a request, with the host of its
// URL. The protocol has https:// URLs only.
func answerGoauth(c *call) (Answer, error) {
	target := strings.TrimSpace(c.body)
	if target == "" {
		return answerGoauthHosts(c)
	}
	o, err := originOf(target)
	if err != nil || o.Scheme != "https" {
		return Answer{}, nil
	}
	t, err := c.tokenFor(target)
	if errors.Is(err, errElsewhere) {
		return Answer{}, nil
	}
	if err != nil {
		return Answer{}, err
	}
	return goauthAnswer(t, []origin.Origin{o}), nil
}

// answerGoauthHosts answers with all https hosts of an environment.
func answerGoauthHosts(c *call) (Answer, error) {
	t, err := c.token(c.environment)
	if err != nil {
		return Answer{}, err
	}
	st, err := c.service.Status(c.ctx)
	if err != nil {
		return Answer{}, err
	}
	var hosts []origin.Origin
	for _, e := range st.Environments {
		if e.Name != t.Environment {
			continue
		}
		for _, o := range origins(e) {
			if o.Scheme == "https" {
				hosts = append(hosts, o)
			}
		}
	}
	if len(hosts) == 0 {
		return Answer{}, nil
	}
	return goauthAnswer(t, hosts), nil
}

// goauthAnswer renders a CredentialSet.
func goauthAnswer(t agent.Token, hosts []origin.Origin) Answer {
	var b strings.Builder
	for _, o := range hosts {
		b.WriteString(o.String() + "\n")
	}
	b.WriteString("\nAuthorization: Bearer " + t.IDToken.Reveal() + "\n\n")
	return answerWith(t, wire.MediaText, b.String())
}
