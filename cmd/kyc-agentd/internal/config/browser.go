package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/lazyregexp"
	"github.com/legaltalent/kyc-agent/internal/origin"
)

// This file has the kinds of value of a sign-in with a browser, and what holds between them.

type (
	// Domain is the URL of a user pool's domain.
	Domain = Text[domainKind]
	// RedirectURIs are the value of redirect_uris.
	RedirectURIs []Text[redirectKind]
	// ProviderName is the name of an identity provider of a user pool.
	ProviderName = Text[providerKind]
	// Scopes are the value of scopes.
	Scopes []Text[scopeKind]
)

type domainKind struct{}

func (domainKind) check(s string) error {
	if err := (urlKind{}).check(s); err != nil {
		return err
	}
	if u, err := url.Parse(s); err != nil || u.Path != "" && u.Path != "/" {
		return errors.New("a domain with a path; want only scheme and host, such as https://kyc.auth.us-east-2.amazoncognito.com")
	}
	return nil
}

type redirectKind struct{}

// check refuses everything that a listener on this machine cannot receive, and what Cognito
// would not register. No error shows s: somebody may have written a callback with a code there.
func (redirectKind) check(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return errors.New("not a URL; want one such as http://localhost:8765/callback")
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	switch {
	case u.Scheme != "http" || !origin.IsLoopback(u.Hostname()):
		return errors.New("not a callback on this machine; want one such as http://localhost:8765/callback")
	case err != nil || port == 0:
		return errors.New("a callback without a fixed port; want one such as http://localhost:8765/callback, as Cognito compares the whole")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("a callback with a user, a query or a fragment; leave them out")
	case u.String() != s:
		return errors.New("a callback that browsers write differently; want one such as http://localhost:8765/callback")
	}
	return nil
}

// Shapes of Cognito's API reference: ProviderNameType, ScopeType.
var (
	providerShape = lazyregexp.New(`^[^_\s\pC][^\s\pC]*$`)
	scopeShape    = lazyregexp.New(`^[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]+$`) // no comma: a list has them
)

type providerKind struct{}

func (providerKind) check(s string) error {
	return checkShape(s, providerShape, 4*32, "identity provider", "Google")
}

type scopeKind struct{}

func (scopeKind) check(s string) error { return checkShape(s, scopeShape, 256, "scope", "openid") }

const maxRedirectURIs = 10

// checkBrowser checks what a sign-in with a browser needs.
func (e Environment) checkBrowser(name string) error {
	wrong := func(format string, args ...any) error {
		return Errorf("environments.%s: %s", name, fmt.Sprintf(format, args...))
	}
	redirects, scopes := texts(e.RedirectURIs), texts(e.Scopes)
	slices.Sort(redirects)
	switch browser := e.AuthFlow.s == string(agent.FlowBrowser); {
	case e.Domain.s != "" && len(redirects) == 0:
		return wrong("domain is set and redirect_uris is not; set it to callback URLs of the app client, such as http://localhost:8765/callback")
	case e.Domain.s == "" && (browser || len(redirects) > 0 || e.IdentityProvider.s != "" || len(scopes) > 0):
		return wrong("domain is missing, which auth_flow = \"browser\", redirect_uris, identity_provider and scopes need")
	case browser && e.Username.s != "":
		return wrong(`username is set, and auth_flow is "browser": only a person can sign in with a browser; choose another auth_flow`)
	case len(redirects) > maxRedirectURIs:
		return wrong("redirect_uris has %d URLs; at most %d", len(redirects), maxRedirectURIs)
	case len(slices.Compact(redirects)) < len(e.RedirectURIs):
		return wrong("redirect_uris has a URL twice")
	case len(scopes) > 0 && !slices.Contains(scopes, "openid"):
		return wrong("scopes lacks openid, without which there is no ID token")
	}
	return nil
}
