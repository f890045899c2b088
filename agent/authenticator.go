package agent

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// An Authenticator talks to the identity provider. cognito.Authenticator does;
// agenttest.Authenticator is a scripted one for tests.
//
// Errors are [*Error]s. CodeLoginRequired means that the sign-in has certainly ended; with
// every other code the agent keeps the sign-in. Of these, CodeUnavailable is ambiguous (the
// provider may have done the work): the agent retries promptly with the same refresh token.
type Authenticator interface {
	// Login signs in and puts challenges to ask. The AuthResult is complete, or there is an
	// error. If the account needs a new password or a confirmation first, Login offers that
	// through ask and then goes on.
	Login(ctx context.Context, env Environment, req LoginRequest, ask Prompter) (AuthResult, error)
	// Refresh gets a new ID token. If the provider rotated the refresh token, Refresh calls
	// keep with the new one at once, before it verifies the ID token or does anything else
	// that takes time or can fail: the old one is invalid by then. keep does not wait for the
	// store. Refresh itself limits the time of each call: 60 s for an answer, because the end
	// of ctx can cost the sign-in, as ctx ends only if the agent is stopped.
	Refresh(ctx context.Context, env Environment, s SignIn, keep func(SignIn)) (AuthResult, error)
	// Revoke ends the sign-in at the provider. A sign-in that the provider does not know is
	// no error.
	Revoke(ctx context.Context, env Environment, s SignIn) error
	// RevokeAll ends every sign-in of the user at the provider, on every machine. It may
	// have to refresh for that; keep is as for Refresh.
	RevokeAll(ctx context.Context, env Environment, s SignIn, keep func(SignIn)) error
	// Recover recovers an account: see RecoverRequest. It prompts for anything else through
	// ask.
	Recover(ctx context.Context, env Environment, req RecoverRequest, ask Prompter) error
}

// ErrBadCredential means that the provider refused the user name or the password, and said
// so. An [Authenticator] wraps it in the error of a Login that failed for that reason and no
// other, because trying such a credential again can lock the account:
//
//	if errors.Is(err, agent.ErrBadCredential) { … }
var ErrBadCredential = errors.New("the provider refused the user name or password")

// These are wrapped by errors of an [Authenticator] with CodeUnavailable, and tell what a retry
// may cost.
var (
	// ErrNoAnswer means that no complete answer arrived. The provider may have done the work:
	// a refresh may have replaced the refresh token.
	ErrNoAnswer = errors.New("the provider did not answer")
	// ErrUnreachable is ErrNoAnswer where no request was sent, because there was no connection
	// to the provider.
	ErrUnreachable = fmt.Errorf("no connection: %w", ErrNoAnswer)
)

// A SignIn is the durable part of a sign-in: it is stored, and must never leave the daemon.
type SignIn struct {
	Username     string    // the user's name at Cognito (`cognito:username`), which may not be what they typed
	Subject      string    // `sub`: a refresh must not change it
	RefreshToken Secret    // the current one
	RefreshAPI   string    // the refresh call that works: "initiate-auth", "tokens", or "" while unknown
	Device       Device    // how the user pool remembers this machine; zero if it does not
	SignedInAt   time.Time // when the person signed in; rotation does not extend a session
}

// A Device is a machine that the user pool remembers. Such a pool refuses a refresh without
// the device's key, and may not ask for the second factor in a sign-in with it.
type Device struct {
	Key      string
	GroupKey string
	Password Secret // made by the agent; Cognito knows only its SRP verifier
}

// An AuthResult is what a sign-in or a refresh yields.
type AuthResult struct {
	SignIn   SignIn
	IDToken  Secret
	Lifetime time.Duration // `exp` − `iat` of the ID token
	// Age is how old the tokens are if they were kept until they could be verified.
	Age time.Duration
	// AccessToken came with the ID token, and AccessLifetime is how long it is valid; 0 if the
	// provider does not say.
	AccessToken    Secret
	AccessLifetime time.Duration
	// Skew is how far the provider's clock (its Date header) is ahead of this machine's.
	Skew time.Duration
}
