// Where a sign-in was made, and where it may therefore be sent.

package agent

import (
	"strings"

	"github.com/legaltalent/kyc-agent/internal/lazyregexp"
	"github.com/legaltalent/kyc-agent/internal/origin"
)

// A place is where a sign-in was made: which environment, which app client of which user pool,
// at which endpoint. A refresh token and a device key are sent to no other place.
type place struct {
	environment string        // empty in records of older versions
	poolID      string        // empty if an older record does not tell
	clientID    string        //
	endpoint    origin.Origin // zero in records of older versions, and where it is the issuer's origin
	issuer      string        // what older versions compare instead: see legacyIssuer
}

// placeOf returns the place of sign-ins of env. An endpoint that is no URL has no origin, and
// no sign-in belongs there.
func placeOf(env Environment) place {
	return place{
		environment: env.Name, poolID: env.UserPoolID, clientID: env.ClientID, endpoint: originOf(env.EndpointURL()), issuer: legacyIssuer(env),
	}
}

// originOf returns the origin of a URL; it is zero if that cannot be read.
func originOf(url string) origin.Origin {
	o, _ := origin.Parse(url)
	return o
}

// legacyIssuer returns the issuer by which versions that know no endpoint and no environment
// in a record recognize a sign-in of env. It is written so that they find it after a downgrade.
func legacyIssuer(env Environment) string {
	if env.Issuer != "" {
		return env.Issuer
	}
	return env.EndpointURL() + "/" + env.UserPoolID
}

// mismatch returns why a sign-in made at p must not be used for env, or "". The configured
// issuer does not matter: it decides which ID tokens are accepted, not who gets a refresh token.
func (p place) mismatch(env Environment) string {
	here := placeOf(env)
	switch {
	case p.environment != "" && p.environment != here.environment:
		return "the stored sign-in was made for another environment"
	case p.clientID != here.clientID, p.poolID != "" && p.poolID != here.poolID:
		return "the stored sign-in is for another user pool or client than the configured one"
	case !p.servedAt(here.endpoint):
		return "the stored sign-in was made at another endpoint than the configured one"
	}
	return ""
}

// servedAt reports whether endpoint is where p is. A record without an endpoint belongs to its
// issuer's origin or, if that is AWS's, to the endpoints of Cognito.
func (p place) servedAt(endpoint origin.Origin) bool {
	made := p.endpoint
	if made == (origin.Origin{}) {
		made = originOf(p.issuer)
	}
	if endpoint == (origin.Origin{}) {
		return false
	}
	return made == endpoint || ownedByAWS(made) != "" && ownedByAWS(made) == ownedByAWS(endpoint)
}

// cognitoHost matches the hosts of Cognito: of a region, its FIPS and dual-stack ones, those of
// VPC endpoints, and those of the newer issuers. Other names below amazonaws.com can be
// anybody's. https://docs.aws.amazon.com/general/latest/gr/cognito_identity.html
var cognitoHost = lazyregexp.New(
	`^(issuer-|vpce-[a-z0-9-]+\.)?cognito-idp(-fips)?\.[a-z0-9-]+(\.vpce)?\.(amazonaws\.com|amazonaws\.com\.cn|api\.aws)$`)

// ownedByAWS returns the domain of AWS that o is below if o is an endpoint or an issuer of
// Cognito, else "". All endpoints below one domain are one place: a user pool is the same
// behind each of them.
func ownedByAWS(o origin.Origin) string {
	m := cognitoHost.Get().FindStringSubmatch(o.Host)
	switch {
	case m == nil || o.Scheme != "https" || o.Port != "443":
		return ""
	case m[4] == "amazonaws.com.cn": // operated by other companies
		return m[4]
	}
	return "amazonaws.com"
}

var poolIDPattern = lazyregexp.New(`^[a-z0-9-]+_[A-Za-z0-9]+$`)

// poolOfIssuer returns the user pool id that an issuer ends with, or "".
func poolOfIssuer(issuer string) string {
	if id := issuer[strings.LastIndex(issuer, "/")+1:]; poolIDPattern.MatchString(id) {
		return id
	}
	return ""
}
