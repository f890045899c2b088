package amplifyjs

import "github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"

// amazon-cognito-identity-js refreshes by InitiateAuth, and knows no USER_AUTH and no code
// by e-mail.

// wholeLife is a sign-in, its refresh and its end.
var wholeLife = steps(do("signIn"), do("refresh"), do("signOut"))

const (
	srp          = "USER_SRP_AUTH PASSWORD_VERIFIER, PASSWORD_VERIFIER "
	lifeEnds     = ", REFRESH_TOKEN_AUTH ok, RevokeToken ok"
	badPassword  = "NotAuthorizedException: Incorrect username or password."
	deviceProven = "DEVICE_SRP_AUTH, DEVICE_SRP_AUTH DEVICE_PASSWORD_VERIFIER, DEVICE_PASSWORD_VERIFIER ok"
)

// identitySignIns are those by a password, by both flows where that makes a difference: SRP
// in JavaScript is slow.
func identitySignIns() []Case {
	var list []Case
	for _, c := range []Case{
		{Name: "password", Want: "ok" + lifeEnds},
		{Name: "e-mail address", User: address, Want: "ok" + lifeEnds},
		{Name: "wrong password", Answers: map[string]any{"password": "x"}, Want: "NotAuthorizedException", End: badPassword},
		{Name: "unknown user", User: "bob", Want: "NotAuthorizedException", End: badPassword},
		{Name: "unconfirmed", Edit: status(cognitotest.Unconfirmed), Want: "UserNotConfirmedException",
			End: "UserNotConfirmedException: User is not confirmed."},
		{Name: "new password", Edit: func(u *cognitotest.User) {
			u.Status, u.RequiredAttributes = cognitotest.ForceChangePassword, []string{"name"}
		}, Want: "NEW_PASSWORD_REQUIRED, NEW_PASSWORD_REQUIRED ok" + lifeEnds},
		{Name: "weak new password", Flow: "USER_PASSWORD_AUTH", Edit: status(cognitotest.ForceChangePassword), Answers: map[string]any{"newPassword": "Horse-new"},
			Want: "NEW_PASSWORD_REQUIRED, NEW_PASSWORD_REQUIRED InvalidPasswordException",
			End:  "InvalidPasswordException: Password did not conform with policy: Password must have numeric characters"},
		{Name: "TOTP", Edit: mfa("SOFTWARE_TOKEN_MFA"), Want: "SOFTWARE_TOKEN_MFA, SOFTWARE_TOKEN_MFA ok" + lifeEnds},
		{Name: "SMS", Flow: "USER_PASSWORD_AUTH", Edit: mfa("SMS_MFA"), Want: "SMS_MFA, SMS_MFA ok" + lifeEnds},
		{Name: "SMS, wrong twice", Flow: "USER_PASSWORD_AUTH", Edit: mfa("SMS_MFA"), Answers: map[string]any{"wrong": 2},
			Want: "SMS_MFA, SMS_MFA CodeMismatchException, SMS_MFA CodeMismatchException, SMS_MFA ok" + lifeEnds},
		{Name: "SMS, wrong three times", Flow: "USER_PASSWORD_AUTH", Edit: mfa("SMS_MFA"), Answers: map[string]any{"wrong": 3},
			Want: "SMS_MFA, SMS_MFA CodeMismatchException, SMS_MFA CodeMismatchException, SMS_MFA CodeMismatchException, SMS_MFA NotAuthorizedException",
			End:  "NotAuthorizedException: Invalid session for the user."},
		{Name: "choice of TOTP", Flow: "USER_PASSWORD_AUTH", Edit: mfa("SMS_MFA", "SOFTWARE_TOKEN_MFA", "EMAIL_OTP"), Answers: map[string]any{"choice": "SOFTWARE_TOKEN_MFA"},
			Want: "SELECT_MFA_TYPE, SELECT_MFA_TYPE SOFTWARE_TOKEN_MFA, SOFTWARE_TOKEN_MFA ok" + lifeEnds},
		{Name: "choice of SMS", Flow: "USER_PASSWORD_AUTH", Edit: mfa("SMS_MFA", "SOFTWARE_TOKEN_MFA", "EMAIL_OTP"), Answers: map[string]any{"choice": "SMS_MFA"},
			Want: "SELECT_MFA_TYPE, SELECT_MFA_TYPE SMS_MFA, SMS_MFA ok" + lifeEnds},
	} {
		list = append(list, c.bySRPToo()...)
	}
	list = append(list, Case{Name: "unknown user, told", User: "bob", Flow: "USER_SRP_AUTH", Steps: wholeLife,
		Options: options(cognitotest.HideUnknownUsers(false)), Want: "USER_SRP_AUTH UserNotFoundException",
		End: "UserNotFoundException: User does not exist."})
	return append(list, identitySetUps()...)
}

