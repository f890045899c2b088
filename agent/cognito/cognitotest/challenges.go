package cognitotest

import (
	"crypto/subtle"
	"encoding/base64"
	"slices"
	"strings"
	"time"
)

// A session is a sign-in between two calls. It is bound to its user, its app client
// and its challenge, and good for one right answer within SessionLifetime; the next
// challenge comes with a new one. A wrong code leaves it usable.
type session struct {
	user      *user
	client    string
	challenge string
	expires   time.Time
	used      bool
	second    bool       // the second factor has been given
	srp       *handshake // of PASSWORD_VERIFIER
}

type respondInput struct {
	ClientId           string // spelled as on the wire
	ChallengeName      string
	Session            string
	ChallengeResponses map[string]string
}

// answers check the answer to each challenge.
var answers = map[string]func(*Server, *session, map[string]string) (any, error){
	"PASSWORD_VERIFIER":     (*Server).answerPassword,
	"NEW_PASSWORD_REQUIRED": (*Server).answerNewPassword,
	"SOFTWARE_TOKEN_MFA":    (*Server).answerTOTP,
	"SMS_MFA":               (*Server).answerSMS,
	"EMAIL_OTP":             (*Server).answerEmail,
	"SELECT_MFA_TYPE":       (*Server).answerSelect,
	"MFA_SETUP":             (*Server).answerSetup,
}

func (s *Server) respond(in respondInput) (any, error) {
	if err := s.checkClient(in.ClientId); err != nil {
		return nil, err
	}
	f, ok := answers[in.ChallengeName]
	if !ok {
		return nil, invalidParameter("1 validation error detected: Value at 'challengeName' failed to satisfy constraint: Member must satisfy enum value set")
	}
	p := in.ChallengeResponses
	if _, err := need(p, "USERNAME"); err != nil {
		return nil, err
	}
	if err := s.checkSecret(in.ClientId, p["USERNAME"], p["SECRET_HASH"]); err != nil {
		return nil, err
	}
	ss, err := s.resume(in)
	if err != nil {
		return nil, err
	}
	return f(s, ss, p)
}

// resume finds the session of an answer and checks what it is bound to.
func (s *Server) resume(in respondInput) (*session, error) {
	if in.ChallengeName == "PASSWORD_VERIFIER" {
		ss := s.proofs[in.ChallengeResponses["PASSWORD_CLAIM_SECRET_BLOCK"]]
		if err := s.valid(ss, in); err != nil {
			return nil, notAuthorized(badPassword)
		}
		return ss, nil
	}
	if in.Session == "" {
		return nil, invalidParameter("Missing required parameter Session")
	}
	ss := s.sessions[in.Session]
	return ss, s.valid(ss, in)
}

func (s *Server) valid(ss *session, in respondInput) error {
	switch {
	case ss == nil,
		ss.client != in.ClientId,
		ss.challenge != in.ChallengeName,
		!ss.belongsTo(in.ChallengeResponses["USERNAME"]):
		return notAuthorized("Invalid session for the user.")
	}
	return s.alive(ss)
}

func (s *Server) alive(ss *session) error {
	switch {
	case ss == nil:
		return notAuthorized("Invalid session for the user.")
	case ss.used:
		return notAuthorized("Invalid session for the user, session can only be used once.")
	case !s.now().Before(ss.expires):
		return notAuthorized("Invalid session for the user, session is expired.")
	}
	return nil
}

func (ss *session) belongsTo(name string) bool {
	u := ss.user
	return u.Name == name || u.Sub == name || u.Email != "" && strings.EqualFold(u.Email, name)
}

// proceed goes on after a right answer: to the next challenge, or to tokens.
func (s *Server) proceed(ss *session) (any, error) {
	ss.used = true
	u := ss.user
	switch {
	case s.users[u.Name] != u: // deleted meanwhile
		return nil, notAuthorized("Invalid session for the user.")
	case u.Status == ForceChangePassword:
		return s.ask(ss, "NEW_PASSWORD_REQUIRED", newPasswordParameters(u)), nil
	case len(u.MFA) > 0 && !ss.second:
		return s.askSecond(ss), nil
	}
	s.counts.signIns++
	f := s.newFamily(u, ss.client)
	return authOutput{
		ChallengeParameters:  map[string]string{},
		AuthenticationResult: s.issue(u, f, f.live().value),
	}, nil
}

// ask puts a challenge to the user of ss, in a new session.
func (s *Server) ask(ss *session, challenge string, parameters map[string]string) authOutput {
	parameters["USER_ID_FOR_SRP"] = ss.user.Name
	return authOutput{
		ChallengeName: challenge, ChallengeParameters: parameters,
		Session: s.renew(ss, challenge),
	}
}

