// Package cognito signs in to Amazon Cognito user pools, refreshes, revokes, and mends
// accounts: it is the agent's [agent.Authenticator], for any number of environments.
//
// A newcomer needs one call: [New], whose result goes into agent.Options.
//
// A sign-in begins by the environment's flow (flow.go) and goes from challenge to challenge
// until there are tokens: questions (challenge.go) are put to the person, procedures
// (login.go) do more than ask, or need nobody. Package srp has the mathematics.
//
// What it promises:
//   - One call of Cognito's API per step: nothing here tries a call again, except
//     that a refresh that is refused is made once by Cognito's other refresh call, and
//     a call that the pool refused for a device it has forgotten is made once without.
//   - Every ID token it returns was verified (package idtoken), on Cognito's clock.
//   - A sign-in is called dead (agent.CodeLoginRequired) on Cognito's definite word
//     alone. No answer, a strange answer or a firewall's answer never does it.
//   - A rotated refresh token is kept before the rest of the answer is looked at.
//   - No word of the server's is in an error or a log record: Cognito's messages have
//     been seen to echo tokens, and the SDK's errors quote whole answers.
//
// It talks HTTPS, and plain HTTP to loopback addresses alone.
package cognito

import (
	"context"
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

// Options is what an [Authenticator] is made of. The zero Options is good.
type Options struct {
	// HTTPClient reaches Cognito and its signing keys. nil means one of our own, with
	// the proxy of the environment, TLS 1.2 or later, and a new connection for each
	// call. Redirects are not followed and cookies not kept with either.
	HTTPClient *http.Client
	// Logger gets one debug record per call. nil discards.
	Logger *slog.Logger
	// Resolver looks up names for the client of our own; nil means the machine's.
	Resolver *net.Resolver
	// Proxy finds the proxy for that client's requests; nil means the one of the
	// environment.
	Proxy func(*http.Request) (*url.URL, error)
	// Now is this machine's wall clock; nil means time.Now.
	Now func() time.Time
}

// httpClient is HTTPClient, or one of our own.
func (o Options) httpClient() *http.Client {
	if o.HTTPClient != nil || o.Resolver == nil && o.Proxy == nil {
		return awscall.Client(o.HTTPClient)
	}
	tr := awscall.Transport()
	if o.Proxy != nil {
		tr.Proxy = o.Proxy
	}
	if o.Resolver != nil {
		tr.DialContext = (&net.Dialer{Timeout: callTimeout, Resolver: o.Resolver}).DialContext
	}
	return awscall.Client(&http.Client{Transport: tr})
}

// An Authenticator implements [agent.Authenticator]. It is safe for concurrent use
// and keeps nothing but the pools' public signing keys.
type Authenticator struct {
	http *http.Client
	log  *slog.Logger
	now  func() time.Time
	keys *keyCache
}

var _ agent.Authenticator = (*Authenticator)(nil)

// New makes an Authenticator. It does no network.
func New(o Options) *Authenticator {
	a := &Authenticator{http: o.httpClient(), log: o.Logger, now: awscall.WallClock(o.Now)}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	a.keys = newKeyCache(a.http, a.log, a.now)
	return a
}

// An operation is one call of an Authenticator's.
type operation struct {
	auth    *Authenticator
	name    string // "login", "refresh", "revoke", "recover"
	env     agent.Environment
	command string         // what a person types to have it done, or done again
	flow    flow           // of a sign-in
	ask     agent.Prompter // nil where there is nobody to ask
	api     *cip.Client

	allSignIns bool // a revocation of all sign-ins
}

// newOperation checks the environment before a byte is sent, and makes the SDK's client
// for it. That costs microseconds, so none is kept and a reload needs no care.
func (a *Authenticator) newOperation(name string, env agent.Environment) (*operation, error) {
	o := &operation{auth: a, name: name, env: env, command: "kyc-agentd login " + env.Name}
	if err := o.checkEnvironment(); err != nil {
		return nil, err
	}
	o.api = cip.New(cip.Options{
		Region:       env.Region,
		BaseEndpoint: aws.String(env.EndpointURL()),
		HTTPClient:   awscall.Doer{Client: a.http, Now: a.now},
		// The SDK would send a request up to three times when its answer got lost. A
		// refresh token sent twice forks the sign-in or ends it.
		Retryer: aws.NopRetryer{},
	})
	return o, nil
}

// callTimeout bounds one call of Cognito's API.
const callTimeout = 10 * time.Second

// invoke makes one call. f is handed a context that ends after callTimeout. Exactly
// one of the results Out and *failure is set.
func invoke[Out any](ctx context.Context, o *operation, name string, f func(context.Context) (*Out, error)) (*Out, *awscall.Exchange, *failure) {
	out, x, raw, message := awscall.Make(ctx, awsCall(name, o.env.EndpointURL()), callTimeout, f)
	var fail *failure
	if raw != nil {
		fail = &failure{Failure: *raw, reason: reasonOf(message)}
		if fail.reason == reasonSecretMissing && !o.env.ClientSecret.IsZero() {
			fail.reason = reasonSecretWrong
		}
	}
	o.logCall(ctx, name, x, fail)
	return out, x, fail
}

// awsCall is a call of Cognito's at a URL.
func awsCall(name, url string) awscall.Call {
	return awscall.Call{Name: name, Host: awscall.Host(url), Service: "Cognito", Format: "JSON"}
}

// logCall logs a call: its outcome, never what was in it.
func (o *operation) logCall(ctx context.Context, name string, x *awscall.Exchange, fail *failure) {
	attrs := []slog.Attr{
		slog.String("op", o.name), slog.String("env", o.env.Name), slog.String("call", name),
		slog.Duration("duration", x.Took.Round(time.Millisecond)), slog.Int("status", x.Status),
		slog.Duration("skew", x.Skew()),
	}
	if fail != nil {
		attrs = append(attrs, slog.String("error", fail.Error()))
	}
	o.auth.log.LogAttrs(ctx, slog.LevelDebug, "Cognito call", attrs...)
}
