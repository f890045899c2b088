package cognito

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cip "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/lazyregexp"
)

// totpIssuer is the name that an authenticator app shows for the codes.
const totpIssuer = "KYC API"

// setUpMFA answers MFA_SETUP: Cognito generates a secret, the person enters it into an
// authenticator app, and a first code proves that this worked.
func (si *signIn) setUpMFA(ctx context.Context, s step) (step, error) {
	if err := si.checkMFASetup(s); err != nil {
		return step{}, err
	}
	secret, err := si.associateToken(ctx, &s)
	if err != nil {
		return step{}, err
	}
	c := agent.Challenge{
		Environment: si.op.env.Name, Name: string(s.challenge),
		Prompt:  "Set up an authenticator app: scan the QR code with it, or type the secret into it, then enter the code that it shows",
		Fields:  []agent.Field{{Name: "code", Label: "Code"}},
		TOTPURL: totpURL(si.user, secret), TOTPSecret: secret,
	}
	err = si.op.promptUntilAccepted(ctx, &c, func(given agent.Answers) (string, error) {
		code, problem := typedCode(given)
		if problem != "" {
			return problem, nil
		}
		return si.verifyToken(ctx, &s, code)
	})
	if err != nil {
		return step{}, err
	}
	next, fail := si.respond(ctx, s, map[string]string{})
	if fail != nil {
		return step{}, si.challengeError(answerMapping, s, fail)
	}
	return next, nil
}

// checkMFASetup refuses a setup that does not allow authenticator apps: the other methods need
// an address or a phone number, which the administrator has to enter.
func (si *signIn) checkMFASetup(s step) error {
	list, err := parseNames(s.params["MFAS_CAN_SETUP"])
	offered := len(list) > 0
	list = slices.DeleteFunc(list, func(name string) bool { return !challengePattern.MatchString(name) })
	switch {
	case err != nil:
		return si.op.malformedChallenge(s, err)
	case offered && !slices.Contains(list, string(types.ChallengeNameTypeSoftwareTokenMfa)):
		return si.op.errorf(agent.CodeConfiguration,
			withRequestID("ask the user pool's administrator to give the user a phone number or e-mail address, or to allow authenticator apps", s.x.RequestID),
			"Cognito requires a second factor by %s and does not accept an authenticator app", cmp.Or(strings.Join(list, " or "), "methods that this version does not know"))
	}
	return nil
}

// associateToken gets the secret for a new authenticator app, and stores the next session in s.
func (si *signIn) associateToken(ctx context.Context, s *step) (string, error) {
	out, x, fail := invokeWithTries(ctx, si.op, "AssociateSoftwareToken", func(ctx context.Context) (*cip.AssociateSoftwareTokenOutput, error) {
		return si.op.api.AssociateSoftwareToken(ctx, &cip.AssociateSoftwareTokenInput{Session: s.session})
	})
	if fail != nil {
		return "", si.challengeError(answerMapping, *s, fail)
	}
	secret := aws.ToString(out.SecretCode)
	if len(secret) > maxTOTP || !totpPattern.MatchString(secret) {
		return "", si.op.malformedChallenge(*s, fmt.Errorf("its secret is not valid for an authenticator app"))
	}
	if out.Session != nil {
		s.session = out.Session
	}
	s.x = x
	return secret, nil
}

// totpPattern is base32 (RFC 4648), of 80 bits or more.
var totpPattern = lazyregexp.New(`^[A-Z2-7]{16,}=*$`)

const maxTOTP = 264 // characters; a QR code holds some thousands

// totpURL returns the content of the QR code for an authenticator app.
// https://github.com/google/google-authenticator/wiki/Key-Uri-Format
func totpURL(user, secret string) string {
	label := url.PathEscape(totpIssuer) + ":" + url.PathEscape(user)
	return "otpauth://totp/" + label + "?secret=" + url.QueryEscape(secret) + "&issuer=" + url.PathEscape(totpIssuer)
}

// verifyToken checks the first code. If it is right, it stores the next session in s.
func (si *signIn) verifyToken(ctx context.Context, s *step, code string) (problem string, err error) {
	out, x, fail := invokeWithTries(ctx, si.op, "VerifySoftwareToken", func(ctx context.Context) (*cip.VerifySoftwareTokenOutput, error) {
		return si.op.api.VerifySoftwareToken(ctx, &cip.VerifySoftwareTokenInput{Session: s.session, UserCode: aws.String(code)})
	})
	if fail != nil {
		if problem := problemFor(mfaSetupProblems, fail); problem != "" {
			return problem, nil
		}
		return "", si.challengeError(answerMapping, *s, fail)
	}
	if out.Session != nil {
		s.session = out.Session
	}
	s.x = x
	if out.Status != types.VerifySoftwareTokenResponseTypeSuccess {
		return mfaSetupProblems["CodeMismatchException"], nil
	}
	return "", nil
}

var mfaSetupProblems = map[string]string{
	"EnableSoftwareTokenMFAException": "wrong code; if the next one is wrong, too, check the clock of the device with the app",
	"CodeMismatchException":           "wrong code; if the next one is wrong, too, check the clock of the device with the app",
	"InvalidParameterException":       "Cognito does not accept that as a code",
}
