package cognito

import (
	"fmt"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
)

// mfaTypes names Cognito's MFA types for people.
var mfaTypes = map[string]string{
	"SOFTWARE_TOKEN_MFA": "authenticator app",
	"SMS_MFA":            "SMS",
	"EMAIL_OTP":          "e-mail",
	"EMAIL_MFA":          "e-mail",
}

func askMFAType(s step) (string, []agent.Field, error) {
	types, err := choices(s)
	if err != nil {
		return "", nil, err
	}
	list := make([]string, len(types))
	for i, name := range types {
		list[i] = fmt.Sprintf("%d = %s", i+1, name)
		if human := mfaTypes[name]; human != "" {
			list[i] = fmt.Sprintf("%d = %s (%s)", i+1, human, name)
		}
	}
	return "Choose a second factor: " + strings.Join(list, ", "), []agent.Field{{Name: "choice", Label: "Number or name"}}, nil
}

func respondMFAType(s step, given agent.Answers) (map[string]string, string) {
	types, _ := choices(s)
	name, problem := pick(types, given["choice"])
	return map[string]string{"ANSWER": name}, problem
}

// choices are the MFA types to choose from.
func choices(s step) ([]string, error) {
	return names(s.params["MFAS_CAN_CHOOSE"], challengePattern, 1)
}
