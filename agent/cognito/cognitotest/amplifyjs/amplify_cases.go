package amplifyjs

import (
	"time"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// @aws-amplify/auth refreshes by GetTokensFromRefreshToken and knows every challenge.

const tokensLifeEnds = ", GetTokensFromRefreshToken ok, RevokeToken ok"

func amplifySignIns() []Case {
	var list []Case
	for _, c := range []Case{
		{Name: "password", Want: "ok" + tokensLifeEnds},
		{Name: "wrong password", Answers: map[string]any{"password": "x"}, Want: "NotAuthorizedException", End: badPassword},
		{Name: "new password", Edit: func(u *cognitotest.User) {
			u.Status, u.RequiredAttributes = cognitotest.ForceChangePassword, []string{"name"}
		}, Want: "NEW_PASSWORD_REQUIRED, NEW_PASSWORD_REQUIRED ok" + tokensLifeEnds},
		{Name: "TOTP", Edit: mfa("SOFTWARE_TOKEN_MFA"), Want: "SOFTWARE_TOKEN_MFA, SOFTWARE_TOKEN_MFA ok" + tokensLifeEnds},
		{Name: "SMS", Flow: "USER_PASSWORD_AUTH", Edit: mfa("SMS_MFA"), Want: "SMS_MFA, SMS_MFA ok" + tokensLifeEnds},
		{Name: "e-mail", Flow: "USER_PASSWORD_AUTH", Edit: mfa("EMAIL_OTP"), Want: "EMAIL_OTP, EMAIL_OTP ok" + tokensLifeEnds},
		{Name: "e-mail, wrong twice", Flow: "USER_PASSWORD_AUTH", Edit: mfa("EMAIL_OTP"), Answers: map[string]any{"wrong": 2},
			Want: "EMAIL_OTP, EMAIL_OTP CodeMismatchException, EMAIL_OTP CodeMismatchException, EMAIL_OTP ok" + tokensLifeEnds},
		{Name: "choice of e-mail", Flow: "USER_PASSWORD_AUTH", Edit: mfa("SMS_MFA", "SOFTWARE_TOKEN_MFA", "EMAIL_OTP"), Answers: map[string]any{"choice": "EMAIL"},
			Want: "SELECT_MFA_TYPE, SELECT_MFA_TYPE EMAIL_OTP, EMAIL_OTP ok" + tokensLifeEnds},
		{Name: "TOTP set-up", Flow: "USER_PASSWORD_AUTH", Edit: mfa("MFA_SETUP"), Steps: steps(do("signIn"), do("refresh")),
			Want: "MFA_SETUP, AssociateSoftwareToken ok, VerifySoftwareToken ok, MFA_SETUP ok, GetTokensFromRefreshToken ok"},
	} {
		if c.Steps == nil {
			c.Steps = wholeLife
		}
		list = append(list, c.bySRPToo()...)
	}
	return append(list,
		Case{Name: "rotation", Options: options(cognitotest.Rotation(0)), Flow: "USER_SRP_AUTH",
			Steps: steps(do("signIn"), do("refresh"), do("refresh"), do("signOut")),
			Want:  srp + "ok, GetTokensFromRefreshToken ok, GetTokensFromRefreshToken ok, RevokeToken ok"},
		Case{Name: "rotation with grace", Options: options(cognitotest.Rotation(30 * time.Second)), Flow: "USER_SRP_AUTH",
			Steps: wholeLife, Want: srp + "ok" + tokensLifeEnds},
		Case{Name: "custom", Flow: "CUSTOM_WITHOUT_SRP", Edit: questions, Answers: map[string]any{"answers": []string{"rex", "x", "mini"}}, Steps: wholeLife,
			Want: "CUSTOM_AUTH CUSTOM_CHALLENGE, CUSTOM_CHALLENGE CUSTOM_CHALLENGE, CUSTOM_CHALLENGE CUSTOM_CHALLENGE, CUSTOM_CHALLENGE ok" + tokensLifeEnds},
		Case{Name: "custom after SRP", Flow: "CUSTOM_WITH_SRP", Edit: questions, Answers: map[string]any{"answers": []string{"rex", "mini"}}, Steps: wholeLife,
			Want: "CUSTOM_AUTH PASSWORD_VERIFIER, PASSWORD_VERIFIER CUSTOM_CHALLENGE, CUSTOM_CHALLENGE CUSTOM_CHALLENGE, CUSTOM_CHALLENGE ok" + tokensLifeEnds},
	)
}

// amplifyChoices are the sign-ins by USER_AUTH.
func amplifyChoices() []Case {
	var list []Case
	chosen := func(name, factor, want string) {
		list = append(list, Case{Name: name + ", chosen", Flow: "USER_AUTH", Steps: wholeLife, Answers: map[string]any{"factor": factor},
			Want: "USER_AUTH SELECT_CHALLENGE, SELECT_CHALLENGE " + want + tokensLifeEnds})
	}
	preferred := func(name, factor, want string) {
		list = append(list, Case{Name: name + ", preferred", Flow: "USER_AUTH", Steps: wholeLife, Answers: map[string]any{"preferred": factor},
			Want: "USER_AUTH " + want + tokensLifeEnds})
	}
	chosen("choice of password", "PASSWORD", "ok")
	chosen("choice of SRP", "PASSWORD_SRP", "PASSWORD_VERIFIER, PASSWORD_VERIFIER ok")
	chosen("choice of e-mail", "EMAIL_OTP", "EMAIL_OTP, EMAIL_OTP ok")
	chosen("choice of SMS", "SMS_OTP", "SMS_OTP, SMS_OTP ok")
	preferred("password", "PASSWORD", "ok")
	preferred("SRP", "PASSWORD_SRP", "PASSWORD_VERIFIER, PASSWORD_VERIFIER ok")
	preferred("e-mail", "EMAIL_OTP", "EMAIL_OTP, EMAIL_OTP ok")
	preferred("SMS", "SMS_OTP", "SMS_OTP, SMS_OTP ok")
	return append(list,
		Case{Name: "preference that the pool has not", Flow: "USER_AUTH", Options: options(cognitotest.FirstFactors("PASSWORD", "EMAIL_OTP")), Steps: wholeLife,
			Answers: map[string]any{"preferred": "SMS_OTP", "factor": "EMAIL_OTP"},
			Want:    "USER_AUTH SELECT_CHALLENGE, SELECT_CHALLENGE EMAIL_OTP, EMAIL_OTP ok" + tokensLifeEnds},
		Case{Name: "choice of password, then TOTP", Flow: "USER_AUTH", Edit: mfa("SOFTWARE_TOKEN_MFA"), Steps: wholeLife,
			Answers: map[string]any{"factor": "PASSWORD"},
			Want:    "USER_AUTH SELECT_CHALLENGE, SELECT_CHALLENGE SOFTWARE_TOKEN_MFA, SOFTWARE_TOKEN_MFA ok" + tokensLifeEnds},
		Case{Name: "choice of e-mail by e-mail address", Flow: "USER_AUTH", User: address, Steps: wholeLife, Answers: map[string]any{"factor": "EMAIL_OTP"},
			Want: "USER_AUTH SELECT_CHALLENGE, SELECT_CHALLENGE EMAIL_OTP, EMAIL_OTP ok" + tokensLifeEnds},
	)
}

func amplifyDevices() []Case {
	always := cognitotest.RememberDevices(cognitotest.DevicesAlways)
	twice := steps(do("signIn"), do("refresh"), do("signOut"), do("signIn"), do("refresh"))
	const (
		refreshed = ", GetTokensFromRefreshToken ok"
		signedOut = refreshed + ", RevokeToken ok, "
	)
	return []Case{
		{Name: "device by SRP", Options: options(always), Flow: "USER_SRP_AUTH", Edit: mfa("SMS_MFA"), Steps: twice,
			Want: srp + "SMS_MFA, SMS_MFA ok, ConfirmDevice ok" + signedOut + srp + deviceProven + refreshed},
		{Name: "device by password", Options: options(always), Flow: "USER_PASSWORD_AUTH", Edit: mfa("SMS_MFA"), Steps: twice,
			Want: "USER_PASSWORD_AUTH SMS_MFA, SMS_MFA ok, ConfirmDevice ok" + signedOut + "USER_PASSWORD_AUTH " + deviceProven + refreshed},
		{Name: "device besides MFA", Options: options(always, cognitotest.DeviceBesidesMFA(true)), Flow: "USER_SRP_AUTH", Edit: mfa("SMS_MFA"), Steps: twice,
			Want: srp + "SMS_MFA, SMS_MFA ok, ConfirmDevice ok" + signedOut + srp + "SMS_MFA, SMS_MFA " + deviceProven + refreshed},
		{Name: "device with rotation", Options: options(always, cognitotest.Rotation(0)), Flow: "USER_SRP_AUTH", Steps: twice,
			Want: srp + "ok, ConfirmDevice ok" + signedOut + srp + deviceProven + refreshed},
		{Name: "device forgotten at the pool", Options: options(always), Flow: "USER_SRP_AUTH", Edit: mfa("SMS_MFA"), During: forgetAtSecondSignIn,
			Steps: steps(do("signIn"), do("signOut"), do("signIn"), do("refresh")),
			Want: srp + "SMS_MFA, SMS_MFA ok, ConfirmDevice ok, RevokeToken ok, " +
				srp + "ResourceNotFoundException, PASSWORD_VERIFIER SMS_MFA, SMS_MFA ok, ConfirmDevice ok" + refreshed},
		{Name: "device forgotten, then a refresh", Options: options(always), Flow: "USER_SRP_AUTH", During: forgetAtRefresh,
			Steps: steps(do("signIn"), do("refresh")), Want: srp + "ok, ConfirmDevice ok, GetTokensFromRefreshToken NotAuthorizedException",
			End: "Error: signed out"},
		{Name: "device that the user wants remembered", Options: options(cognitotest.RememberDevices(cognitotest.DevicesOptIn)),
			Flow: "USER_SRP_AUTH", Edit: mfa("SMS_MFA"),
			Steps: steps(do("signIn"), do("remember"), do("refresh"), do("signOut"), do("signIn"), do("forgetDevice")),
			Want:  srp + "SMS_MFA, SMS_MFA ok, ConfirmDevice ok, UpdateDeviceStatus ok" + signedOut + srp + deviceProven + ", ForgetDevice ok"},
	}
}

func forgetAtRefresh(srv *cognitotest.Server, c cognitotest.Call) {
	if c.Op == "GetTokensFromRefreshToken" {
		srv.ForgetDevice(name, "")
	}
}

func amplifyRecovery() []Case {
	const signedIn = srp + "ok"
	again := func(list ...[]string) [][]string {
		return append(list, do("setPassword", newPassword), do("signIn"))
	}
	return []Case{
		{Name: "forgotten password", Steps: again(do("forgotPassword"), do("confirmPassword", code, newPassword)),
			Want: "ForgotPassword ok, ConfirmForgotPassword ok, " + signedIn},
		{Name: "changed password", Steps: again(do("signIn"), do("changePassword", password, newPassword), do("signOut")),
			Want: signedIn + ", ChangePassword ok, RevokeToken ok, " + signedIn},
		{Name: "confirmed account", Edit: status(cognitotest.Unconfirmed), Steps: steps(do("resendCode"), do("confirmSignUp", code), do("signIn")),
			Want: "ResendConfirmationCode ok, ConfirmSignUp ok, " + signedIn},
		{Name: "unconfirmed", Edit: status(cognitotest.Unconfirmed), Steps: steps(do("signIn")), Want: srp + "UserNotConfirmedException", End: "Error: CONFIRM_SIGN_UP"},
		{Name: "password to be reset", Edit: status(cognitotest.ResetRequired), Steps: steps(do("signIn")),
			Want: srp + "PasswordResetRequiredException", End: "Error: RESET_PASSWORD"},
		{Name: "signed out everywhere", Steps: steps(do("signIn"), do("signOutEverywhere")), Want: signedIn + ", GlobalSignOut ok"},
	}
}
