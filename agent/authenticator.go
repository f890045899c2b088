package agent

import (
	"context"
	"time"
)

// An Authenticator talks to the identity provider. agent/cognito is the real one,
// agenttest.Authenticator a scripted one.
//
// Errors are [*Error]s. CodeLoginRequired means that the sign-in is dead for
// certain; with every other code the agent keeps the sign-in. Of these,
// CodeUnavailable is ambiguous (the provider may have done the work): the agent
// retries it promptly with the same refresh token.
type Authenticator interface {
	// Login signs in and puts challenges to ask. The Grant is complete, or there is an
	// error. Where the account needs a new password or a confirmation first, it offers
	// that through ask and then goes on.
	Login(ctx context.Context, env Environment, req LoginRequest, ask Prompter) (AuthResult, error)
	// Refresh gets a new ID token. When the provider rotated the refresh token, it
	// calls keep with the new one at once, before it verifies the ID token or does
	// anything else that takes time or can fail: the old one is dead by then. keep
	// returns when the new one is durable.
	Refresh(ctx context.Context, env Environment, s SignIn, keep func(SignIn)) (AuthResult, error)
	// Revoke ends the sign-in at the provider. One that is not known there is no error.
	Revoke(ctx context.Context, env Environment, s SignIn) error
	// RevokeAll ends every sign-in of the user at the provider, on every machine.
	RevokeAll(ctx context.Context, env Environment, s SignIn, keep func(SignIn)) error
	// Recover mends an account: see RecoverRequest. What has to be known besides is
	// put to ask.
	Recover(ctx context.Context, env Environment, req RecoverRequest, ask Prompter) error
}

// SignIn is the lasting part of a sign-in: what the store keeps, and what must
// never leave the daemon.
type SignIn struct {
	Username     string    // the user's name at Cognito (`cognito:username`), which may not be what they typed
	Subject      string    // `sub`: a refresh must not change it
	RefreshToken Secret    // the live one
	RefreshAPI   string    // which refresh call works: "initiate-auth", "tokens", or "" while unknown
	Device       Device    // what the pool remembers this machine by; zero where it does not
	SignedInAt   time.Time // when the person signed in; rotation does not extend a session
}

// A Device is a machine that the user pool remembers. A refresh without its key is
// refused there, and a sign-in with it may be spared the second factor.
type Device struct {
	Key      string
	GroupKey string
	Password Secret // made by us, known to Cognito as an SRP verifier only
}

// An AuthResult is what a sign-in or a refresh yields.
type AuthResult struct {
	SignIn  SignIn
	IDToken Secret
	// Lifetime is the ID token's own `exp` − `iat`.
	Lifetime time.Duration
	// Skew is how far the provider's clock (its Date header) is ahead of ours.
	Skew time.Duration
}
