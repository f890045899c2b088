// Package cognito signs in to Amazon Cognito user pools, refreshes and revokes tokens, and
// recovers accounts. It implements [agent.Authenticator], for any number of environments.
//
// There is one call: [New], whose result goes into agent.Options:
//
//	a, err := agent.New(agent.Options{Authenticator: cognito.New(cognito.Options{}), …})
//
// A sign-in (login.go) begins with the environment's flow (authflow.go) and goes from
// challenge to challenge until there are tokens. Most challenges are questions that the
// person answers (challenge.go, customchallenge.go, newpassword.go, mfa.go); the others have
// handlers that do more, or that need no person (password.go with package srp, factor.go,
// mfasetup.go, device.go). An account that must be confirmed or whose password must be reset
// is recovered during the sign-in (loginrecovery.go) or by request (recover.go).
//
// Calls are made by call.go. A failed call is read by failure.go and translated for the person
// by errors.go, with the tables in mappings.go.
//
// What the package promises:
//   - One call of Cognito's API per step. No call is repeated, with four exceptions: a refused
//     refresh is tried once with Cognito's other refresh call, a call that the pool refused
//     because it no longer knows the device is made once without the device, a call whose
//     client secret was refused is made once with the one that replaces it (clientsecret.go),
//     and a call of a sign-in or of an account's recovery that failed for a moment is tried
//     again within seconds (tries.go).
//   - A password is not sent again after Cognito has refused it.
//   - Nothing that Cognito grants is left behind: a sign-in whose answer comes after its caller
//     went away is revoked.
//   - Every ID token that it returns was verified (package idtoken), by Cognito's clock.
//   - It declares a sign-in ended (agent.CodeLoginRequired) only after a definite answer of
//     Cognito: never after no answer, an unknown answer, or the answer of a firewall.
//   - A rotated refresh token is stored before the rest of the answer is examined.
//   - Errors and log records contain no text of the server: Cognito's messages have been
//     seen to echo tokens, and the SDK's errors quote whole answers.
//
// It uses HTTPS, and plain HTTP to loopback addresses only.
package cognito

import (
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cip "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

// Options configures an [Authenticator]. The zero value is usable.
type Options struct {
	// HTTPClient makes the calls to Cognito and fetches its signing keys. nil means a
	// default client, with the proxy of the environment variables, TLS 1.2 or later, and a
	// new connection for each call. No client follows redirects or keeps cookies.
	HTTPClient *http.Client
	// Logger gets one debug record per call. nil discards.
	Logger *slog.Logger
	// Resolver looks up names for the default client; nil means the machine's resolver.
	Resolver *net.Resolver
	// Proxy finds the proxy for requests of the default client; nil means the proxy of the
	// environment variables.
	Proxy func(*http.Request) (*url.URL, error)
	// Now is this machine's wall clock; nil means time.Now.
	Now func() time.Time
}

// httpClient returns HTTPClient, or the default client.
func (o Options) httpClient() *http.Client {
	if o.HTTPClient != nil || o.Resolver == nil && o.Proxy == nil {
		return awscall.Client(o.HTTPClient)
	}
	tr := awscall.Transport()
	if o.Proxy != nil {
		tr.Proxy = o.Proxy
	}
	if o.Resolver != nil {
		tr.DialContext = (&net.Dialer{Timeout: awscall.ConnectTimeout, Resolver: o.Resolver}).DialContext
	}
	return awscall.Client(&http.Client{Transport: tr})
}

// An Authenticator implements [agent.Authenticator]. It is safe for concurrent use. Its only
// state are the pools' public signing keys, and what refreshMemory remembers for minutes.
type Authenticator struct {
	http *http.Client
	log  *slog.Logger
	now  func() time.Time
	keys *keyCache

	refreshes refreshMemory
}

var _ agent.Authenticator = (*Authenticator)(nil)

// New returns an Authenticator. It makes no network calls.
func New(o Options) *Authenticator {
	a := &Authenticator{http: o.httpClient(), log: o.Logger, now: awscall.WallClock(o.Now)}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	a.refreshes.init()
	a.keys = newKeyCache(a.http, a.log, a.now)
	return a
}

// An operation is one call of a method of Authenticator. It makes one or more calls of
// Cognito's API.
type operation struct {
	auth    *Authenticator
	name    string // "login", "refresh", "revoke", "recover"
	env     agent.Environment
	command string         // the command line that starts it, or starts it again
	flow    flow           // of a sign-in
	ask     agent.Prompter // nil if there is nobody to ask
	api     *cip.Client

	nonce      string   // that an ID token must have; empty except in a sign-in with a browser
	allSignIns bool     // a revocation of all sign-ins
	rules      []string // for a new password, as far as Cognito has named them
}

// newOperation checks the environment before anything is sent, and makes the SDK's client for
// it. A client costs microseconds, so none is cached and a reload has nothing to invalidate.
func (a *Authenticator) newOperation(name string, env agent.Environment) (*operation, error) {
	o := &operation{auth: a, name: name, env: env, command: "kyc-agentd login " + env.Name}
	if err := o.checkEnvironment(); err != nil {
		return nil, err
	}
	o.api = cip.New(cip.Options{
		Region:       env.Region,
		BaseEndpoint: aws.String(env.EndpointURL()),
		HTTPClient:   awscall.Doer{Client: a.http, Now: a.now},
		// By default the SDK sends a request up to three times if the answer gets lost. A
		// refresh token that is sent twice forks the sign-in or ends it.
		Retryer: aws.NopRetryer{},
	})
	return o, nil
}