// bySRPToo is the case by both flows for passwords, or by its own alone.
func (c Case) bySRPToo() []Case {
	if c.Flow != "" {
		return []Case{c.by(c.Flow, c.Flow+" ")}
	}
	return []Case{c.by("USER_PASSWORD_AUTH", "USER_PASSWORD_AUTH "), c.by("USER_SRP_AUTH", srp)}
}

// by is the case with a sign-in by flow, which the calls begin with.
func (c Case) by(flow, begin string) Case {
	c.Name, c.Flow, c.Want = c.Name+" by "+flow, flow, begin+c.Want
	if c.Steps == nil {
		c.Steps = wholeLife
	}
	return c
}

func identitySetUps() []Case {
	const setUp = "MFA_SETUP, AssociateSoftwareToken ok, VerifySoftwareToken ok, MFA_SETUP ok"
	return []Case{
		{Name: "TOTP set-up, then a sign-in with it", Flow: "USER_SRP_AUTH", Edit: mfa("MFA_SETUP"),
			Steps: steps(do("signIn"), do("signOut"), do("signIn")),
			Want:  srp + setUp + ", RevokeToken ok, " + srp + "SOFTWARE_TOKEN_MFA, SOFTWARE_TOKEN_MFA ok"},
		{Name: "temporary password, new password, TOTP set-up", Flow: "USER_SRP_AUTH",
			Edit:  func(u *cognitotest.User) { u.Status, u.MFA = cognitotest.ForceChangePassword, []string{"MFA_SETUP"} },
			Steps: wholeLife,
			Want:  srp + "NEW_PASSWORD_REQUIRED, NEW_PASSWORD_REQUIRED " + setUp + lifeEnds},
		{Name: "custom", Edit: questions, Answers: map[string]any{"answers": []string{"rex", "mini"}}, Steps: steps(do("signInByAnswers")),
			Want: "CUSTOM_AUTH CUSTOM_CHALLENGE, CUSTOM_CHALLENGE CUSTOM_CHALLENGE, CUSTOM_CHALLENGE ok"},
		{Name: "custom, wrong once", Edit: questions, Answers: map[string]any{"answers": []string{"x", "rex", "mini"}}, Steps: steps(do("signInByAnswers")),
			Want: "CUSTOM_AUTH CUSTOM_CHALLENGE, CUSTOM_CHALLENGE CUSTOM_CHALLENGE, CUSTOM_CHALLENGE CUSTOM_CHALLENGE, CUSTOM_CHALLENGE ok"},
		{Name: "custom, wrong three times", Edit: questions, Answers: map[string]any{"answers": []string{"x", "y", "z"}}, Steps: steps(do("signInByAnswers")),
			Want: "CUSTOM_AUTH CUSTOM_CHALLENGE, CUSTOM_CHALLENGE CUSTOM_CHALLENGE, CUSTOM_CHALLENGE CUSTOM_CHALLENGE, CUSTOM_CHALLENGE NotAuthorizedException",
			End:  badPassword},
		{Name: "custom after SRP", Flow: "CUSTOM_AUTH", Edit: questions, Answers: map[string]any{"answers": []string{"rex", "mini"}}, Steps: wholeLife,
			Want: "CUSTOM_AUTH PASSWORD_VERIFIER, PASSWORD_VERIFIER CUSTOM_CHALLENGE, CUSTOM_CHALLENGE CUSTOM_CHALLENGE, CUSTOM_CHALLENGE ok" + lifeEnds},
	}
}

