package cognito

import (
	"fmt"
	"slices"
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
		list[i] = fmt.Sprintf("%d = %s (%s)", i+1, mfaTypeNames[name], name)
	}
	return "Which second factor do you want to use? " + strings.Join(list, ", "), []agent.Field{{Name: "choice", Label: "Number or name"}}, nil
}

func mfaTypeResponses(s step, given agent.Answers) (map[string]string, string) {
	types, _ := mfaChoices(s)
	name, problem := pick(types, mfaTypeNames, given["choice"])
	return map[string]string{"ANSWER": name}, problem
}

// mfaChoices returns the MFA types to choose from, without those that a later Cognito may have.
func mfaChoices(s step) ([]string, error) {
	offered, err := parseNames(s.params["MFAS_CAN_CHOOSE"])
	if err != nil {
		return nil, err
	}
	known := slices.DeleteFunc(offered, func(name string) bool { return mfaTypeNames[name] == "" })
	if len(known) == 0 {
		return nil, fmt.Errorf("none of the choices is known to this version")
	}
	return known, nil
}
