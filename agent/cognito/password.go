package cognito

import (
	"context"
	"errors"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito/srp"
	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

// This file answers the challenges that want the password, plain or as an SRP proof.

// startSRP begins an SRP exchange, which proves a password. It returns SRP_A.
func (si *signIn) startSRP() string {
	si.srpClient = srp.New()
	return si.srpClient.Public()
}

var errNoSRPClient = errors.New("no SRP exchange was started")

// srpResponse returns the answer to a VERIFIER challenge: the proof that the password of id
// is known.
func (si *signIn) srpResponse(s step, id srp.Identity, password agent.Secret) (map[string]string, error) {
	if si.srpClient == nil {
		return nil, si.op.malformedChallenge(s, errNoSRPClient)
	}
	c := si.srpClient
	si.srpClient = nil // a second proof for the same SRP_A would reveal something about the password
	p, err := c.Prove(id, password.Reveal(), srp.Challenge{
		Salt: s.params["SALT"], Public: s.params["SRP_B"], SecretBlock: s.params["SECRET_BLOCK"],
	}, si.op.auth.now().Add(s.x.Skew()))
	if err != nil {
		return nil, si.op.malformedChallenge(s, err)
	}
	return map[string]string{
		"PASSWORD_CLAIM_SIGNATURE":    p.Signature,
		"PASSWORD_CLAIM_SECRET_BLOCK": p.SecretBlock,
		"TIMESTAMP":                   p.Timestamp,
	}, nil
}

// sendPasswordProof answers PASSWORD_VERIFIER. Cognito expects the answer within seconds.
func (si *signIn) sendPasswordProof(ctx context.Context, s step) (step, error) {
	responses, err := si.srpResponse(s, srp.Identity{Group: srp.PoolName(si.op.env.UserPoolID), Name: s.user}, si.password)
	if err != nil {
		return step{}, err
	}
	return si.respondWithPassword(ctx, s, responses)
}

// sendPassword answers PASSWORD.
func (si *signIn) sendPassword(ctx context.Context, s step) (step, error) {
	password, err := si.shownPassword(ctx)
	if err != nil {
		return step{}, err
	}
	return si.respondWithPassword(ctx, s, map[string]string{"PASSWORD": password})
}

// shownPassword returns the password for a server that asks for it. With a flow that only
// proves the password Cognito never does, so it must be another server.
func (si *signIn) shownPassword(ctx context.Context) (string, error) {
	if !si.op.flow.showsPassword {
		return "", si.op.errorf(agent.CodeConfiguration, "check endpoint",
			"%s asks for the password itself, and auth_flow %q only proves it", awscall.Host(si.op.env.EndpointURL()), si.op.env.AuthFlow)
	}
	if err := si.ensurePassword(ctx); err != nil {
		return "", err
	}
	return si.password.Reveal(), nil
}

// sendSRPA answers PASSWORD_SRP; PASSWORD_VERIFIER comes next.
func (si *signIn) sendSRPA(ctx context.Context, s step) (step, error) {
	if err := si.ensurePassword(ctx); err != nil {
		return step{}, err
	}
	return si.respondWithPassword(ctx, s, map[string]string{"SRP_A": si.startSRP()})
}

// respondWithPassword sends an answer that contains or proves the password.
func (si *signIn) respondWithPassword(ctx context.Context, s step, responses map[string]string) (step, error) {
	next, fail := si.respond(ctx, s, responses)
	if fail != nil {
		return step{}, si.challengeError(signInMapping, s, fail)
	}
	return next, nil
}

// ensurePassword asks for the password if the sign-in began without one.
func (si *signIn) ensurePassword(ctx context.Context) error {
	if !si.password.IsZero() {
		return nil
	}
	c := agent.Challenge{
		Environment: si.op.env.Name, Name: "PASSWORD", Prompt: "Password",
		Fields: []agent.Field{{Name: "password", Label: "Password", Secret: true}},
	}
	return si.op.promptUntilAccepted(ctx, &c, func(given agent.Answers) (string, error) {
		if given["password"].IsZero() {
			return "no password was given", nil
		}
		si.password = given["password"]
		return "", nil
	})
}
