package agent

import "time"

// An Environment is one deployment of the KYC API and the Cognito user pool that
// signs its users in. All fields but ClientSecret are public knowledge.
type Environment struct {
	Name       string // "staging", "prod": also the key in the store, see store.ValidKey
	Region     string // "us-east-2"
	UserPoolID string // "us-east-2_oGu06xbPS"
	ClientID   string // the app client
	APIURL     string // "https://stg.kyc.legaltalent.ai"
	// AllowedHosts may be sent the environment's tokens over HTTPS besides APIURL's own
	// host, as "host" or "host:port" in lower case. A helper that is asked for a URL
	// goes by them.
	AllowedHosts []string

	// AuthFlow is how a sign-in begins; empty means FlowPassword.
	AuthFlow AuthFlow
	// ClientSecret of an app client that has one.
	ClientSecret Secret
	// RefreshTokenValidity is the app client's: a sign-in ends that long after it was
	// made, whatever is refreshed. 0 means DefaultRefreshTokenValidity.
	RefreshTokenValidity time.Duration
	// Unattended lets the agent sign in by itself; nil means that a person does.
	Unattended CredentialSource

	// What AWS credentials are made by: an identity pool, with a role where it is not the
	// pool's own choice, or a role at STS. At most one of IdentityPoolID and AWSRoleARN is
	// set; where neither is, there are no AWS credentials.
	IdentityPoolID string // "us-east-2:0f1c2a7e-…"
	RoleARN        string // "arn:aws:iam::123456789012:role/kyc", with IdentityPoolID
	AWSRoleARN     string // the same form

	// For private endpoints and tests; empty means AWS's own.
	Endpoint string // where Cognito's API is: "http://127.0.0.1:9229"
	Issuer   string // the `iss` its ID tokens carry
	JWKSURL  string // where its signing keys are
	// AWSEndpoint is where the identity pool and STS are called.
	AWSEndpoint string
}

// HasAWS reports whether AWS credentials can be made.
func (e Environment) HasAWS() bool { return e.IdentityPoolID != "" || e.AWSRoleARN != "" }

// awsDiffers reports whether AWS credentials made for old are not those for e.
func (e Environment) awsDiffers(old Environment) bool {
	return e.IdentityPoolID != old.IdentityPoolID || e.RoleARN != old.RoleARN || e.AWSRoleARN != old.AWSRoleARN ||
		e.AWSEndpoint != old.AWSEndpoint || e.Region != old.Region
}

// defaultRefreshTokenValidity is Cognito's own default.
const defaultRefreshTokenValidity = 30 * 24 * time.Hour

// An AuthFlow is the way a user name and password are put to Cognito.
type AuthFlow string

// The flows. The app client must allow the one that is configured.
const (
	FlowPassword AuthFlow = "password" // USER_PASSWORD_AUTH: the password goes to Cognito, in TLS
	FlowSRP      AuthFlow = "srp"      // USER_SRP_AUTH: the password never leaves this machine
	FlowChoice   AuthFlow = "choice"   // USER_AUTH: Cognito offers ways, the person chooses
	FlowCustom   AuthFlow = "custom"   // CUSTOM_AUTH: functions of the user pool's ask, after a proof as by srp
)

// passwordless reports whether a sign-in can begin without a password.
func (f AuthFlow) passwordless() bool { return f == FlowChoice || f == FlowCustom }

// A CredentialSource yields what the agent signs in with by itself.
type CredentialSource interface {
	// Credential reads the user name and password as they are now. Stamp changes
	// whenever what is read does: a credential that Cognito refused for good is not
	// tried again before. The error says what to mend, in a line.
	Credential() (Credential, error)
}

// A Credential is a user name and password from a file.
type Credential struct {
	Username string
	Password Secret
	Stamp    string // not secret
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
