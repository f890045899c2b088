package cognitotest

// Setting up a software token during a sign-in: AssociateSoftwareToken hands out
// the secret, VerifySoftwareToken checks a first code, and MFA_SETUP is answered
// with the Session that this returned.

type associateInput struct{ Session, AccessToken string }

type associateOutput struct{ SecretCode, Session string }

func (s *Server) associateToken(in associateInput) (any, error) {
	ss, err := s.setupSession(in.Session)
	if err != nil {
		return nil, err
	}
	ss.user.pending = newTOTPSecret()
	return associateOutput{ss.user.pending, s.renew(ss, "MFA_SETUP").id}, nil
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
	ss.second = true
	return verifyOutput{"SUCCESS", s.renew(ss, "MFA_SETUP").id}, nil
}

// setupSession is the live MFA_SETUP session called id. Only a sign-in sets a token
// up here, so an access token in its place is refused.
func (s *Server) setupSession(id string) (*session, error) {
	if id == "" {
		return nil, invalidParameter("Missing required parameter Session")
	}
	ss := s.sessions[id]
	if ss != nil && ss.challenge != "MFA_SETUP" {
		ss = nil
	}
	return ss, s.alive(ss)
}

func (s *Server) answerSetup(ss *session, _ map[string]string) (any, error) {
	if !ss.second {
		return nil, invalidParameter("The software token has not been verified.")
	}
	return s.proceed(ss)
}
