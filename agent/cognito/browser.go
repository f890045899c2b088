package cognito

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/aws/smithy-go"
	"golang.org/x/oauth2"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito/managedlogin"
	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

// This file signs in with a browser. Package managedlogin has the protocol; here are the
// person, the calls and the errors. What follows, from the check of the ID token to a refresh,
// is as after any other sign-in.

// browserLife is how long the agent waits for the browser.
const browserLife = 3 * time.Minute

// browserLogin signs in on the pages of the environment's domain.
func (o *operation) browserLogin(ctx context.Context, req agent.LoginRequest) (agent.AuthResult, error) {
	if err := o.checkBrowser(req.RedirectURI); err != nil {
		return agent.AuthResult{}, err
	}
	o.command = "kyc-agentd login --browser " + o.env.Name
	attempt := managedlogin.Begin(managedlogin.Client{
		Domain: o.env.Domain, ID: o.env.ClientID, Secret: o.env.ClientSecret.Current, RedirectURI: req.RedirectURI,
		Scopes: o.env.Scopes, IdentityProvider: o.env.IdentityProvider, LoginHint: req.Username,
	})
	code, err := o.awaitBrowser(ctx, attempt)
	if err != nil {
		return agent.AuthResult{}, err
	}
	s, err := o.exchangeCode(ctx, attempt, code)
	if err != nil {
		return agent.AuthResult{}, err
	}
	o.nonce = attempt.Nonce()
	// The app client may not allow REFRESH_TOKEN_AUTH: it needs no flow for its pages.
	si := &signIn{op: o, refreshAPI: apiGetTokens}
	return si.finish(ctx, s)
}

// browserHint is the next step of a user who can only sign in with a browser: with a passkey, or
// at another identity provider.
func (o *operation) browserHint() string {
	if o.env.Domain == "" {
		return "set domain and redirect_uris of environment " + o.env.Name + ", which the user pool's administrator knows, " +
			"then run: kyc-agentd reload && kyc-agentd login --browser " + o.env.Name
	}
	return "run: kyc-agentd login --browser " + o.env.Name
}

func (o *operation) checkBrowser(redirectURI string) error {
	switch {
	case o.env.Domain == "" || len(o.env.RedirectURIs) == 0:
		return o.misconfigured("a sign-in with a browser needs domain and redirect_uris, which are not set")
	case !slices.Contains(o.env.RedirectURIs, redirectURI):
		return o.errorf(agent.CodeUsage, o.rerunHint(), "that redirect_uri is none of the environment's redirect_uris")
	}
	if problem := awscall.CheckURL(o.env.Domain); problem != "" {
		return o.misconfigured("domain " + problem)
	}
	return nil
}

// awaitBrowser sends the person to the browser and returns the code with which it comes back.
func (o *operation) awaitBrowser(ctx context.Context, attempt *managedlogin.Attempt) (code agent.Secret, err error) {
	tooLate := o.errorf(agent.CodeLoginRequired, "begin again: "+o.rerunHint(), "the browser did not return within %d minutes", browserLife/time.Minute)
	ctx, cancel := context.WithTimeoutCause(ctx, browserLife, tooLate)
	defer cancel()
	c := agent.Challenge{
		Environment: o.env.Name, Name: agent.ChallengeBrowser, Prompt: "Sign in with a browser", BrowserURL: attempt.URL(),
		Fields: []agent.Field{{Name: agent.FieldCallback, Label: "Address at which the browser ended"}},
	}
	err = o.promptUntilAccepted(ctx, &c, func(given agent.Answers) (string, error) {
		var err error
		code, err = attempt.Code(given[agent.FieldCallback].Reveal())
		if mistake, ok := errors.AsType[managedlogin.Mistake](err); ok {
			return mistake.Error(), nil
		}
		if refusal, ok := errors.AsType[managedlogin.Refusal](err); ok {
			return "", o.browserRefused(string(refusal))
		}
		return "", err
	})
	return code, err
}

// browserRefused is the error for a callback with an error instead of a code.
func (o *operation) browserRefused(code string) error {
	mapping, ok := callbackMapping.lookUp(code)
	if !ok {
		mapping = callbackRefused
	}
	f := &failure{Failure: awscall.Failure{Call: awsCall("authorize", o.env.Domain), Code: code}}
	return o.errorFrom(mapping, f)
}

// exchangeCode trades the code for tokens. If the answer comes when nobody waits for it any
// more, the sign-in that it grants is revoked.
func (o *operation) exchangeCode(ctx context.Context, attempt *managedlogin.Attempt, code agent.Secret) (step, error) {
	client := &http.Client{
		Transport:     doerTransport{awscall.Doer{Client: o.auth.http, Now: o.auth.now}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	exchange := func(ctx context.Context) (*types.AuthenticationResultType, error) {
		tokens, err := attempt.Exchange(ctx, client, code)
		if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.ErrorCode != "" {
			return nil, &smithy.GenericAPIError{Code: refused.ErrorCode}
		}
		if err != nil {
			return nil, err
		}
		return &types.AuthenticationResultType{
			IdToken: aws.String(tokens.ID), AccessToken: aws.String(tokens.Access), RefreshToken: aws.String(tokens.Refresh),
			ExpiresIn: int32(min(max(tokens.ExpiresIn, 0), 1<<31-1)),
		}, nil
	}
	discard := func(late *types.AuthenticationResultType) { o.discardLate(context.WithoutCancel(ctx), late) }
	const name = "token"
	var s step
	fail := o.withRenewedSecret(ctx, func() *failure {
		result, x, raw, message := awscall.MakeKept(ctx, awsCall(name, o.env.Domain), answerTimeout, exchange, discard)
		s = step{result: result, x: x}
		fail := o.examine(ctx, name, x, raw, message)
		if fail != nil && fail.Code == "invalid_client" && !o.env.ClientSecret.Current().IsZero() {
			fail.reason = reasonSecretWrong
		}
		return fail
	})
	if fail != nil {
		e := o.errorFor(exchangeMapping, fail)
		e.Hint = strings.ReplaceAll(e.Hint, "endpoint of", "domain of") // the server is not the API's
		return step{}, e
	}
	return s, nil
}

// A doerTransport makes calls by way of an [awscall.Doer], for a client that takes no Doer.
type doerTransport struct{ doer awscall.Doer }

// RoundTrip implements [http.RoundTripper].
func (t doerTransport) RoundTrip(req *http.Request) (*http.Response, error) { return t.doer.Do(req) }
