package managedlogin

import (
	"crypto/subtle"
	"net/url"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/lazyregexp"
)

// A Mistake is what is wrong with an address that is no answer of this sign-in, in words for
// the person, who may paste another one. The sign-in goes on.
type Mistake string

// Error returns the words.
func (m Mistake) Error() string { return string(m) }

// The mistakes.
const (
	mistakeNotURL    Mistake = "that is not an address; paste all of what the browser shows in its address bar"
	mistakeThePage   Mistake = "that is the page to open; paste the address at which the browser ends"
	mistakeElsewhere Mistake = "the browser has not returned there yet, or that is of another environment; paste the address that begins with "
	mistakeHalf      Mistake = "a part of the address is missing: it has code=… and state=… in it; paste all of it"
	mistakeState     Mistake = "that is the address of another sign-in; paste the one of the page that was opened last"
)

// A Refusal is the error that the domain sent instead of a code: "access_denied" (RFC 6749,
// 4.1.2.1). It ends the sign-in.
type Refusal string

// Error returns the code.
func (r Refusal) Error() string { return string(r) }

// refusalPattern matches the codes that may be shown.
var refusalPattern = lazyregexp.New(`^[a-z_]{1,64}$`)

// Code returns the authorization code of the address to which the browser returned. An error
// is a [Mistake] or a [Refusal].
func (a *Attempt) Code(callback string) (agent.Secret, error) {
	u, err := url.Parse(strings.Trim(callback, " \t\r\n\"'<>"))
	if err != nil || u.Scheme == "" || u.Host == "" {
		return agent.Secret{}, mistakeNotURL
	}
	expected, _ := url.Parse(a.client.RedirectURI)
	page, _ := url.Parse(a.client.Domain)
	switch {
	case sameEndpoint(u, expected):
	case u.Host == page.Host && strings.HasPrefix(u.Path, "/oauth2/authorize"):
		return agent.Secret{}, mistakeThePage
	default:
		return agent.Secret{}, mistakeElsewhere + Mistake(a.client.RedirectURI)
	}
	query, err := url.ParseQuery(u.RawQuery)
	state, refusal, code := query["state"], query["error"], query["code"]
	switch {
	case err != nil || len(state) != 1 || len(code)+len(refusal) != 1 || len(code) == 1 && code[0] == "":
		return agent.Secret{}, mistakeHalf
	case subtle.ConstantTimeCompare([]byte(state[0]), []byte(a.state)) != 1:
		return agent.Secret{}, mistakeState
	case len(refusal) == 1 && refusalPattern.MatchString(refusal[0]):
		return agent.Secret{}, Refusal(refusal[0])
	case len(refusal) == 1:
		return agent.Secret{}, Refusal("an error with an invalid name")
	}
	return agent.NewSecret(code[0]), nil
}

// sameEndpoint reports whether u is the URL want, but for a query. A browser adds the path "/".
func sameEndpoint(u, want *url.URL) bool {
	path := func(u *url.URL) string { return "/" + strings.TrimPrefix(u.EscapedPath(), "/") }
	return u.Scheme == want.Scheme && u.Host == want.Host && path(u) == path(want)
}
