// Package agenttest tests implementations of [agent.Service] and stands in for
// the identity provider.
//
// [TestService] runs one conformance test over any Service; [NewAuthenticator] returns a
// provider whose every answer a test can script.
package agenttest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

// What a new Authenticator accepts.
const (
	User     = "ada@example.com"
	Password = "correct horse battery staple"
	// MFAUser has the same password and gets a challenge, which MFACode answers.
	MFAUser = "grace@example.com"
	MFACode = "123456"
	// RecoveryCode is the code that Recover asks for.
	RecoveryCode = "654321"
)

// An Authenticator is an identity provider in memory. Set changes its rules between calls.
// It rotates refresh tokens as Cognito does: a used one is invalid at once, and its reuse is
// refused.
type Authenticator struct {
	mu        sync.Mutex
	rules     Rules
	serial    int
	live      map[string]bool      // the valid refresh tokens
	retired   map[string]time.Time // those that Rules.Grace still accepts, and until when
	rotated   map[string]string    // the refresh token that each was last exchanged for
	sent      []Sent
	refreshes int
	revoked   []string
	device    agent.Device
	called    chan string

	aws       AWSRules
	exchanges int
}

// Rules are how an Authenticator answers.
type Rules struct {
	Lifetime time.Duration // of ID tokens; 0 means an hour
	Rotate   bool          // every refresh yields a new refresh token and makes the old one invalid
	Latency  time.Duration // before every refresh is processed
	Late     time.Duration // from then to the answer
	Skew     time.Duration // reported with every result
	Age      time.Duration // of tokens that were kept until they could be verified
	// SignedInAgo makes sign-ins look that old.
	SignedInAgo time.Duration
	// Login, if set, is the error of every sign-in.
	Login error
	// HoldLogin, if set, holds up every sign-in that begins now until it is closed.
	HoldLogin chan struct{}
	// HoldRevoke does that with revocations.
	HoldRevoke chan struct{}
	// Revoke, if set, is the error of every revocation.
	Revoke error
	// Device is given to every new sign-in.
	Device         agent.Device
	AccessLifetime time.Duration // of access tokens; 0 says nothing
	// Username, if set, is the name that the user pool has for every user.
	Username string
	// RefreshAPI is reported with every refresh.
	RefreshAPI string
	// Grace is how long a refresh token is accepted after it was rotated.
	Grace time.Duration
	// Refresh, if set, decides the n-th refresh (from 1): it returns an error, or nil to go
	// on.
	Refresh func(ctx context.Context, n int) error
	// Processed makes a refresh that fails rotate the refresh token nevertheless, as if the
	// answer was lost. With Delivered, keep gets the new refresh token before the error.
	Processed, Delivered bool
}

var _ agent.Authenticator = (*Authenticator)(nil)

// NewAuthenticator returns an Authenticator that accepts User and MFAUser.
func NewAuthenticator() *Authenticator {
	return &Authenticator{
		live: make(map[string]bool), retired: make(map[string]time.Time), rotated: make(map[string]string), called: make(chan string, 10000),
	}
}

// A Sent is what one call sent to an endpoint.
type Sent struct {
	Call         string // "login", "refresh", "revoke" or "revoke-all"
	Endpoint     string
	RefreshToken string
	DeviceKey    string
	At           time.Time
}

// Sent returns what was sent, in order.
func (p *Authenticator) Sent() []Sent {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.sent)
}

func (p *Authenticator) record(call string, env agent.Environment, refreshToken agent.Secret, d agent.Device) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, Sent{Call: call, Endpoint: env.EndpointURL(), RefreshToken: refreshToken.Reveal(), DeviceKey: d.Key, At: time.Now()})
}

// Set changes the rules.
func (p *Authenticator) Set(change func(*Rules)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.rules)
}

// Called yields "login", "refresh", "revoke" or "exchange" as each call arrives.
func (p *Authenticator) Called() <-chan string { return p.called }

// Refreshes returns how many refresh calls there were.
func (p *Authenticator) Refreshes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refreshes
}

// Revoked returns every refresh token that was revoked, in order.
func (p *Authenticator) Revoked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.revoked)
}

