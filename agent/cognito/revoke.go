package cognito

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cip "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"

	"github.com/legaltalent/kyc-agent/agent"
)

// revokeTimeout bounds a courtesy that somebody waits for.
const revokeTimeout = 4 * time.Second

// Revoke ends the sign-in at Cognito. No error comes of a sign-in that is not known
// there, nor of an app client that has revocation switched off.
func (a *Authenticator) Revoke(ctx context.Context, env agent.Environment, s agent.Sealed) error {
	t, err := a.begin("revoke", env)
	if err != nil || s.RefreshToken.IsZero() {
		return err
	}
	if _, fail := t.revoke(ctx, s); fail != nil && !nothingToRevoke[fail.code] {
		return t.failed(atRevoke, fail)
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

func (t *task) revoke(ctx context.Context, s agent.Sealed) (*exchange, *failure) {
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	_, x, fail := invoke(ctx, t, "RevokeToken", func(ctx context.Context) (*cip.RevokeTokenOutput, error) {
		return t.api.RevokeToken(ctx, &cip.RevokeTokenInput{
			ClientId: aws.String(t.env.ClientID),
			Token:    aws.String(s.RefreshToken.Reveal()),
		})
	})
	return x, fail
}

// RevokeAll ends every sign-in of the user.
func (a *Authenticator) RevokeAll(context.Context, agent.Environment, agent.Sealed, func(agent.Sealed)) error {
	return errors.ErrUnsupported
}

// Recover mends an account.
func (a *Authenticator) Recover(context.Context, agent.Environment, agent.RecoverRequest, agent.Asker) error {
	return errors.ErrUnsupported
}
