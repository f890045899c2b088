package cognitotest

import "strings"

type revokeTokenInput struct {
	Token        string
	ClientId     string // spelled as on the wire
	ClientSecret string
}

// revokeToken ends a sign-in, given its live refresh token or its first one. Other tokens of the
// family, and unknown tokens, have no effect, but get the same answer.
func (s *Server) revokeToken(in revokeTokenInput) (any, error) {
	if err := s.checkClient(in.ClientId); err != nil {
		return nil, err
	}
	if err := s.checkPlainSecret(in.ClientId, in.ClientSecret); err != nil {
		return nil, err
	}
	if s.set.noRevocation {
		return nil, apiError{"UnsupportedOperationException", "Revoke Token is not enabled for this client."}
	}
	if strings.Count(in.Token, ".") == 2 { // a JWT: an ID or an access token
		return nil, apiError{"UnsupportedTokenTypeException", "Unsupported token type."}
	}
	t := s.tokens[in.Token]
	if t != nil && t.family.client == in.ClientId && (t == t.family.live() || t == t.family.tokens[0]) {
		t.family.revoked = true
	}
	return struct{}{}, nil
}

type accessTokenInput struct{ AccessToken string }

func (s *Server) globalSignOut(in accessTokenInput) (any, error) {
	u, _, err := s.bearer(in.AccessToken)
	if err != nil {
		return nil, err
	}
	s.signOut(u.Name)
	return struct{}{}, nil
}

func (s *Server) signOut(name string) {
	for _, f := range s.families {
		if f.user == name {
			f.revoked = true
		}
	}
}

type attribute struct{ Name, Value string }

func (s *Server) getUser(in accessTokenInput) (any, error) {
	u, _, err := s.bearer(in.AccessToken)
	if err != nil {
		return nil, err
	}
	attrs := []attribute{{"sub", u.Sub}}
	if u.Email != "" {
		attrs = append(attrs, attribute{"email", u.Email}, attribute{"email_verified", "true"})
	}
	return struct {
		Username       string
		UserAttributes []attribute
	}{u.Name, attrs}, nil
}
