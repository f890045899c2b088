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

// ways names Cognito's first factors for people, as far as a terminal can use them.
var ways = map[types.ChallengeNameType]string{
	types.ChallengeNameTypePasswordSrp: "password, which does not leave this machine",
	types.ChallengeNameTypePassword:    "password",
	types.ChallengeNameTypeEmailOtp:    "code by e-mail",
	types.ChallengeNameTypeSmsOtp:      "code by SMS",
}

// choose answers SELECT_CHALLENGE: with the password where there is one and it is on
// offer, else with what the person chooses.
func (si *signIn) choose(ctx context.Context, s step) (step, error) {
	way := si.usual(s.available)
	if way == "" {
		var err error
		if way, err = si.askWay(ctx, s); err != nil {
			return step{}, err
		}
	}
	responses, err := si.chosen(ctx, way)
	if err != nil {
		return step{}, err
	}
	return si.submit(ctx, s, responses)
}

// usual is the way of somebody who gave a password.
func (si *signIn) usual(available []types.ChallengeNameType) types.ChallengeNameType {
	if si.password.IsZero() {
		return ""
	}
	for _, way := range []types.ChallengeNameType{types.ChallengeNameTypePasswordSrp, types.ChallengeNameTypePassword} {
		if slices.Contains(available, way) {
			return way
		}
	}
	return ""
}

// chosen is the answer that chooses way. A password goes with it; a code is sent, and
// asked for by the next challenge.
func (si *signIn) chosen(ctx context.Context, way types.ChallengeNameType) (map[string]string, error) {
	responses := map[string]string{"ANSWER": string(way)}
	switch way {
	case types.ChallengeNameTypePasswordSrp:
		if err := si.needPassword(ctx); err != nil {
			return nil, err
		}
		responses["SRP_A"] = si.shakeHands()
	case types.ChallengeNameTypePassword:
		if err := si.needPassword(ctx); err != nil {
			return nil, err
		}
		responses["PASSWORD"] = si.password.Reveal()
	}
	return responses, nil
}

func (si *signIn) askWay(ctx context.Context, s step) (types.ChallengeNameType, error) {
	usable := slices.DeleteFunc(slices.Clone(s.available), func(way types.ChallengeNameType) bool { return ways[way] == "" })
	passkey := slices.Contains(s.available, types.ChallengeNameTypeWebAuthn)
	switch {
	case len(usable) == 0 && passkey:
		return "", si.op.unanswerable(types.ChallengeNameTypeWebAuthn)
	case len(usable) == 0:
		return "", si.op.improper(s, fmt.Errorf("nothing to choose from that this version knows"))
	}
	c := agent.Challenge{
		Environment: si.op.env.Name, Name: string(s.challenge), Prompt: wayPrompt(usable, passkey),
		Fields: []agent.Field{{Name: "choice", Label: "Number or name"}},
	}
	var way types.ChallengeNameType
	err := si.op.converse(ctx, &c, func(given agent.Answers) (problem string, _ error) {
		way, problem = pick(usable, given["choice"])
		return problem, nil
	})
	return way, err
}

func wayPrompt(usable []types.ChallengeNameType, passkey bool) string {
	list := make([]string, len(usable))
	for i, way := range usable {
		list[i] = fmt.Sprintf("%d = %s (%s)", i+1, ways[way], way)
	}
	prompt := "Choose how to sign in: " + strings.Join(list, ", ")
	if passkey {
		prompt += "; the passkey (WEB_AUTHN) is not possible in a terminal"
	}
	return prompt
}

// pick finds what was typed, a number or a name, in a list.
func pick[Name ~string](list []Name, typed agent.Secret) (name Name, problem string) {
	answer := strings.TrimSpace(typed.Reveal())
	for i, name := range list {
		if answer == strconv.Itoa(i+1) || strings.EqualFold(answer, string(name)) {
			return name, ""
		}
	}
	return "", "not one of the choices"
}
