package ipc

import (
	"errors"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/origin"
)

// goauth answers the go command (`go help goauth`): at first, with no URL, with the
// hosts of one environment; then, when a server refused a request, with the host of
// its URL. It takes https:// alone.
func (a *api) goauth(q helperRequest) (reply, error) {
	target := strings.TrimSpace(q.body)
	if target == "" {
		return a.goauthAll(q)
	}
	o, err := origin.Parse(target)
	if err != nil || o.Scheme != "https" {
		return nothing, nil
	}
	t, err := a.tokenTo(target, q)
	if errors.Is(err, errElsewhere) {
		return nothing, nil
	}
	if err != nil {
		return reply{}, err
	}
	return goauthReply(t, []origin.Origin{o}), nil
}

func (a *api) goauthAll(q helperRequest) (reply, error) {
	t, err := a.tokenOf(q.environment, q)
	if err != nil {
		return reply{}, err
	}
	st, err := a.statusNow()
	if err != nil {
		return reply{}, err
	}
	var all []origin.Origin
	for _, e := range st.Environments {
		if e.Name != t.Environment {
			continue
		}
		for _, o := range origins(e) {
			if o.Scheme == "https" {
				all = append(all, o)
			}
		}
	}
	if len(all) == 0 {
		return nothing, nil
	}
	return goauthReply(t, all), nil
}

// goauthReply is a CredentialSet.
func goauthReply(t agent.Token, hosts []origin.Origin) reply {
	var b strings.Builder
	for _, o := range hosts {
		b.WriteString(o.String() + "\n")
	}
	b.WriteString("\nAuthorization: Bearer " + t.IDToken.Reveal() + "\n\n")
	return answerWith(t, mediaText, b.String())
}
