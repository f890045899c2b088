package cognito

import (
	"fmt"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
)

// mfaTypeNames describes Cognito's MFA types to a person.
var mfaTypeNames = map[string]string{
	"SOFTWARE_TOKEN_MFA": "authenticator app",
	"SMS_MFA":            "SMS",
	"EMAIL_OTP":          "e-mail",
	"EMAIL_MFA":          "e-mail",
}

func mfaTypePrompt(s step) (string, []agent.Field, error) {
	types, err := mfaChoices(s)
	if err != nil {
		return "", nil, err
	}
	list := make([]string, len(types))
	for i, name := range types {
		list[i] = fmt.Sprintf("%d = %s", i+1, name)
		if human := mfaTypeNames[name]; human != "" {
			list[i] = fmt.Sprintf("%d = %s (%s)", i+1, human, name)
		}
	}
	return "Choose a second factor: " + strings.Join(list, ", "), []agent.Field{{Name: "choice", Label: "Number or name"}}, nil
}

func mfaTypeResponses(s step, given agent.Answers) (map[string]string, string) {
	types, _ := mfaChoices(s)
	name, problem := pick(types, given["choice"])
	return map[string]string{"ANSWER": name}, problem
}

// mfaChoices returns the MFA types to choose from.
func mfaChoices(s step) ([]string, error) {
	return parseNames(s.params["MFAS_CAN_CHOOSE"], challengePattern, 1)
}
