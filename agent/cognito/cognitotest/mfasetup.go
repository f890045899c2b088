package cognitotest

// This file serves the setup of a software token during a sign-in: AssociateSoftwareToken returns
// the secret, VerifySoftwareToken checks a first code, and MFA_SETUP is answered with the Session
// that VerifySoftwareToken returned.

type associateInput struct{ Session, AccessToken string }

type associateOutput struct{ SecretCode, Session string }

func (s *Server) associateToken(in associateInput) (any, error) {
	ss, err := s.setupSession(in.Session)
	if err != nil {
		return nil, err
	}
	ss.user.pending = newTOTPSecret()
	return associateOutput{ss.user.pending, s.nextSession(ss, "MFA_SETUP").id}, nil
}

type verifyInput struct{ Session, AccessToken, UserCode, FriendlyDeviceName string }

type verifyOutput struct{ Status, Session string }

func (s *Server) verifyToken(in verifyInput) (any, error) {
	ss, err := s.setupSession(in.Session)
	if err != nil {
		return nil, err
	}
	u := ss.user
	if u.pending == "" || u.checkTOTP(u.pending, in.UserCode, s.now()) != nil {
		ss.refusals++
		return nil, apiError{"EnableSoftwareTokenMFAException", "Code mismatch"}
	}
	u.TOTPSecret, u.pending = u.pending, ""
	u.MFA, u.tokenName = []string{"SOFTWARE_TOKEN_MFA"}, in.FriendlyDeviceName
	ss.secondFactorDone = true
	return verifyOutput{"SUCCESS", s.nextSession(ss, "MFA_SETUP").id}, nil
}

// setupSession returns the MFA_SETUP session with an id. A token can only be set up during a
// sign-in, so an access token instead of a session is refused.
func (s *Server) setupSession(id string) (*session, error) {
	if id == "" {
		return nil, invalidParameter("Missing required parameter Session")
	}
	ss := s.sessions[id]
	if ss != nil && ss.challenge != "MFA_SETUP" {
		ss = nil
	}
	return ss, s.checkUsable(ss)
}

func (s *Server) answerSetup(ss *session, _ map[string]string) (any, error) {
	if !ss.secondFactorDone {
		return nil, invalidParameter("The software token has not been verified.")
	}
	return s.proceed(ss)
}
