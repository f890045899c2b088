package cognito

import (
	"context"
	"errors"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito/srp"
)

// Passwords, sent or proven, where nothing has to be asked.

// startSRP begins the proof of a password. It returns SRP_A.
func (si *signIn) startSRP() string {
	si.srpClient = srp.New()
	return si.srpClient.Public()
}

var errNoSRPClient = errors.New("a proof without a beginning")

// srpResponse answers a VERIFIER challenge with the password of id.
func (si *signIn) srpResponse(s step, id srp.Identity, password agent.Secret) (map[string]string, error) {
	if si.srpClient == nil {
		return nil, si.op.malformedChallenge(s, errNoSRPClient)
	}
	c := si.srpClient
	si.srpClient = nil // a second answer to the same SRP_A would tell of the password
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

// sendPasswordProof answers PASSWORD_VERIFIER. Cognito wants that within seconds.
func (si *signIn) sendPasswordProof(ctx context.Context, s step) (step, error) {
	responses, err := si.srpResponse(s, srp.Identity{Group: srp.PoolName(si.op.env.UserPoolID), Name: s.user}, si.password)
	if err != nil {
		return step{}, err
	}
	return si.respondWithPassword(ctx, s, responses)
}

// sendPassword answers PASSWORD.
func (si *signIn) sendPassword(ctx context.Context, s step) (step, error) {
	if err := si.ensurePassword(ctx); err != nil {
		return step{}, err
	}
	return si.respondWithPassword(ctx, s, map[string]string{"PASSWORD": si.password.Reveal()})
}

// sendSRPA answers PASSWORD_SRP; PASSWORD_VERIFIER comes next.
func (si *signIn) sendSRPA(ctx context.Context, s step) (step, error) {
	if err := si.ensurePassword(ctx); err != nil {
		return step{}, err
	}
	return si.respondWithPassword(ctx, s, map[string]string{"SRP_A": si.startSRP()})
}

// respondWithPassword answers a challenge with the password in some form.
func (si *signIn) respondWithPassword(ctx context.Context, s step, responses map[string]string) (step, error) {
	next, fail := si.respond(ctx, s, responses)
	if fail != nil {
		return step{}, si.challengeError(signInMapping, s, fail)
	}
	return next, nil
}

// ensurePassword asks for the password where the sign-in was begun without one.
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
