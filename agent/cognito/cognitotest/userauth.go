package cognitotest

import "slices"

// This file serves USER_AUTH: the pool lists the factors that the user can sign in with, and the
// user chooses.

// firstFactors are the factors of USER_AUTH, in the order in which it offers them.
var firstFactors = []string{"PASSWORD", "PASSWORD_SRP", "EMAIL_OTP", "SMS_OTP", "WEB_AUTHN"}

// availableFactors returns the first factors that a user can choose. With MFA these are only the
// passwords: one-time codes and passkeys cannot be followed by a second factor.
// https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-mfa.html
func (s *Server) availableFactors(u *user) []string {
	open := map[string]bool{
		"PASSWORD":     u.Password != "",
		"PASSWORD_SRP": u.Password != "",
		"EMAIL_OTP":    u.Email != "" && len(u.MFA) == 0,
		"SMS_OTP":      u.Phone != "" && len(u.MFA) == 0,
		"WEB_AUTHN":    u.Passkey && len(u.MFA) == 0,
	}
	list := []string{}
	for _, f := range firstFactors {
		if open[f] && (s.set.firstFactors == nil || slices.Contains(s.set.firstFactors, f)) {
			list = append(list, f)
		}
	}
	return list
}

// choiceAuth answers USER_AUTH: with the preferred challenge if the user has it, otherwise with
// the choice. If a preferred password comes with its value, it is checked at once.
func (s *Server) choiceAuth(client string, p map[string]string) (any, error) {
	in, err := required(p, "USERNAME")
	if err != nil {
		return nil, err
	}
	if err := s.checkSecret(client, in[0], p["SECRET_HASH"]); err != nil {
		return nil, err
	}
	u, err := s.findOrFake(in[0])
	if err != nil {
		return nil, err
	}
	ss := &session{user: u, client: client}
	if err := s.takeDeviceKey(ss, p); err != nil {
		return nil, err
	}
	preferred := p["PREFERRED_CHALLENGE"]
	switch {
	case preferred != "" && !slices.Contains(firstFactors, preferred):
		return nil, invalidParameter("Invalid PREFERRED_CHALLENGE.")
	case !slices.Contains(s.availableFactors(u), preferred):
		out := s.putChallenge(ss, "SELECT_CHALLENGE", map[string]string{})
		out.AvailableChallenges = s.availableFactors(u)
		return out, nil
	case preferred == "PASSWORD" && p["PASSWORD"] == "", preferred == "PASSWORD_SRP" && p["SRP_A"] == "":
		return s.putChallenge(ss, preferred, map[string]string{}), nil
	}
	return s.beginFactor(ss, preferred, p)
}

// beginFactor starts a first factor. p contains its value if it has one.
func (s *Server) beginFactor(ss *session, factor string, p map[string]string) (any, error) {
	switch factor {
	case "PASSWORD":
		return s.answerPassword(ss, p)
	case "PASSWORD_SRP":
		return s.answerSRP(ss, p)
	case "WEB_AUTHN":
		return s.putChallenge(ss, factor, map[string]string{"CREDENTIAL_REQUEST_OPTIONS": s.passkeyRequest()}), nil
	}
	return s.putCode(ss, factor, map[string]string{}), nil
}

// answerChoice answers SELECT_CHALLENGE.
func (s *Server) answerChoice(ss *session, p map[string]string) (any, error) {
	in, err := required(p, "ANSWER")
	if err != nil {
		return nil, err
	}
	if !slices.Contains(s.availableFactors(ss.user), in[0]) {
		return nil, invalidParameter("The selected challenge is not available.")
	}
	return s.beginFactor(ss, in[0], p)
}

// answerPassword checks a password in USER_AUTH. A wrong one ends the session.
func (s *Server) answerPassword(ss *session, p map[string]string) (any, error) {
	in, err := required(p, "PASSWORD")
	if err != nil {
		return nil, err
	}
	ss.used = true
	if err := s.firstFactor(ss.user, ss.user.passwordIs(in[0])); err != nil {
		return nil, err
	}
	return s.proceed(ss)
}

// answerSRP begins the proof of a password in USER_AUTH.
func (s *Server) answerSRP(ss *session, p map[string]string) (any, error) {
	in, err := required(p, "SRP_A")
	if err != nil {
		return nil, err
	}
	bigA, err := srpClientPublic(in[0])
	if err != nil {
		return nil, err
	}
	return s.askPasswordProof(s.nextSession(ss, "PASSWORD_VERIFIER"), bigA), nil
}

// passkeyRequest returns a WebAuthn request for a passkey's signature.
func (s *Server) passkeyRequest() string {
	return string(mustJSON(map[string]any{
		"challenge": b64URL(random(32)), "timeout": 180000, "rpId": "example.com", "userVerification": "preferred",
	}))
}

// answerPasskey refuses every passkey, because none can be registered.
func (s *Server) answerPasskey(ss *session, p map[string]string) (any, error) {
	if _, err := required(p, "CREDENTIAL"); err != nil {
		return nil, err
	}
	ss.used = true
	return nil, notAuthorized(badPassword)
}
