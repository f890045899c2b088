package agent

import (
	"net/url"
	"strings"
	"time"
)

// An Environment is one deployment of the KYC API and the Cognito user pool that
// signs its users in. Only ClientSecret is a secret.
type Environment struct {
	Name       string // "staging", "prod": also the key in the store, see store.ValidKey
	Region     string // "us-east-2"
	UserPoolID string // "us-east-2_oGu06xbPS"
	ClientID   string // the app client
	APIURL     string // "https://stg.kyc.legaltalent.ai"
	// AllowedHosts are hosts besides that of APIURL to which the environment's tokens may be
	// sent over HTTPS, as "host" or "host:port" in lower case. A credential helper that is
	// asked for a URL checks it against them.
	AllowedHosts []string
	// APIRate bounds the requests that are forwarded to the API; zero means that only the
	// API's own limit does.
	APIRate Rate

	// AuthFlow is how a sign-in begins; empty means FlowPassword.
	AuthFlow AuthFlow
	// ClientSecret of an app client that has one; nil if it has none.
	ClientSecret *ClientSecret
	// RefreshTokenValidity is a setting of the app client: a sign-in ends that long after it
	// was made, and refreshes do not extend it. 0 means Cognito's default, 30 days.
	RefreshTokenValidity time.Duration
	// Unattended lets the agent sign in by itself; nil means that a person signs in.
	Unattended CredentialSource
	// FallbackOwn lets an agent of a fleet sign in with Unattended for itself while it cannot
	// reach the fleet's store.
	FallbackOwn bool

	// Domain is where users sign in with a browser, a URL without a path:
	// "https://kyc.auth.us-east-2.amazoncognito.com". Empty means that they cannot.
	Domain string
	// RedirectURIs are callback URLs of the app client, on loopback with fixed ports.
	RedirectURIs []string
	// IdentityProvider is where Domain sends the browser at once: "Google". Empty means that
	// the person chooses.
	IdentityProvider string
	// Scopes of such a sign-in; empty means openid.
	Scopes []string

	// HandOutAccessTokens allows requests for the access token, too. It can change the account.
	HandOutAccessTokens bool

	// How AWS credentials are made: by an identity pool, with RoleARN if the pool does not
	// choose the role, or by a role at STS. At most one of IdentityPoolID and AWSRoleARN is
	// set; if neither is, there are no AWS credentials.
	IdentityPoolID string // "us-east-2:0f1c2a7e-…"
	RoleARN        string // "arn:aws:iam::123456789012:role/kyc", with IdentityPoolID
	AWSRoleARN     string // the same form

	// For private endpoints and tests; empty means the public ones of AWS.
	Endpoint string // of Cognito's API: "http://127.0.0.1:9229"
	Issuer   string // the `iss` of its ID tokens; see Issuers
	JWKSURL  string // of its signing keys, whatever the issuer
	// AWSEndpoint is the endpoint of the identity pool and of STS.
	AWSEndpoint string
}

// HasAWS reports whether AWS credentials can be made.
func (e Environment) HasAWS() bool { return e.IdentityPoolID != "" || e.AWSRoleARN != "" }

// browserSignIn returns what a client needs for a sign-in with a browser, or nil.
func (e Environment) browserSignIn() *BrowserSignIn {
	if e.Domain == "" || len(e.RedirectURIs) == 0 {
		return nil
	}
	// Cognito compares logout_uri with the app client's sign-out URLs.
	query := url.Values{"client_id": {e.ClientID}, "logout_uri": {e.RedirectURIs[0]}}
	return &BrowserSignIn{
		Default: e.AuthFlow == FlowBrowser, RedirectURIs: e.RedirectURIs, LogoutURL: e.Domain + "/logout?" + query.Encode(),
	}
}