// renew opens the session that comes after ss.
func (s *Server) renew(ss *session, challenge string) string {
	ss.used = true
	id := base64.RawURLEncoding.EncodeToString(random(1158)) // 1,544 characters, as at Cognito
	s.sessions[id] = &session{
		user: ss.user, client: ss.client, challenge: challenge, second: ss.second,
		expires: s.now().Add(s.set.sessionLifetime),
	}
	return id
}

func newPasswordParameters(u *user) map[string]string {
	attributes := map[string]string{}
	if u.Email != "" {
		attributes["email"], attributes["email_verified"] = u.Email, "true"
	}
	required := []string{}
	for _, a := range u.RequiredAttributes {
		required = append(required, "userAttributes."+a)
	}
	return map[string]string{
		"userAttributes":     string(mustJSON(attributes)),
		"requiredAttributes": string(mustJSON(required)),
	}
}

// answerNewPassword takes a new password: 8 characters or more, as in Cognito's
// default policy, of which the rest is not modelled.
func (s *Server) answerNewPassword(ss *session, p map[string]string) (any, error) {
	in, err := need(p, "NEW_PASSWORD")
	if err != nil {
		return nil, err
	}
	for _, a := range ss.user.RequiredAttributes {
		if p["userAttributes."+a] == "" {
			return nil, invalidParameter("Invalid attributes given, " + a + " is missing")
		}
	}
	if len(in[0]) < 8 {
		return nil, apiError{"InvalidPasswordException", "Password did not conform with policy: Password not long enough"}
	}
	ss.user.Password, ss.user.Status = in[0], Confirmed
	return s.proceed(ss)
}

// askSecond asks for the second factor, or which of several it shall be.
func (s *Server) askSecond(ss *session) authOutput {
	if len(ss.user.MFA) == 1 {
		return s.askFactor(ss, ss.user.MFA[0])
	}
	return s.ask(ss, "SELECT_MFA_TYPE", map[string]string{"MFAS_CAN_CHOOSE": string(mustJSON(ss.user.MFA))})
}

func (s *Server) askFactor(ss *session, factor string) authOutput {
	p := map[string]string{}
	switch factor {
	case "SMS_MFA":
		p["CODE_DELIVERY_DELIVERY_MEDIUM"], p["CODE_DELIVERY_DESTINATION"] = "SMS", maskPhone(ss.user.Phone)
	case "EMAIL_OTP":
		p["CODE_DELIVERY_DELIVERY_MEDIUM"], p["CODE_DELIVERY_DESTINATION"] = "EMAIL", maskEmail(ss.user.Email)
	case "MFA_SETUP":
		p["MFAS_CAN_SETUP"] = `["SOFTWARE_TOKEN_MFA"]`
	}
	return s.ask(ss, factor, p)
}

// maskPhone leaves the last four digits: "+*******1234".
func maskPhone(number string) string {
	hidden := max(len(number)-5, 0)
	return "+" + strings.Repeat("*", hidden) + number[max(len(number)-4, 0):]
}

// maskEmail leaves the first letters: "a***@e***".
func maskEmail(address string) string {
	name, host, _ := strings.Cut(address, "@")
	return name[:min(1, len(name))] + "***@" + host[:min(1, len(host))] + "***"
}

func (s *Server) answerTOTP(ss *session, p map[string]string) (any, error) {
	in, err := need(p, "SOFTWARE_TOKEN_MFA_CODE")
	if err != nil {
		return nil, err
	}
	if err := ss.user.checkTOTP(ss.user.TOTPSecret, in[0], s.now()); err != nil {
		return nil, err
	}
	ss.second = true
	return s.proceed(ss)
}

func (s *Server) answerSMS(ss *session, p map[string]string) (any, error) {
	return s.answerCode(ss, p, "SMS_MFA_CODE")
}

func (s *Server) answerEmail(ss *session, p map[string]string) (any, error) {
	return s.answerCode(ss, p, "EMAIL_OTP_CODE")
}

func (s *Server) answerCode(ss *session, p map[string]string, name string) (any, error) {
	in, err := need(p, name)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(in[0]), []byte(s.set.code)) == 0 {
		return nil, apiError{"CodeMismatchException", "Invalid code or auth state for the user."}
	}
	ss.second = true
	return s.proceed(ss)
}

func (s *Server) answerSelect(ss *session, p map[string]string) (any, error) {
	in, err := need(p, "ANSWER")
	if err != nil {
		return nil, err
	}
	factor := in[0]
	if factor == "EMAIL_MFA" { // the model's text has this name, its enumeration the other
		factor = "EMAIL_OTP"
	}
	if !slices.Contains(ss.user.MFA, factor) {
		return nil, invalidParameter("Invalid MFA type selected.")
	}
	return s.askFactor(ss, factor), nil
}
