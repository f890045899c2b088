package cognito

import (
	"maps"
	"slices"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// hiddenParameters are the parameters of CUSTOM_CHALLENGE that Cognito adds itself.
var hiddenParameters = map[string]bool{"USERNAME": true, "USER_ID_FOR_SRP": true}

// promptParameters are the parameters in which the Lambda triggers of user pools usually send
// their question, the most likely one first, compared without regard to case. Cognito does
// not prescribe a name.
var promptParameters = []string{"prompt", "question", "challenge", "message", "text", "title", "label", "hint"}

// maxPrompt is the longest text of a custom challenge that is shown, in characters. Instructions,
// links and codes to compare must be whole.
const maxPrompt = 4 << 10

// customPrompt returns the text of the user pool's Lambda trigger, as plain text: the parameter
// that looks like a question, or else all parameters.
func customPrompt(s step) (string, []agent.Field, error) {
	prompt := customText(s.params)
	if prompt == "" {
		prompt = "The user pool asks a custom question without saying which"
	}
	return prompt, []agent.Field{{Name: "answer", Label: "Answer"}}, nil
}

func customText(params map[string]string) string {
	for _, want := range promptParameters {
		for _, name := range slices.Sorted(maps.Keys(params)) {
			if text := sanitize.Short(params[name], maxPrompt); strings.EqualFold(name, want) && text != "" {
				return text
			}
		}
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if text := sanitize.Short(params[name], maxPrompt); !hiddenParameters[name] && text != "" {
			all = append(all, printable(name)+": "+text)
		}
	}
	return sanitize.Short(strings.Join(all, ", "), maxPrompt)
}

func customResponses(_ step, given agent.Answers) (map[string]string, string) {
	if given["answer"].IsZero() {
		return nil, "no answer was given"
	}
	return map[string]string{"ANSWER": given["answer"].Reveal()}, ""
}
