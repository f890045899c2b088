package agenttest

import (
	"context"
	"fmt"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

var _ agent.Exchanger = (*Authenticator)(nil)

// AWSRules are how an Authenticator makes AWS credentials.
type AWSRules struct {
	Lifetime time.Duration // 0 means an hour
	Latency  time.Duration // before every answer
	// Exchange, if set, decides the n-th exchange (from 1): it returns an error, or nil to
	// go on.
	Exchange func(n int, idToken string) error
}

// SetAWS changes the rules.
func (p *Authenticator) SetAWS(change func(*AWSRules)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.aws)
}

// Exchanges returns how many exchanges there were.
func (p *Authenticator) Exchanges() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exchanges
}

// Exchange follows the rules. The session token of the credentials names the ID token.
func (p *Authenticator) Exchange(ctx context.Context, env agent.Environment, idToken agent.Secret) (agent.AWSResult, error) {
	p.called <- "exchange"
	p.mu.Lock()
	p.exchanges++
	n, rules := p.exchanges, p.aws
	p.mu.Unlock()
	if err := pause(ctx, rules.Latency); err != nil {
		return agent.AWSResult{}, Unavailable(env.Name, "no answer")
	}
	if rules.Exchange != nil {
		if err := rules.Exchange(n, idToken.Reveal()); err != nil {
			return agent.AWSResult{}, err
		}
	}
	if rules.Lifetime == 0 {
		rules.Lifetime = time.Hour
	}
	return agent.AWSResult{
		AccessKeyID:     fmt.Sprintf("ASIA%016d", n),
		SecretAccessKey: agent.NewSecret(fmt.Sprintf("aws-secret-%d", n)),
		SessionToken:    agent.NewSecret("session." + idToken.Reveal()),
		Lifetime:        rules.Lifetime,
	}, nil
}
