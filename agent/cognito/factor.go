package cognito

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/legaltalent/kyc-agent/agent"
)

// factorNames describes the first factors of Cognito that a terminal can use.
var factorNames = map[types.ChallengeNameType]string{
	types.ChallengeNameTypePasswordSrp: "password, which does not leave this machine",
	types.ChallengeNameTypePassword:    "password",
	types.ChallengeNameTypeEmailOtp:    "code by e-mail",
	types.ChallengeNameTypeSmsOtp:      "code by SMS",
}

// chooseFactor answers SELECT_CHALLENGE: with the password if there is one and Cognito offers
// that factor, otherwise with the person's choice.
func (si *signIn) chooseFactor(ctx context.Context, s step) (step, error) {
	factor := si.preferredFactor(s.available)
	if factor == "" {
		var err error
		if factor, err = si.askFactor(ctx, s); err != nil {
			return step{}, err
		}
	}
	responses, err := si.selectFactor(ctx, factor)
	if err != nil {
		return step{}, err
	}
	return si.respondWithPassword(ctx, s, responses)
}

// preferredFactor returns the factor to use if a password was given, or "".
func (si *signIn) preferredFactor(available []types.ChallengeNameType) types.ChallengeNameType {
	if si.password.IsZero() {
		return ""
	}
	for _, factor := range []types.ChallengeNameType{types.ChallengeNameTypePasswordSrp, types.ChallengeNameTypePassword} {
		if slices.Contains(available, factor) {
			return factor
		}
	}
	return ""
}

// selectFactor returns the answer that chooses a factor. It contains the password; a code is
// sent by Cognito and asked for by the next challenge.
func (si *signIn) selectFactor(ctx context.Context, factor types.ChallengeNameType) (map[string]string, error) {
	responses := map[string]string{"ANSWER": string(factor)}
	switch factor {
	case types.ChallengeNameTypePasswordSrp:
		if err := si.ensurePassword(ctx); err != nil {
			return nil, err
		}
		responses["SRP_A"] = si.startSRP()
	case types.ChallengeNameTypePassword:
		password, err := si.shownPassword(ctx)
		if err != nil {
			return nil, err
		}
		responses["PASSWORD"] = password
	}
	return responses, nil
}

func (si *signIn) askFactor(ctx context.Context, s step) (types.ChallengeNameType, error) {
	usable := slices.DeleteFunc(slices.Clone(s.available), func(factor types.ChallengeNameType) bool { return factorNames[factor] == "" })
	passkey := slices.Contains(s.available, types.ChallengeNameTypeWebAuthn)
	switch {
	case len(usable) == 0 && passkey:
		return "", si.op.unsupportedChallenge(step{challenge: types.ChallengeNameTypeWebAuthn, x: s.x})
	case len(usable) == 0:
		return "", si.op.malformedChallenge(s, fmt.Errorf("none of the choices is known to this version"))
	}
	c := agent.Challenge{
		Environment: si.op.env.Name, Name: string(s.challenge), Prompt: si.op.factorPrompt(usable, passkey),
		Fields: []agent.Field{{Name: "choice", Label: "Number or name"}},
	}
	var factor types.ChallengeNameType
	err := si.op.promptUntilAccepted(ctx, &c, func(given agent.Answers) (problem string, _ error) {
		factor, problem = pick(usable, factorNames, given["choice"])
		return problem, nil
	})
	return factor, err
}

func (o *operation) factorPrompt(usable []types.ChallengeNameType, passkey bool) string {
	list := make([]string, len(usable))
	for i, factor := range usable {
		list[i] = fmt.Sprintf("%d = %s (%s)", i+1, factorNames[factor], factor)
	}
	prompt := "How do you want to sign in? " + strings.Join(list, ", ")
	if passkey {
		prompt += "; for the passkey (WEB_AUTHN), " + o.browserHint()
	}
	return prompt
}

// pick returns the entry of a list whose number, name or description was typed. A word
// of a description is enough if no other one has it.
func pick[Name ~string](list []Name, descriptions map[Name]string, typed agent.Secret) (name Name, problem string) {
	answer := plainWords(typed.Reveal())
	for i, name := range list {
		if answer == strconv.Itoa(i+1) || strings.EqualFold(strings.TrimSpace(typed.Reveal()), string(name)) || answer == plainWords(descriptions[name]) {
			return name, ""
		}
	}
	var like []Name
	for _, name := range list {
		if answer != "" && strings.Contains(" "+plainWords(descriptions[name])+" ", " "+answer+" ") {
			like = append(like, name)
		}
	}
	if len(like) != 1 {
		return "", "not one of the choices"
	}
	return like[0], ""
}

// plainWords returns s as people type it: in lower case, "email" and "e-mail" alike, and
// without other punctuation.
func plainWords(s string) string {
	s = strings.NewReplacer("-", "", ",", "").Replace(strings.ToLower(s))
	return strings.Join(strings.Fields(s), " ")
}
