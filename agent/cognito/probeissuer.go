package cognito

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

// probeIssuer returns the issuer that the user pool says it has, in its OpenID Connect
// discovery document, or "" if there is none to be read at the endpoint: a FIPS or a private
// endpoint may not have it, and that is no problem.
func (o *operation) probeIssuer(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	var f awscall.Failure
	body, err := o.auth.keys.download(ctx, o.env.EndpointURL()+"/"+o.env.UserPoolID+"/.well-known/openid-configuration", &f)
	if err != nil || f.Status != http.StatusOK {
		return ""
	}
	var document struct {
		Issuer string `json:"issuer"`
	}
	if json.Unmarshal(body, &document) != nil {
		return ""
	}
	return document.Issuer
}
