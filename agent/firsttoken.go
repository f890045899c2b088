package agent

import (
	"context"
	"encoding/json"

	"github.com/legaltalent/kyc-agent/store"
)

// firstTokenSuffix makes the key under which a sign-in's first refresh token is kept
// once it was rotated. Cognito revokes a sign-in by its live token or by its first
// one; the second helps when the live one was lost. Both do not fit into one record
// on every system (store.MaxValue).
const firstTokenSuffix = "--first"

func (s *session) firstTokenKey() string { return s.name + firstTokenSuffix }

// saveFirstToken stores signIn's refresh token if it is the first of its sign-in, where the
// store can: the sign-in itself does not depend on it.
func (s *session) saveFirstToken(signIn *storedSignIn) {
	if signIn.generation != signIn.firstGeneration || !store.ValidKey(s.firstTokenKey()) {
		return
	}
	data, err := (&storedSignIn{issued: SignIn{Subject: signIn.issued.Subject, RefreshToken: signIn.issued.RefreshToken}, issuer: signIn.issuer, clientID: signIn.clientID}).encode()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	if err := s.agent.store.Put(ctx, s.firstTokenKey(), data); err != nil {
		s.agent.log.Debug("the first refresh token is not kept for the logout", "op", "save", "env", s.name, "error", err)
	}
}

// loadFirstToken is the sign-in's first refresh token, or nil.
func (s *session) loadFirstToken(ctx context.Context) *storedSignIn {
	if !store.ValidKey(s.firstTokenKey()) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	data, err := s.agent.store.Get(ctx, s.firstTokenKey())
	if err != nil || !json.Valid(data) {
		return nil
	}
	signIn, err := decodeRecord(data)
	if err != nil {
		return nil
	}
	return signIn
}

// deleteFirstToken forgets it.
func (s *session) deleteFirstToken(ctx context.Context) error {
	if !store.ValidKey(s.firstTokenKey()) {
		return nil
	}
	return s.agent.store.Delete(ctx, s.firstTokenKey())
}
