package agent

import (
	"context"
	"encoding/json"

	"github.com/legaltalent/kyc-agent/store"
)

// firstTokenSuffix makes the key under which the first refresh token of a sign-in is
// stored once it was rotated. Cognito revokes a sign-in by its live refresh token or by
// its first one, which helps when the live one was lost. The two do not fit into one
// record on every system (store.MaxValue).
const firstTokenSuffix = "--first"

func (s *session) firstTokenKey() string { return s.name + firstTokenSuffix }

// saveFirstToken stores the refresh token of signIn if it is the first of its sign-in. A
// failure is only logged, because the sign-in itself does not depend on it.
func (s *session) saveFirstToken(signIn *storedSignIn) {
	if signIn.generation != signIn.firstGeneration || !store.ValidKey(s.firstTokenKey()) {
		return
	}
	first := &storedSignIn{
		issued: SignIn{Subject: signIn.issued.Subject, RefreshToken: signIn.issued.RefreshToken},
		issuer: signIn.issuer, clientID: signIn.clientID,
	}
	data, err := first.encode()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	if err := s.agent.store.Put(ctx, s.firstTokenKey(), data); err != nil {
		s.agent.log.Debug("cannot store the first refresh token, which a logout would revoke", "op", "save", "env", s.name, "error", err)
	}
}

// loadFirstToken returns a sign-in with nothing but its first refresh token, or nil.
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
	first, err := decodeRecord(data)
	if err != nil {
		return nil
	}
	return first
}

// deleteFirstToken deletes the first refresh token from the store.
func (s *session) deleteFirstToken(ctx context.Context) error {
	if !store.ValidKey(s.firstTokenKey()) {
		return nil
	}
	return s.agent.store.Delete(ctx, s.firstTokenKey())
}
