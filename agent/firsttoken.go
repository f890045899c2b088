package agent

import "context"

// firstTokenSuffix makes the key under which the first refresh token of a sign-in is
// stored once it was rotated. Cognito revokes a sign-in by its live refresh token or by
// its first one, which helps when the live one was lost. The two do not fit into one
// record on every system (maxRecord).
const firstTokenSuffix = "--first"

// saveFirstTokenLocked stores the refresh token of signIn, which is the first of its sign-in.
// Nobody waits for that. The caller holds mu.
func (s *session) saveFirstTokenLocked(signIn *storedSignIn) {
	if data := firstTokenRecord(signIn); data != nil {
		s.first.setLocked(data, false)
	}
}

// firstTokenRecord returns a record with nothing of signIn but its refresh token.
func firstTokenRecord(signIn *storedSignIn) []byte {
	first := &storedSignIn{
		issued: SignIn{
			Username: signIn.issued.Username, Subject: signIn.issued.Subject, RefreshToken: signIn.issued.RefreshToken,
			SignedInAt: signIn.issued.SignedInAt,
		},
		at: signIn.at,
	}
	data, err := first.encode()
	if err != nil {
		return nil
	}
	return data
}

// loadFirstToken returns a sign-in with nothing but its first refresh token, or nil.
func (s *session) loadFirstToken(ctx context.Context) *storedSignIn {
	var data []byte
	var err error
	if s.agent.fleet != nil {
		s.mu.Lock()
		data = s.shared.record.First
		s.mu.Unlock()
	} else {
		data, err = s.agent.read(ctx, s.first.key)
	}
	if err != nil || data == nil {
		return nil
	}
	first, err := decodeRecord(data)
	if err != nil {
		return nil
	}
	return first
}
