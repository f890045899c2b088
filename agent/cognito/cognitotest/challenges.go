package cognitotest

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// A session is the state of a sign-in between two calls. It is bound to its user, app client and
// challenge, and accepts one right answer within SessionLifetime; the next challenge has a new
// session. The third wrong code ends it.
type session struct {
	user      *user
	client    string
	challenge string
	id        string // the Session of the wire; empty if it is identified by a secret block
	expires   time.Time
	used      bool
	refusals  int        // wrong codes
	code      string     // that was sent
	srp       *handshake // of the VERIFIER challenges

	nameSent bool // the user's real name has been in ChallengeParameters
	aliased  bool // an answer used another name after that

	secondFactorDone bool   // the second factor has been given
	rounds, round    int    // of CUSTOM_AUTH, and those done
	device           string // DEVICE_KEY
	deviceProven     bool   // the device's password has been
}

// codeTries is the number of wrong codes that end a session. Cognito does not publish it.
const codeTries = 3

type respondInput struct {
	ClientId           string // spelled as on the wire
	ChallengeName      string
	Session            string
	ChallengeResponses map[string]string
}

// answers check the answer to each challenge.
var answers = map[string]func(*Server, *session, map[string]string) (any, error){
	"PASSWORD_VERIFIER":        (*Server).answerProof,
	"NEW_PASSWORD_REQUIRED":    (*Server).answerNewPassword,
	"SOFTWARE_TOKEN_MFA":       (*Server).answerTOTP,
	"SMS_MFA":                  (*Server).answerCode,
	"SMS_OTP":                  (*Server).answerCode,
	"EMAIL_OTP":                (*Server).answerCode,
	"SELECT_MFA_TYPE":          (*Server).answerSelect,
	"MFA_SETUP":                (*Server).answerSetup,
	"SELECT_CHALLENGE":         (*Server).answerChoice,
	"PASSWORD":                 (*Server).answerPassword,
	"PASSWORD_SRP":             (*Server).answerSRP,
	"WEB_AUTHN":                (*Server).answerPasskey,
	"CUSTOM_CHALLENGE":         (*Server).answerCustom,
	"DEVICE_SRP_AUTH":          (*Server).answerDevice,
	"DEVICE_PASSWORD_VERIFIER": (*Server).answerDeviceProof,
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
	if _, err := required(p, "USERNAME"); err != nil {
		return nil, err
	}
	ss, err := s.resume(in)
	if err != nil {
		return nil, err
	}
	if err := s.checkSecret(in.ClientId, ss.hashedName(p["USERNAME"]), p["SECRET_HASH"]); err != nil {
		return nil, err
	}
	if err := s.takeDeviceKey(ss, p); err != nil {
		return nil, err
	}
	ss.aliased = ss.aliased || ss.nameSent && p["USERNAME"] != ss.user.Name
	return f(s, ss, p)
}

// hashedName returns the name that SECRET_HASH must be over, in an answer with the name sent.
func (ss *session) hashedName(sent string) string {
	if ss.nameSent {
		return ss.user.Name
	}
	return sent
}

// resume returns the session of an answer, after checking that the answer belongs to it.
func (s *Server) resume(in respondInput) (*session, error) {
	if strings.HasSuffix(in.ChallengeName, "PASSWORD_VERIFIER") {
		ss := s.proofs[in.ChallengeResponses["PASSWORD_CLAIM_SECRET_BLOCK"]]
		if err := s.checkBound(ss, in); err != nil {
			return nil, notAuthorized(badPassword)
		}
		return ss, nil
	}
	if in.Session == "" {
		return nil, invalidParameter("Missing required parameter Session")
	}
	ss := s.sessions[in.Session]
	return ss, s.checkBound(ss, in)
}

func (s *Server) checkBound(ss *session, in respondInput) error {
	switch {
	case ss == nil,
		ss.client != in.ClientId,
		ss.challenge != in.ChallengeName,
		ss.id != "" && ss.id != in.Session,
		!ss.belongsTo(in.ChallengeResponses["USERNAME"]):
		return notAuthorized("Invalid session for the user.")
	}
	return s.checkUsable(ss)
}