// Device returns the device that the last sign-in or refresh was called with.
func (p *Authenticator) Device() agent.Device {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.device
}

// Live returns how many refresh tokens are valid.
func (p *Authenticator) Live() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.live)
}

// EndAll ends every sign-in at the provider, as an administrator would.
func (p *Authenticator) EndAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.live)
	clear(p.retired)
}

// Login accepts User with Password; it asks MFAUser for MFACode as well.
func (p *Authenticator) Login(ctx context.Context, env agent.Environment, req agent.LoginRequest, ask agent.Prompter) (agent.AuthResult, error) {
	p.called <- "login"
	p.record("login", env, agent.Secret{}, req.Device)
	p.mu.Lock()
	failed, hold := p.rules.Login, p.rules.HoldLogin
	p.device = req.Device
	p.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if failed != nil {
		return agent.AuthResult{}, failed
	}
	if req.Password.Reveal() != Password || req.Username != User && req.Username != MFAUser {
		return agent.AuthResult{}, &agent.Error{
			Code: agent.CodeLoginRequired, Op: "login", Environment: env.Name,
			Message: "Invalid username or password", Hint: "run again: kyc-agentd login " + env.Name, Err: agent.ErrBadCredential,
		}
	}
	if req.Username == MFAUser {
		if err := askCode(ctx, env, ask); err != nil {
			return agent.AuthResult{}, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := agent.SignIn{Username: cmp.Or(p.rules.Username, req.Username), Subject: "sub-of-" + req.Username, Device: p.rules.Device}
	if p.rules.SignedInAgo > 0 {
		s.SignedInAt = time.Now().Add(-p.rules.SignedInAgo)
	}
	return p.resultLocked(s, p.issueLocked()), nil
}

func askCode(ctx context.Context, env agent.Environment, ask agent.Prompter) error {
	c := agent.Challenge{
		Environment: env.Name, Name: "SOFTWARE_TOKEN_MFA", Prompt: "Code from your authenticator app",
		Fields: []agent.Field{{Name: "code", Label: "Code"}},
	}
	for {
		answers, err := ask(ctx, c)
		if err != nil {
			return &agent.Error{Code: agent.CodeUsage, Op: "login", Environment: env.Name, Message: "sign-in given up", Err: err}
		}
		if answers["code"].Reveal() == MFACode {
			return nil
		}
		c.Problem = "that code is wrong"
	}
}

// Refresh follows the rules.
func (p *Authenticator) Refresh(ctx context.Context, env agent.Environment, s agent.SignIn, keep func(agent.SignIn)) (agent.AuthResult, error) {
	p.called <- "refresh"
	p.record("refresh", env, s.RefreshToken, s.Device)
	p.mu.Lock()
	p.refreshes++
	n, rules := p.refreshes, p.rules
	p.device = s.Device
	p.mu.Unlock()
	if err := pause(ctx, rules.Latency); err != nil {
		return agent.AuthResult{}, Lost(env.Name, "no answer")
	}
	var failed error
	if rules.Refresh != nil {
		failed = rules.Refresh(ctx, n)
	}
	if failed != nil && !rules.Processed {
		return agent.AuthResult{}, failed
	}
	token, ok := p.use(s.RefreshToken.Reveal(), rules.Rotate)
	if !ok {
		return agent.AuthResult{}, Rejected(env.Name)
	}
	if err := pause(ctx, rules.Late); err != nil {
		return agent.AuthResult{}, Lost(env.Name, "no answer")
	}
	s.RefreshAPI = cmp.Or(rules.RefreshAPI, s.RefreshAPI)
	if rules.Rotate && (failed == nil || rules.Delivered) {
		rotated := s
		rotated.RefreshToken = agent.NewSecret(token)
		keep(rotated)
	}
	if failed != nil {
		return agent.AuthResult{}, failed
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.resultLocked(s, token), nil
}

// use accepts a refresh token and returns the one that is valid from now on.
func (p *Authenticator) use(token string, rotate bool) (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.live[token] && !time.Now().Before(p.retired[token]) {
		return "", false
	}
	if rotate {
		if p.live[token] {
			delete(p.live, token)
			p.retired[token] = time.Now().Add(p.rules.Grace)
		}
		for next := p.rotated[token]; next != ""; next = p.rotated[next] { // a replay ends the branch before it
			delete(p.live, next)
			delete(p.retired, next)
		}
		before := token
		token = p.issueLocked()
		p.rotated[before] = token
	}
	return token, true
}

// Revoke makes the refresh token invalid.
func (p *Authenticator) Revoke(_ context.Context, env agent.Environment, s agent.SignIn) error {
	p.called <- "revoke"
	p.record("revoke", env, s.RefreshToken, s.Device)
	p.mu.Lock()
	hold := p.rules.HoldRevoke
	p.mu.Unlock()
	if hold != nil {
		<-hold
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rules.Revoke != nil {
		return p.rules.Revoke
	}
	p.revoked = append(p.revoked, s.RefreshToken.Reveal())
	delete(p.live, s.RefreshToken.Reveal())
	return nil
}

// RevokeAll makes every refresh token invalid.
func (p *Authenticator) RevokeAll(_ context.Context, env agent.Environment, s agent.SignIn, _ func(agent.SignIn)) error {
	p.called <- "revoke"
	p.record("revoke-all", env, s.RefreshToken, s.Device)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.live[s.RefreshToken.Reveal()] {
		return Rejected(env.Name)
	}
	clear(p.live)
	return nil
}

// Recover asks for RecoveryCode, except for RecoverResend.
func (p *Authenticator) Recover(ctx context.Context, env agent.Environment, req agent.RecoverRequest, ask agent.Prompter) error {
	p.called <- "recover"
	if req.Action == agent.RecoverResend {
		return nil
	}
	c := agent.Challenge{Environment: env.Name, Name: string(req.Action), Prompt: "Code sent by e-mail", Fields: []agent.Field{{Name: "code", Label: "Code"}}}
	answers, err := ask(ctx, c)
	if err != nil {
		return &agent.Error{Code: agent.CodeUsage, Op: "recover", Environment: env.Name, Message: "given up", Err: err}
	}
	if answers["code"].Reveal() != RecoveryCode {
		return &agent.Error{Code: agent.CodeUsage, Op: "recover", Environment: env.Name, Message: "wrong code", Hint: "try again"}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Authenticator) issueLocked() string {
	p.serial++
	token := fmt.Sprintf("refresh-token-%d", p.serial)
	p.live[token] = true
	return token
}

func (p *Authenticator) resultLocked(s agent.SignIn, refreshToken string) agent.AuthResult {
	p.serial++
	s.RefreshToken = agent.NewSecret(refreshToken)
	lifetime := p.rules.Lifetime
	if lifetime == 0 {
		lifetime = time.Hour
	}
	return agent.AuthResult{
		SignIn: s, IDToken: agent.NewSecret(fmt.Sprintf("id-token-%d", p.serial)),
		AccessToken: agent.NewSecret(fmt.Sprintf("access-token-%d", p.serial)), AccessLifetime: p.rules.AccessLifetime,
		Lifetime: lifetime, Age: p.rules.Age, Skew: p.rules.Skew,
	}
}

// Unavailable returns the error of a provider that cannot be reached.
func Unavailable(env, why string) error {
	return &agent.Error{
		Code: agent.CodeUnavailable, Op: "refresh", Environment: env, Message: "cannot reach Cognito: " + why, Hint: "try again",
		Err: agent.ErrUnreachable,
	}
}

// Lost returns the error of a provider that may have done the work, and whose answer is lost.
func Lost(env, why string) error {
	return &agent.Error{
		Code: agent.CodeUnavailable, Op: "refresh", Environment: env, Message: "no answer from Cognito: " + why, Hint: "try again",
		Err: agent.ErrNoAnswer,
	}
}

// Internal returns the error of a provider that answers with an internal error.
func Internal(env string) error {
	return &agent.Error{Code: agent.CodeUnavailable, Op: "refresh", Environment: env, Message: "Cognito has an internal error", Hint: "try again"}
}

// Rejected returns the error that definitely refuses a refresh token.
func Rejected(env string) error {
	return &agent.Error{Code: agent.CodeLoginRequired, Op: "refresh", Environment: env, Message: "Cognito refused the refresh token", Hint: "run: kyc-agentd login " + env}
}
