// Package managedlogin is a sign-in with a browser, on the pages of a user pool's domain
// (Cognito's managed login): the authorization code grant of OAuth 2.0 with PKCE.
//
// Begin makes an [Attempt], which has everything that must not leave this process: the PKCE
// verifier and the nonce. A person opens [Attempt.URL]; [Attempt.Code] reads the address to
// which the browser returned; [Attempt.Exchange] trades the code for tokens, once:
//
//	attempt := managedlogin.Begin(managedlogin.Client{Domain: domain, ID: clientID, RedirectURI: uri})
//	// … the browser visits attempt.URL() and returns to callback
//	code, err := attempt.Code(callback)
//	tokens, err := attempt.Exchange(ctx, httpClient, code)
//
// The caller verifies the ID token, whose nonce must be [Attempt.Nonce]. No error contains
// text of the server.
//
// https://docs.aws.amazon.com/cognito/latest/developerguide/authorization-endpoint.html
package managedlogin

import (
	"context"
	"crypto/rand"
	"net/http"

	"golang.org/x/oauth2"

	"github.com/legaltalent/kyc-agent/agent"
)

// A Client is an app client of a user pool that has a domain.
type Client struct {
	Domain      string // "https://kyc.auth.us-east-2.amazoncognito.com"
	ID          string
	Secret      func() agent.Secret // the current one; nil if the app client has none
	RedirectURI string              // one that is registered
	Scopes      []string            // empty means openid

	// IdentityProvider is where the domain sends the browser at once, and LoginHint is the user
	// that its pages suggest. Both may be empty.
	IdentityProvider string
	LoginHint        string
}

// An Attempt is one sign-in.
type Attempt struct {
	client   Client
	state    string
	nonce    string
	verifier string
}

// Begin begins a sign-in. It makes no network calls.
func Begin(c Client) *Attempt {
	return &Attempt{client: c, state: rand.Text(), nonce: rand.Text(), verifier: oauth2.GenerateVerifier()}
}

// URL returns the page to open in a browser.
func (a *Attempt) URL() string {
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(a.verifier), oauth2.SetAuthURLParam("nonce", a.nonce)}
	for name, value := range map[string]string{"identity_provider": a.client.IdentityProvider, "login_hint": a.client.LoginHint} {
		if value != "" {
			options = append(options, oauth2.SetAuthURLParam(name, value))
		}
	}
	return a.config().AuthCodeURL(a.state, options...)
}

// Nonce returns the value that `nonce` in the ID token must have.
func (a *Attempt) Nonce() string { return a.nonce }

// Tokens are what an exchange yields.
type Tokens struct {
	ID, Access, Refresh string
	ExpiresIn           int64 // the life of Access in seconds; 0 if the server does not say
}

// Exchange trades a code for tokens. It makes one call: a code is good once, and Cognito burns
// it with a call that fails, too. A server that refuses is an [*oauth2.RetrieveError].
func (a *Attempt) Exchange(ctx context.Context, client *http.Client, code agent.Secret) (*Tokens, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, client)
	t, err := a.config().Exchange(ctx, code.Reveal(), oauth2.VerifierOption(a.verifier))
	if err != nil {
		return nil, err
	}
	id, _ := t.Extra("id_token").(string)
	return &Tokens{ID: id, Access: t.AccessToken, Refresh: t.RefreshToken, ExpiresIn: t.ExpiresIn}, nil
}

func (a *Attempt) config() *oauth2.Config {
	c := &oauth2.Config{
		ClientID: a.client.ID, RedirectURL: a.client.RedirectURI, Scopes: a.client.Scopes,
		Endpoint: oauth2.Endpoint{
			AuthURL: a.client.Domain + "/oauth2/authorize", TokenURL: a.client.Domain + "/oauth2/token",
			// Without a style the first call only finds out the style, and burns the code.
			AuthStyle: oauth2.AuthStyleInParams,
		},
	}
	if len(c.Scopes) == 0 {
		c.Scopes = []string{"openid"}
	}
	if a.client.Secret != nil {
		c.ClientSecret = a.client.Secret().Reveal()
	}
	if c.ClientSecret != "" {
		c.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	}
	return c
}