func identityDevices() []Case {
	always := options(cognitotest.RememberDevices(cognitotest.DevicesAlways))
	optIn := options(cognitotest.RememberDevices(cognitotest.DevicesOptIn))
	twice := steps(do("signIn"), do("refresh"), do("signIn"), do("refresh"))
	const refreshed = ", REFRESH_TOKEN_AUTH ok"
	return []Case{
		{Name: "device by SRP", Options: always, Flow: "USER_SRP_AUTH", Edit: mfa("SMS_MFA"), Steps: twice,
			Want: srp + "SMS_MFA, SMS_MFA ok, ConfirmDevice ok" + refreshed + ", " + srp + deviceProven + refreshed},
		{Name: "device by password", Options: always, Flow: "USER_PASSWORD_AUTH", Edit: mfa("SMS_MFA"), Steps: twice,
			Want: "USER_PASSWORD_AUTH SMS_MFA, SMS_MFA ok, ConfirmDevice ok" + refreshed + ", USER_PASSWORD_AUTH " + deviceProven + refreshed},
		{Name: "device without MFA", Options: always, Flow: "USER_SRP_AUTH", Steps: twice,
			Want: srp + "ok, ConfirmDevice ok" + refreshed + ", " + srp + deviceProven + refreshed},
		{Name: "device that the user wants remembered", Options: optIn, Flow: "USER_SRP_AUTH", Edit: mfa("SMS_MFA"),
			Steps: steps(do("signIn"), do("refresh"), do("signIn"), do("remember"), do("signIn"), do("forgetDevice"), do("signIn")),
			Want: srp + "SMS_MFA, SMS_MFA ok, ConfirmDevice ok" + refreshed + ", " +
				srp + "SMS_MFA, SMS_MFA ok, UpdateDeviceStatus ok, " + srp + deviceProven + ", ForgetDevice ok, " +
				srp + "SMS_MFA, SMS_MFA ok, ConfirmDevice ok"},
		{Name: "device forgotten at the pool", Options: always, Flow: "USER_SRP_AUTH", Edit: mfa("SMS_MFA"), During: forgetAtSecondSignIn,
			Steps: steps(do("signIn"), do("signIn")),
			Want: srp + "SMS_MFA, SMS_MFA ok, ConfirmDevice ok, " + srp + "ResourceNotFoundException, PASSWORD_VERIFIER SMS_MFA, " +
				"SMS_MFA ok, ConfirmDevice ok"},
	}
}

// forgetAtSecondSignIn forgets the user's devices when a sign-in starts.
func forgetAtSecondSignIn(srv *cognitotest.Server, c cognitotest.Call) {
	if c.Flow == "USER_SRP_AUTH" || c.Flow == "USER_PASSWORD_AUTH" {
		srv.ForgetDevice(name, "")
	}
}

func identityRecovery() []Case {
	const signedIn = "USER_PASSWORD_AUTH ok"
	again := func(list ...[]string) [][]string {
		return append(list, do("setPassword", newPassword), do("signIn"))
	}
	list := []Case{
		{Name: "forgotten password", Steps: again(do("forgotPassword"), do("confirmPassword", code, newPassword)),
			Want: "ForgotPassword ok, ConfirmForgotPassword ok, " + signedIn},
		{Name: "forgotten password, wrong code", Steps: steps(do("forgotPassword"), do("confirmPassword", "000000", newPassword)),
			Want: "ForgotPassword ok, ConfirmForgotPassword CodeMismatchException",
			End:  "CodeMismatchException: Invalid verification code provided, please try again."},
		{Name: "forgotten password, code twice",
			Steps: steps(do("forgotPassword"), do("confirmPassword", code, newPassword), do("confirmPassword", code, password)),
			Want:  "ForgotPassword ok, ConfirmForgotPassword ok, ConfirmForgotPassword ExpiredCodeException",
			End:   "ExpiredCodeException: Invalid code provided, please request a code again."},
		{Name: "password to be reset", Edit: status(cognitotest.ResetRequired), Steps: again(do("confirmPassword", code, newPassword)),
			Want: "ConfirmForgotPassword ok, " + signedIn},
		{Name: "changed password", Steps: again(do("signIn"), do("changePassword", password, newPassword), do("refresh")),
			Want: signedIn + ", ChangePassword ok, REFRESH_TOKEN_AUTH ok, " + signedIn},
		{Name: "changed password, wrong old one", Steps: steps(do("signIn"), do("changePassword", "x", newPassword)),
			Want: signedIn + ", ChangePassword NotAuthorizedException", End: badPassword},
		{Name: "confirmed account", Edit: status(cognitotest.Unconfirmed), Steps: steps(do("resendCode"), do("confirmSignUp", code), do("signIn")),
			Want: "ResendConfirmationCode ok, ConfirmSignUp ok, " + signedIn},
		{Name: "confirmed account, wrong code", Edit: status(cognitotest.Unconfirmed), Steps: steps(do("confirmSignUp", "000000")),
			Want: "ConfirmSignUp CodeMismatchException", End: "CodeMismatchException: Invalid verification code provided, please try again."},
		{Name: "account confirmed already", Steps: steps(do("resendCode")), Want: "ResendConfirmationCode InvalidParameterException",
			End: "InvalidParameterException: User is already confirmed."},
		{Name: "signed out everywhere", Steps: steps(do("signIn"), do("signOutEverywhere")), Want: signedIn + ", GlobalSignOut ok"},
	}
	for i := range list {
		list[i].Flow = "USER_PASSWORD_AUTH"
	}
	return list
}
