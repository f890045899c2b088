package cognito

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cip "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

// revokeTimeout bounds a courtesy that somebody waits for.
const revokeTimeout = 4 * time.Second

// Revoke ends the sign-in at Cognito. No error comes of a sign-in that is not known
// there, nor of an app client that has revocation switched off.
func (a *Authenticator) Revoke(ctx context.Context, env agent.Environment, s agent.SignIn) error {
	o, err := a.newOperation("revoke", env)
	if err != nil || s.RefreshToken.IsZero() {
		return err
	}
	if _, fail := o.revoke(ctx, s); fail != nil && (!nothingToRevoke[fail.Code] || fail.aboutSecret()) {
		return o.errorFor(revokeMapping, fail)
	}
	return nil
}

// nothingToRevoke are the codes that say there is nothing that could be revoked.
var nothingToRevoke = map[string]bool{
	"UnsupportedOperationException": true, // EnableTokenRevocation is off
	"OperationNotEnabledException":  true,
	"UnsupportedTokenTypeException": true,
	"NotAuthorizedException":        true, // an emulator's word for an unknown token; Cognito takes those
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

// RevokeAll ends every sign-in of the user, this one included. It takes a refresh, for
// Cognito wants an access token of the user's, and none is kept.
func (a *Authenticator) RevokeAll(ctx context.Context, env agent.Environment, s agent.SignIn, keep func(agent.SignIn)) error {
	o, err := a.newOperation("revoke", env)
	if err != nil {
		return err
	}
	o.allSignIns = true
	o.command += " && kyc-agentd logout --all-devices " + env.Name
	if s.RefreshToken.IsZero() {
		return o.errorf(agent.CodeLoginRequired, o.rerunHint(), "the kept sign-in has no refresh token")
	}
	r, _, fail := o.refreshTokens(ctx, &s, keep)
	if fail != nil {
		return o.errorFor(refreshMapping, fail)
	}
	if fail := o.signOutEverywhere(ctx, r.AccessToken); fail != nil {
		o.discard(ctx, s) // that much can be done
		return o.errorFor(globalSignOutMapping, fail)
	}
	return nil
}

func (o *operation) signOutEverywhere(ctx context.Context, accessToken *string) *failure {
	_, _, fail := invoke(ctx, o, "GlobalSignOut", func(ctx context.Context) (*cip.GlobalSignOutOutput, error) {
		return o.api.GlobalSignOut(ctx, &cip.GlobalSignOutInput{AccessToken: accessToken})
	})
	return fail
}