// awsDiffers reports whether AWS credentials made for old are not valid for e.
func (e Environment) awsDiffers(old Environment) bool {
	return e.IdentityPoolID != old.IdentityPoolID || e.RoleARN != old.RoleARN || e.AWSRoleARN != old.AWSRoleARN ||
		e.AWSEndpoint != old.AWSEndpoint || e.Region != old.Region
}

// defaultRefreshTokenValidity is Cognito's default.
const defaultRefreshTokenValidity = 30 * 24 * time.Hour

// An AuthFlow is how Cognito checks a user name and password.
type AuthFlow string

// The flows. The app client must allow the one that is configured.
const (
	FlowPassword AuthFlow = "password" // USER_PASSWORD_AUTH: the password goes to Cognito, in TLS
	FlowSRP      AuthFlow = "srp"      // USER_SRP_AUTH: the password never leaves this machine
	FlowChoice   AuthFlow = "choice"   // USER_AUTH: Cognito offers factors, the person chooses
	FlowCustom   AuthFlow = "custom"   // CUSTOM_AUTH: the user pool's Lambda functions ask, after SRP
	FlowBrowser  AuthFlow = "browser"  // the pages of Environment.Domain ask: see LoginRequest.RedirectURI
)

// ShowsPassword reports whether the server may see the password itself: with FlowChoice it may
// ask for it. The empty flow is FlowPassword.
func (f AuthFlow) ShowsPassword() bool { return f != FlowSRP && f != FlowCustom }

// passwordless reports whether a sign-in may start without a password.
func (f AuthFlow) passwordless() bool { return f == FlowChoice || f == FlowCustom }

// A CredentialSource provides the credential of an unattended sign-in.
type CredentialSource interface {
	// Credential reads the current user name and password. Stamp changes whenever they
	// do: a credential that Cognito refused permanently is not tried again before that.
	// The error says in one line what to fix.
	Credential() (Credential, error)
}

// A Credential is a user name and password from a file.
type Credential struct {
	Username string
	Password Secret
	Stamp    string // not secret
}

// EndpointURL is the URL of Cognito's API.
func (e Environment) EndpointURL() string {
	if e.Endpoint != "" {
		return e.Endpoint
	}
	return "https://cognito-idp." + e.Region + ".amazonaws.com"
}

// Issuers returns the values of `iss` that an ID token of this environment may carry. A user
// pool has two, and its administrator can change from the one to the other at any time. A replica in another region has the same pool id, and writes
// its own region or the pool's.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_IssuerConfigurationType.html
func (e Environment) Issuers() []string {
	if e.Issuer != "" {
		return []string{e.Issuer}
	}
	if e.Endpoint != "" && !isAWSEndpoint(e.Endpoint) {
		return []string{e.Endpoint + "/" + e.UserPoolID}
	}
	regions := []string{e.Region}
	if home, _, ok := strings.Cut(e.UserPoolID, "_"); ok && home != e.Region {
		regions = append(regions, home)
	}
	var issuers []string
	for _, service := range []string{"cognito-idp", "issuer-cognito-idp"} {
		for _, region := range regions {
			issuers = append(issuers, "https://"+service+"."+region+".amazonaws.com/"+e.UserPoolID)
		}
	}
	return issuers
}

// isAWSEndpoint reports whether a URL is below a domain of AWS. The FIPS, VPC and dual-stack
// endpoints of Cognito, and an API gateway in front of it, do not change the issuer.
func isAWSEndpoint(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "https" {
		return false
	}
	host := strings.ToLower(u.Hostname())
	return strings.HasSuffix(host, ".amazonaws.com") || strings.HasSuffix(host, ".api.aws")
}

// IssuerURL is the first of [Environment.Issuers]: the pool's name for other services.
func (e Environment) IssuerURL() string { return e.Issuers()[0] }

// KeysURL is the URL of the JWK set that verifies the ID tokens with the `iss` issuer.
func (e Environment) KeysURL(issuer string) string {
	if e.JWKSURL != "" {
		return e.JWKSURL
	}
	return issuer + "/.well-known/jwks.json"
}
