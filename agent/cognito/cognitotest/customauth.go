package cognitotest

import "maps"

// A Question is one round of CUSTOM_AUTH, which a real pool's Lambda triggers would define.
type Question struct {
	Parameters map[string]string // the ChallengeParameters that the user sees
	Answer     string
}

// customAuth answers CUSTOM_AUTH with the user's first question. If it is started with SRP_A, the
// password must be proven before.
func (s *Server) customAuth(client string, p map[string]string) (any, error) {
	in, err := required(p, "USERNAME")
	if err != nil {
		return nil, err
	}
	if err := s.checkSecret(client, in[0], p["SECRET_HASH"]); err != nil {
		return nil, err
	}
	u, err := s.findOrRefuse(in[0])
	if err != nil {
		return nil, err
	}
	if len(u.Custom) == 0 {
		return nil, invalidParameter("Custom auth lambda trigger is not configured for the user pool.")
	}
	// There is no MFA, because only the Lambda triggers decide what is asked.
	ss := &session{user: u, client: client, secondFactorDone: true, rounds: len(u.Custom)}
	if err := s.takeDeviceKey(ss, p); err != nil {
		return nil, err
	}
	if p["CHALLENGE_NAME"] != "SRP_A" {
		if err := checkAccount(u); err != nil {
			return nil, err
		}
		return s.proceed(ss)
	}
	bigA, err := srpClientPublic(p["SRP_A"])
	if err != nil {
		return nil, err
	}
	return s.askPasswordProof(s.awaitAnswer(ss, "PASSWORD_VERIFIER"), bigA), nil
}

// askQuestion asks the question of the current round. refusals is the number of wrong answers to
// it so far.
func (s *Server) askQuestion(ss *session, refusals int) (any, error) {
	if ss.round >= len(ss.user.Custom) { // edited in the meantime
		return nil, notAuthorized(badPassword)
	}
	p := map[string]string{}
	maps.Copy(p, ss.user.Custom[ss.round].Parameters)
	p["USERNAME"] = ss.user.Name
	out := s.putChallenge(ss, "CUSTOM_CHALLENGE", p)
	s.sessions[out.Session].refusals = refusals
	return out, nil
}

// answerCustom continues with the next round. A wrong answer is not an error: the question is
// asked again, in a new session, until the third wrong answer ends the sign-in.
func (s *Server) answerCustom(ss *session, p map[string]string) (any, error) {
	in, err := required(p, "ANSWER")
	if err != nil {
		return nil, err
	}
	ss.used = true
	if ss.round < len(ss.user.Custom) && sameCode(in[0], ss.user.Custom[ss.round].Answer) {
		ss.round++
		return s.proceed(ss)
	}
	if ss.refusals+1 >= codeTries {
		return nil, notAuthorized(badPassword)
	}
	return s.askQuestion(ss, ss.refusals+1)
}
