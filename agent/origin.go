package agent

import (
	"context"
	"encoding/json"

	"github.com/legaltalent/kyc-agent/store"
)

// originSuffix makes the key under which a sign-in's first refresh token is kept
// once it was rotated. Cognito revokes a sign-in by its live token or by its first
// one; the second helps when the live one was lost. Both do not fit into one record
// on every system (store.MaxValue).
const originSuffix = "--first"

func (s *session) originKey() string { return s.name + originSuffix }

// keepOrigin stores k's refresh token if it is the first of its sign-in, where the
// store can: the sign-in itself does not depend on it.
func (s *session) keepOrigin(k *kept) {
	if k.generation != k.first || !store.ValidKey(s.originKey()) {
		return
	}
	data, err := (&kept{SignIn: SignIn{Subject: k.Subject, RefreshToken: k.RefreshToken}, issuer: k.issuer, clientID: k.clientID}).encode()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	if err := s.a.store.Put(ctx, s.originKey(), data); err != nil {
		s.a.log.Debug("the first refresh token is not kept for the logout", "op", "save", "env", s.name, "error", err)
	}
}

// origin is the sign-in's first refresh token, or nil.
func (s *session) origin(ctx context.Context) *kept {
	if !store.ValidKey(s.originKey()) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	data, err := s.a.store.Get(ctx, s.originKey())
	if err != nil || !json.Valid(data) {
		return nil
	}
	k, err := decodeRecord(data)
	if err != nil {
		return nil
	}
	return k
}

// dropOrigin forgets it.
func (s *session) dropOrigin(ctx context.Context) error {
	if !store.ValidKey(s.originKey()) {
		return nil
	}
	return s.a.store.Delete(ctx, s.originKey())
}
