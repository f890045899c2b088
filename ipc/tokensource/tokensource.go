// Package tokensource lets Go programs call the KYC API with the agent's tokens.
//
// Use one type, [Transport], which adds a token to every request to the environment's API:
//
//	client := &http.Client{Transport: &tokensource.Transport{Source: tokensource.Source{Environment: "prod"}}}
//
// For a library that takes an [oauth2.TokenSource] there is [Source]. Neither type prompts,
// reads ~/.netrc or keeps a token: the agent answers from its memory within a millisecond
// and refreshes ahead of time, so it is asked for every request. If there is no token, no
// request is sent, and the error says which command to run:
//
//	if errors.Is(err, agent.CodeLoginRequired) { … }
//
// # Redirects
//
// A client of [oauth2.NewClient] over a [Source] sends the token wherever its requests go: it
// follows a redirect to another host with the token, because it adds the header to every
// request of the client. [Transport] refuses such a request. Where a library wants a Source,
// give its client a CheckRedirect that returns [http.ErrUseLastResponse].
package tokensource

import (
	"cmp"
	"context"
	"os"
	"time"

	"golang.org/x/oauth2"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc"
)

const (
	// early is how long before its end a token is reported to expire (or half of the
	// remaining life, if that is less): a request that has it needs time to arrive.
	early = time.Minute
	// apiKeyLife is how long an API key is reported to be valid. It does not expire, but a
	// logout removes it.
	apiKeyLife = 5 * time.Minute
	// tokenTimeout bounds a request for a token that has no context.
	tokenTimeout = 8 * time.Second
)

// A Source is an [oauth2.TokenSource] for one environment. The zero Source is ready to
// use. Set the fields before the first call; calls may run at the same time.
type Source struct {
	// Environment is "staging", "prod", …; empty means $KYC_ENV, else the agent's default.
	Environment string
	// Service is where tokens come from; nil means the agent on its usual socket.
	Service agent.Service
}

var _ oauth2.TokenSource = (*Source)(nil)

// Token returns an ID token as a bearer token, and asks the agent each time. A caller that
// keeps it, such as [oauth2.ReuseTokenSource], may do so until its Expiry, which is 60
// seconds before the token's own end. Errors are [agent.Error]s.
func (s *Source) Token() (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(context.Background(), tokenTimeout)
	defer cancel()
	t, err := s.token(ctx, 0)
	if err != nil {
		return nil, err
	}
	return &oauth2.Token{AccessToken: t.IDToken.Reveal(), TokenType: "Bearer", Expiry: expiry(t, time.Now())}, nil
}

// APIURL returns the URL of the environment's API: "https://kyc.legaltalent.ai". The agent
// sends it together with a token, so it is an error if there is no token.
func (s *Source) APIURL(ctx context.Context) (string, error) {
	t, err := s.token(ctx, 0)
	return t.APIURL, err
}

func (s *Source) token(ctx context.Context, minValid time.Duration) (agent.Token, error) {
	service := s.Service
	if service == nil {
		service = new(ipc.Client)
	}
	return service.Token(ctx, agent.TokenRequest{Environment: cmp.Or(s.Environment, os.Getenv("KYC_ENV")), MinValid: minValid})
}

// expiry returns until when t may be kept.
func expiry(t agent.Token, now time.Time) time.Time {
	if t.ExpiresAt.IsZero() {
		return now.Add(apiKeyLife)
	}
	return t.ExpiresAt.Add(-max(0, min(early, left(t, now)/2)))
}

// left returns the remaining life of t. Round(0) drops the monotonic reading, which stands
// still while the machine sleeps.
func left(t agent.Token, now time.Time) time.Duration { return t.ExpiresAt.Round(0).Sub(now.Round(0)) }
