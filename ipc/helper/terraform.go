package helper

import (
	"errors"
	"strings"

	"github.com/legaltalent/kyc-agent/internal/origin"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// terraformBody answers in Terraform's credentials helper protocol: see "Credentials
// Helpers" in its internals documentation. Without a token it says that there is none.
type terraformBody struct {
	Token string `json:"token,omitempty"`
}

// answerTerraform answers a host, as Terraform writes it in its configuration.
func answerTerraform(c *call) (Answer, error) {
	host := strings.TrimSpace(c.body)
	if host == "" {
		return Answer{}, wire.UsageError("terraform asks for no host")
	}
	t, err := c.tokenFor(origin.HostURL("https", host))
	if errors.Is(err, errElsewhere) {
		return Answer{MediaType: wire.MediaJSON, Body: wire.Encode(terraformBody{})}, nil
	}
	if err != nil {
		return Answer{}, err
	}
	return answerWith(t, wire.MediaJSON, string(wire.Encode(terraformBody{Token: t.IDToken.Reveal()}))), nil
}
