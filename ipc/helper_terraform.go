package ipc

import (
	"errors"
	"strings"

	"github.com/legaltalent/kyc-agent/internal/origin"
)

// terraformBody answers Terraform's credentials helper protocol: see "Credentials
// Helpers" in its internals documentation. Without a token it says that there is none.
type terraformBody struct {
	Token string `json:"token,omitempty"`
}

// terraform answers a host, as Terraform writes it in its configuration.
func (a *api) terraform(q helperRequest) (reply, error) {
	host := strings.TrimSpace(q.body)
	if host == "" {
		return reply{}, usage("terraform asks for no host")
	}
	t, err := a.tokenTo(origin.HostURL("https", host), q)
	if errors.Is(err, errElsewhere) {
		return jsonReply(terraformBody{}), nil
	}
	if err != nil {
		return reply{}, err
	}
	return answerWith(t, mediaJSON, string(encode(terraformBody{Token: t.IDToken.Reveal()}))), nil
}
