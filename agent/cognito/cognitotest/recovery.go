package cognitotest

import "crypto/hmac"

// This file serves account recovery: the confirmation of an account, the reset of a forgotten
// password, and the change of a password.

type accountInput struct {
	ClientId         string // spelled as on the wire
	Username         string
	SecretHash       string
	ConfirmationCode string
	Password         string
}

type deliveryOutput struct{ CodeDeliveryDetails delivery }

// findAccount checks the app client and returns the user of the call. The user is nil if there is
// none and the pool hides that.
func (s *Server) findAccount(in accountInput) (*user, error) {
	if err := s.checkClient(in.ClientId); err != nil {
		return nil, err
	}
	if in.Username == "" {
		return nil, invalidParameter("Missing required parameter USERNAME")
	}
	if s.set.secret != "" && in.SecretHash == "" {
		return nil, notAuthorized("Unable to verify secret hash for client " + in.ClientId)
	}
	if err := s.checkSecret(in.ClientId, in.Username, in.SecretHash); err != nil {
		return nil, err
	}
	u := s.find(in.Username)
	if u == nil && !s.set.hideUnknown {
		return nil, apiError{"UserNotFoundException", "Username/client id combination not found."}
	}
	return u, nil
}

// fakeDelivery is the answer for a user that does not exist, if the pool hides that.
func fakeDelivery() deliveryOutput {
	return deliveryOutput{delivery{"email", "EMAIL", maskEmail("d@d")}}
}

// forgotPassword sends a code for a password reset.
func (s *Server) forgotPassword(in accountInput) (any, error) {
	u, err := s.findAccount(in)
	if err != nil {
		return nil, err
	}
	if u == nil {
		return fakeDelivery(), nil
	}
	d, ok := deliveryTo(u)
	switch {
	case u.Disabled:
		return nil, notAuthorized("User is disabled.")
	case u.Status == ForceChangePassword:
		return nil, notAuthorized("User password cannot be reset in the current state.")
	case u.Status == Unconfirmed || !ok: // an address counts when it has been verified
		return nil, invalidParameter("Cannot reset password for the user as there is no registered/verified email or phone_number")
	case s.exhausted(u, resetPurpose):
		return nil, limitExceeded()
	}
	s.attempt(u, resetPurpose)
	s.sendCode(u, resetPurpose)
	return deliveryOutput{d}, nil
}

// confirmForgotPassword sets a new password with a code. If the password is refused, the code
// stays valid. Existing sign-ins stay valid, too.
func (s *Server) confirmForgotPassword(in accountInput) (any, error) {
	u, err := s.findAccount(in)
	switch {
	case err != nil:
		return nil, err
	case in.ConfirmationCode == "" || in.Password == "":
		return nil, invalidParameter("Missing required parameter")
	case u == nil:
		return nil, expiredCode()
	case u.Disabled:
		return nil, notAuthorized("User is disabled.")
	case s.exhausted(u, resetPurpose):
		return nil, limitExceeded()
	}
	if err := s.checkCode(u, resetPurpose, in.ConfirmationCode); err != nil {
		return nil, err
	}
	if err := s.setPassword(u, in.Password); err != nil {
		return nil, err
	}
	u.useCode(resetPurpose)
	return struct{}{}, nil
}

// confirmSignUp confirms an account with a code.
func (s *Server) confirmSignUp(in accountInput) (any, error) {
	u, err := s.findAccount(in)
	switch {
	case err != nil:
		return nil, err
	case in.ConfirmationCode == "":
		return nil, invalidParameter("Missing required parameter")
	case u == nil:
		return nil, expiredCode()
	case u.Status != Unconfirmed:
		return nil, notAuthorized("User cannot be confirmed. Current status is " + u.Status.String())
	case s.exhausted(u, confirmPurpose):
		return nil, tooManyAttempts()
	}
	if err := s.checkCode(u, confirmPurpose, in.ConfirmationCode); err != nil {
		return nil, err
	}
	u.useCode(confirmPurpose)
	u.Status = Confirmed
	return struct{}{}, nil
}

// resendCode sends another code to confirm an account, which invalidates the previous one.
func (s *Server) resendCode(in accountInput) (any, error) {
	u, err := s.findAccount(in)
	switch {
	case err != nil:
		return nil, err
	case u == nil:
		return fakeDelivery(), nil
	case u.Status != Unconfirmed:
		return nil, invalidParameter("User is already confirmed.")
	case s.exhausted(u, confirmPurpose):
		return nil, limitExceeded()
	}
	d, ok := deliveryTo(u)
	if !ok {
		return nil, invalidParameter("Cannot resend codes. Auto verification not turned on.")
	}
	s.attempt(u, confirmPurpose)
	s.sendCode(u, confirmPurpose)
	return deliveryOutput{d}, nil
}

type changePasswordInput struct{ AccessToken, PreviousPassword, ProposedPassword string }

// changePassword changes the password of a user who is signed in. Existing sign-ins stay valid.
func (s *Server) changePassword(in changePasswordInput) (any, error) {
	u, _, err := s.bearer(in.AccessToken)
	if err != nil {
		return nil, err
	}
	if in.ProposedPassword == "" {
		return nil, invalidParameter("Missing required parameter")
	}
	if s.exhausted(u, changePurpose) {
		return nil, limitExceeded()
	}
	if !hmac.Equal([]byte(in.PreviousPassword), []byte(u.Password)) {
		s.attempt(u, changePurpose)
		return nil, notAuthorized(badPassword)
	}
	if err := s.setPassword(u, in.ProposedPassword); err != nil {
		return nil, err
	}
	delete(u.attempts, changePurpose)
	return struct{}{}, nil
}