func (s *Server) checkUsable(ss *session) error {
	switch {
	case ss == nil, ss.refusals >= codeTries:
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

// proceed continues after a right answer, with the next challenge or with tokens.
func (s *Server) proceed(ss *session) (any, error) {
	ss.used = true
	u, d := ss.user, ss.rememberedDevice()
	switch {
	case s.users[u.Name] != u: // deleted in the meantime
		return nil, notAuthorized("Invalid session for the user.")
	case ss.round < ss.rounds:
		return s.askQuestion(ss, 0)
	case u.Status == ForceChangePassword:
		return s.putWithName(ss, "NEW_PASSWORD_REQUIRED", newPasswordParameters(u)), nil
	case len(u.MFA) > 0 && !ss.secondFactorDone && (d == nil || s.set.deviceAndMFA):
		return s.askSecondFactor(ss), nil
	case d != nil && !ss.deviceProven:
		return s.putWithName(ss, "DEVICE_SRP_AUTH", map[string]string{"USERNAME": u.Name}), nil
	}
	return s.grant(ss), nil
}

// grant ends a sign-in with tokens, and with a device key if the client sent none.
func (s *Server) grant(ss *session) authOutput {
	s.counts.signIns++
	f := s.newFamily(ss.user, ss.client)
	f.device, f.aliased = ss.device, ss.aliased
	var added *newDevice
	if s.set.devices != DevicesOff && ss.user.confirmed(f.device) == nil {
		added = s.addDevice(ss.user)
		f.device = added.DeviceKey
	}
	out := s.issue(ss.user, f, f.live().value)
	out.NewDeviceMetadata = added
	return authOutput{ChallengeParameters: map[string]string{}, AuthenticationResult: out}
}

// putWithName sends a challenge in a new session, together with the user's real name.
func (s *Server) putWithName(ss *session, challenge string, parameters map[string]string) authOutput {
	parameters["USER_ID_FOR_SRP"] = ss.user.Name
	return s.putChallenge(ss, challenge, parameters)
}

// putChallenge sends a challenge in a new session.
func (s *Server) putChallenge(ss *session, challenge string, parameters map[string]string) authOutput {
	next := s.nextSession(ss, challenge)
	next.nameSent = ss.nameSent || parameters["USER_ID_FOR_SRP"]+parameters["USERNAME"] != ""
	return authOutput{ChallengeName: challenge, ChallengeParameters: parameters, Session: next.id}
}

// nextSession opens the session that follows ss.
func (s *Server) nextSession(ss *session, challenge string) *session {
	ss.used = true
	next := *ss
	next.used, next.refusals, next.code, next.srp = false, 0, "", nil
	next.id = b64URL(random(1158)) // 1,544 characters, as at Cognito
	s.sessions[next.id] = s.awaitAnswer(&next, challenge)
	return &next
}

// awaitAnswer makes ss the session of a challenge, without giving it an id.
func (s *Server) awaitAnswer(ss *session, challenge string) *session {
	ss.challenge, ss.expires = challenge, s.now().Add(s.set.sessionLifetime)
	return ss
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

// answerNewPassword sets a new password. If the password is refused, the session stays usable.
func (s *Server) answerNewPassword(ss *session, p map[string]string) (any, error) {
	in, err := required(p, "NEW_PASSWORD")
	if err != nil {
		return nil, err
	}
	u := ss.user
	for _, a := range u.RequiredAttributes {
		if p["userAttributes."+a] == "" {
			return nil, invalidParameter("Invalid attributes given, " + a + " is missing")
		}
	}
	if p["userAttributes.email"] != "" && u.Email != "" && !slices.Contains(u.RequiredAttributes, "email") {
		return nil, notAuthorized("Cannot modify an already provided email")
	}
	if err := s.setPassword(u, in[0]); err != nil {
		return nil, err
	}
	for _, a := range u.RequiredAttributes {
		u.setAttribute(a, p["userAttributes."+a])
	}
	u.RequiredAttributes = nil
	return s.proceed(ss)
}

// setAttribute stores an attribute, which becomes a claim of ID tokens.
func (u *user) setAttribute(name, value string) {
	switch name {
	case "email":
		u.Email = value
	case "phone_number":
		u.Phone = value
	default:
		claims := map[string]any{name: value} // a new map: u.Claims belongs to the caller
		maps.Copy(claims, u.Claims)
		u.Claims = claims
	}
}

// askSecondFactor asks for the second factor, or for a choice if there are several.
func (s *Server) askSecondFactor(ss *session) authOutput {
	if len(ss.user.MFA) == 1 {
		return s.askFactor(ss, ss.user.MFA[0])
	}
	return s.putWithName(ss, "SELECT_MFA_TYPE", map[string]string{"MFAS_CAN_CHOOSE": string(mustJSON(ss.user.MFA))})
}

func (s *Server) askFactor(ss *session, factor string) authOutput {
	name := map[string]string{"USER_ID_FOR_SRP": ss.user.Name}
	switch factor {
	case "SMS_MFA", "EMAIL_OTP":
		return s.putCode(ss, factor, name)
	case "SOFTWARE_TOKEN_MFA":
		if ss.user.tokenName != "" {
			name["FRIENDLY_DEVICE_NAME"] = ss.user.tokenName
		}
	case "MFA_SETUP":
		name["MFAS_CAN_SETUP"] = `["SOFTWARE_TOKEN_MFA"]`
	}
	return s.putChallenge(ss, factor, name)
}

// putCode sends a code and asks for it.
func (s *Server) putCode(ss *session, challenge string, parameters map[string]string) authOutput {
	medium, destination := "SMS", maskPhone(ss.user.Phone)
	if challenge == "EMAIL_OTP" {
		medium, destination = "EMAIL", maskEmail(ss.user.Email)
	}
	parameters["CODE_DELIVERY_DELIVERY_MEDIUM"], parameters["CODE_DELIVERY_DESTINATION"] = medium, destination
	out := s.putChallenge(ss, challenge, parameters)
	s.sessions[out.Session].code = s.send(ss.user, challenge, medium)
	return out
}

// maskPhone keeps the last four digits: "+*******1234".
func maskPhone(number string) string {
	hidden := max(len(number)-5, 0)
	return "+" + strings.Repeat("*", hidden) + number[max(len(number)-4, 0):]
}

// maskEmail keeps the first letters: "a***@e***".
func maskEmail(address string) string {
	name, host, _ := strings.Cut(address, "@")
	return name[:min(1, len(name))] + "***@" + host[:min(1, len(host))] + "***"
}

func (s *Server) answerTOTP(ss *session, p map[string]string) (any, error) {
	in, err := required(p, "SOFTWARE_TOKEN_MFA_CODE")
	if err != nil {
		return nil, err
	}
	if err := ss.user.checkTOTP(ss.user.TOTPSecret, in[0], s.now()); err != nil {
		ss.refusals++
		return nil, err
	}
	ss.secondFactorDone = true
	return s.proceed(ss)
}

// answerCode checks a code that was sent, as a second factor or, in USER_AUTH, as the only one.
func (s *Server) answerCode(ss *session, p map[string]string) (any, error) {
	in, err := required(p, ss.challenge+"_CODE")
	if err != nil {
		return nil, err
	}
	if !sameCode(in[0], ss.code) {
		ss.refusals++
		return nil, apiError{"CodeMismatchException", "Invalid code or auth state for the user."}
	}
	if err := checkAccount(ss.user); err != nil {
		return nil, err
	}
	ss.secondFactorDone = true
	return s.proceed(ss)
}

func (s *Server) answerSelect(ss *session, p map[string]string) (any, error) {
	in, err := required(p, "ANSWER")
	if err != nil {
		return nil, err
	}
	factor := in[0]
	if factor == "EMAIL_MFA" { // the text of AWS's API model has this name, its enumeration the other
		factor = "EMAIL_OTP"
	}
	if !slices.Contains(ss.user.MFA, factor) {
		return nil, invalidParameter("Invalid MFA type selected.")
	}
	return s.askFactor(ss, factor), nil
}
