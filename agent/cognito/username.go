package cognito

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/legaltalent/kyc-agent/agent"
)

// maxUsername is Cognito's limit, in characters.
const maxUsername = 128

// checkUsername returns a user name as it was typed, without white space at its ends, or an
// error if Cognito cannot have such a user. Cognito's own refusal does not say what is wrong.
func (o *operation) checkUsername(typed string) (string, error) {
	name := strings.TrimSpace(typed)
	bad := strings.IndexFunc(name, notInUsername)
	switch {
	case beginsWithBOM(name):
		return "", o.errorf(agent.CodeUsage, bomHint, "the user name begins with a byte order mark (U+FEFF)")
	case bad >= 0:
		r, _ := utf8.DecodeRuneInString(name[bad:])
		if unicode.IsSpace(r) {
			return "", o.errorf(agent.CodeUsage, o.rerunHint(), "a user name has no blanks")
		}
		return "", o.errorf(agent.CodeUsage, o.rerunHint(), "a user name does not contain the character %U", r)
	case utf8.RuneCountInString(name) > maxUsername:
		return "", o.errorf(agent.CodeUsage, o.rerunHint(), "a user name has %d characters at most", maxUsername)
	}
	return name, nil
}

// notInUsername reports whether no user name of Cognito contains r. See UsernameType in
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminGetUser.html
func notInUsername(r rune) bool {
	return r == utf8.RuneError || !unicode.In(r, unicode.L, unicode.M, unicode.S, unicode.N, unicode.P)
}

// Editors of Windows, and its shells, begin a text file with a byte order mark.
const bomHint = "save the file that it comes from as UTF-8 without this mark"

func beginsWithBOM(s string) bool { return strings.HasPrefix(s, "\ufeff") }
