// Package tokensource lets Go programs call the KYC API with the agent's tokens.
//
// A newcomer needs one type, [Transport], which puts a token on every request to the
// environment's API:
//
//	client := &http.Client{Transport: &tokensource.Transport{Source: tokensource.Source{Environment: "prod"}}}
//
// A library that wants an [oauth2.TokenSource] is given a [Source]. Neither prompts,
// reads ~/.netrc or keeps a token: the agent answers from its memory within a
// millisecond and refreshes ahead of time, so asking for every request is right. When
// there is no token, no request is made, and the error says what to type:
//
//	if errors.Is(err, agent.CodeLoginRequired) { … }
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
	// early is how long before its end a token is said to end, or half of what is left
	// where that is less: what was put on a request has a way to go.
	early = time.Minute
	// endless is how long an API key, which has no end, is said to last: a logout takes
	// it away all the same.
	endless = 5 * time.Minute
	// askTimeout bounds a request for a token that comes without a context.
	askTimeout = 8 * time.Second
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

// Token returns an ID token as a bearer token. It is asked for anew each time; who
// keeps it, as [oauth2.ReuseTokenSource] does, may do so until its Expiry, which is 60
// seconds before the token's own end. Errors are [agent.Error]s.
func (s *Source) Token() (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	t, err := s.token(ctx, 0)
	if err != nil {
		return nil, err
	}
	return &oauth2.Token{AccessToken: t.IDToken.Reveal(), TokenType: "Bearer", Expiry: expiry(t, time.Now())}, nil
}

// APIURL is where the environment's API is: "https://kyc.legaltalent.ai". The agent
// tells it together with a token, so there has to be one.
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

// expiry is until when t may be kept.
func expiry(t agent.Token, now time.Time) time.Time {
	if t.ExpiresAt.IsZero() {
		return now.Add(endless)
	}
	return t.ExpiresAt.Add(-max(0, min(early, left(t, now)/2)))
}

// left is the remaining life of t. Round(0) drops the monotonic reading, which stands
// still while the machine sleeps.
func left(t agent.Token, now time.Time) time.Duration { return t.ExpiresAt.Round(0).Sub(now.Round(0)) }
