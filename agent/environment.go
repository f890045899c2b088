package agent

// An Environment is one deployment of the KYC API and the Cognito user pool that
// signs its users in. All fields are public knowledge; none is a secret.
type Environment struct {
	Name       string // "staging", "prod": also the key in the store, see store.ValidKey
	Region     string // "us-east-2"
	UserPoolID string // "us-east-2_oGu06xbPS"
	ClientID   string // the app client, without a secret
	APIURL     string // "https://stg.kyc.legaltalent.ai"

	// For private endpoints and tests; empty means AWS's own.
	Endpoint string // where Cognito's API is: "http://127.0.0.1:9229"
	Issuer   string // the `iss` its ID tokens carry
	JWKSURL  string // where its signing keys are
}

// EndpointURL is where Cognito's API is called.
func (e Environment) EndpointURL() string {
	if e.Endpoint != "" {
		return e.Endpoint
	}
	return "https://cognito-idp." + e.Region + ".amazonaws.com"
}

// IssuerURL is the `iss` that an ID token of this environment must carry.
func (e Environment) IssuerURL() string {
	if e.Issuer != "" {
		return e.Issuer
	}
	return e.EndpointURL() + "/" + e.UserPoolID
}

// KeysURL is the JWK set that signs its ID tokens.
func (e Environment) KeysURL() string {
	if e.JWKSURL != "" {
		return e.JWKSURL
	}
	return e.IssuerURL() + "/.well-known/jwks.json"
}
