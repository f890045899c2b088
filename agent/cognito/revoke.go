package cognito

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cip "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

// revokeTimeout limits a revocation: it is optional, and somebody waits for it.
const revokeTimeout = 4 * time.Second

// Revoke ends the sign-in at Cognito. It returns no error if Cognito does not know the sign-in,
// or if revocation is switched off for the app client.
func (a *Authenticator) Revoke(ctx context.Context, env agent.Environment, s agent.SignIn) error {
	o, err := a.newOperation("revoke", env)
	if err != nil || s.RefreshToken.IsZero() {
		return err
	}
	a.refreshes.forget(env.Name)
	if _, fail := o.revoke(ctx, s); fail != nil && (!nothingToRevoke[fail.Code] || fail.aboutSecret()) {
		return o.errorFor(revokeMapping, fail)
	}
	return nil
}

// nothingToRevoke are the error codes which say that nothing can be revoked.
var nothingToRevoke = map[string]bool{
	"UnsupportedOperationException": true, // EnableTokenRevocation is off
	"OperationNotEnabledException":  true,
	"UnsupportedTokenTypeException": true,
	"NotAuthorizedException":        true, // an emulator's code for an unknown token; Cognito accepts those
	"UnknownOperationException":     true,
	"Unsupported":                   true, // an emulator without the call
}

func (o *operation) revoke(ctx context.Context, s agent.SignIn) (*awscall.Exchange, *failure) {
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	_, x, fail := invoke(ctx, o, "RevokeToken", func(ctx context.Context) (*cip.RevokeTokenOutput, error) {
		return o.api.RevokeToken(ctx, &cip.RevokeTokenInput{
			ClientId:     aws.String(o.env.ClientID),
			ClientSecret: o.plainSecret(),
			Token:        aws.String(s.RefreshToken.Reveal()),
		})
	})
	return x, fail
}

// RevokeAll ends every sign-in of the user, including this one. Cognito requires an access
// token for that. As none is stored, RevokeAll makes a refresh first.
func (a *Authenticator) RevokeAll(ctx context.Context, env agent.Environment, s agent.SignIn, keep func(agent.SignIn)) error {
	o, err := a.newOperation("revoke", env)
	if err != nil {
		return err
	}
	o.allSignIns = true
	o.command += " && kyc-agentd logout --all-devices " + env.Name
	if s.RefreshToken.IsZero() {
		return o.errorf(agent.CodeLoginRequired, o.rerunHint(), "the stored sign-in has no refresh token")
	}
	before := s.RefreshToken
	r, _, fail := o.refreshTokens(ctx, &s, keep)
	if fail != nil {
		return o.refreshError(before, fail)
	}
	if fail := o.signOutEverywhere(ctx, r.AccessToken); fail != nil {
		o.discard(ctx, s) // at least this sign-in ends
		return o.errorFor(globalSignOutMapping, fail)
	}
	return nil
}

func (o *operation) signOutEverywhere(ctx context.Context, accessToken *string) *failure {
	ctx, cancel := context.WithTimeout(ctx, quickTimeout)
	defer cancel()
	_, _, fail := invoke(ctx, o, "GlobalSignOut", func(ctx context.Context) (*cip.GlobalSignOutOutput, error) {
		return o.api.GlobalSignOut(ctx, &cip.GlobalSignOutInput{AccessToken: accessToken})
	})
	return fail
}
