package cognito

import (
	"maps"
	"slices"
	"strings"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// hiddenParameters are the parameters of CUSTOM_CHALLENGE that are Cognito's own.
var hiddenParameters = map[string]bool{"USERNAME": true, "USER_ID_FOR_SRP": true}

// promptParameters are the parameters that pools' functions mostly put their question in,
// the best first, without regard to case. No rule of Cognito's names one.
var promptParameters = []string{"prompt", "question", "challenge", "message", "text", "title", "label", "hint"}

// maxPrompt is the longest text of a pool's own that is shown, in characters.
const maxPrompt = 300

// customPrompt shows what the user pool's own function says, as plain text: one parameter
// that looks like a question, else all of them.
func customPrompt(s step) (string, []agent.Field, error) {
	prompt := customText(s.params)
	if prompt == "" {
		prompt = "The user pool has a question of its own, and does not say which"
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
		if text := printable(params[name]); !hiddenParameters[name] && text != "" {
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
