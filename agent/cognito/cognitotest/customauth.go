package cognitotest

import "maps"

// A Question is one round of CUSTOM_AUTH, as a pool's Lambda functions would put it.
type Question struct {
	Parameters map[string]string // what the user is shown, in ChallengeParameters
	Answer     string
}

// customAuth answers CUSTOM_AUTH: with the user's first question, or, where it is started
// with SRP_A, with the proof of the password before that.
func (s *Server) customAuth(client string, p map[string]string) (any, error) {
	in, err := need(p, "USERNAME")
	if err != nil {
		return nil, err
	}
	if err := s.checkSecret(client, in[0], p["SECRET_HASH"]); err != nil {
		return nil, err
	}
	u, err := s.known(in[0])
	if err != nil {
		return nil, err
	}
	if len(u.Custom) == 0 {
		return nil, invalidParameter("Custom auth lambda trigger is not configured for the user pool.")
	}
	// The Lambda functions alone decide what is asked, so there is no MFA.
	ss := &session{user: u, client: client, second: true, rounds: len(u.Custom)}
	if err := s.present(ss, p); err != nil {
		return nil, err
	}
	if p["CHALLENGE_NAME"] != "SRP_A" {
		if err := usable(u); err != nil {
			return nil, err
		}
		return s.proceed(ss)
	}
	bigA, err := srpClientPublic(p["SRP_A"])
	if err != nil {
		return nil, err
	}
	return s.shakeHands(s.withoutID(ss, "PASSWORD_VERIFIER"), bigA), nil
}

// askQuestion puts the question whose turn it is, refusals being the wrong answers to it so far.
func (s *Server) askQuestion(ss *session, refusals int) (any, error) {
	if ss.round >= len(ss.user.Custom) { // edited meanwhile
		return nil, notAuthorized(badPassword)
	}
	p := map[string]string{}
	maps.Copy(p, ss.user.Custom[ss.round].Parameters)
	p["USERNAME"] = ss.user.Name
	out := s.put(ss, "CUSTOM_CHALLENGE", p)
	s.sessions[out.Session].refusals = refusals
	return out, nil
}

// answerCustom goes on to the next round. A wrong answer is no error: the question comes
// again, in a new session, until the third ends the sign-in.
func (s *Server) answerCustom(ss *session, p map[string]string) (any, error) {
	in, err := need(p, "ANSWER")
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
