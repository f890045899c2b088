package cognito_test

import (
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// A user name that Cognito cannot have is refused by name, before any call.
func TestUsernamesThatCannotBe(t *testing.T) {
	srv := start(t)
	a := cognito.New(cognito.Options{})
	for name, says := range map[string]string{
		"ana smith":              "a user name has no blanks",
		"ana\u00a0smith":         "a user name has no blanks",
		"ana\tsmith":             "a user name has no blanks",
		"\ufeffana":              "the user name begins with a byte order mark (U+FEFF); save the file",
		"ana\u200b":              "a user name does not contain the character U+200B",
		"ana\x1b[2J":             "a user name does not contain the character U+001B",
		"ana\xff":                "a user name does not contain the character U+FFFD",
		strings.Repeat("ä", 129): "a user name has 128 characters at most",
		" ":                      "needs a user name",
	} {
		req := ada()
		req.Username = name
		_, err := a.Login(t.Context(), environment(srv), req, unasked(t))
		wantError(t, err, agent.CodeUsage, says)
		for _, action := range []agent.RecoverAction{agent.RecoverReset, agent.RecoverConfirm, agent.RecoverResend, agent.RecoverChange} {
			err := a.Recover(t.Context(), environment(srv), agent.RecoverRequest{Action: action, Username: name, Password: req.Password}, unasked(t))
			if agent.CodeOf(err) != agent.CodeUsage {
				t.Errorf("%s of %q: %v", action, name, err)
			}
		}
	}
	if n := srv.Calls(cognitotest.AnyCall); n != 0 {
		t.Errorf("%d calls", n)
	}
}

// Blanks around a name come with it from a clipboard, and belong to no name.
func TestBlanksAroundAUsername(t *testing.T) {
	srv := start(t)
	srv.AddUser(cognitotest.User{Name: "adfs\\name:|+'\"🙂", Password: password})
	for _, name := range []string{" ada ", "ada@example.com\n", "\u00a0ada", "adfs\\name:|+'\"🙂"} {
		req := ada()
		req.Username = name
		if _, err := cognito.New(cognito.Options{}).Login(t.Context(), environment(srv), req, unasked(t)); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// A secret from a file of Windows is refused by name; Cognito would call it wrong.
func TestByteOrderMark(t *testing.T) {
	srv := start(t, cognitotest.ClientSecret("s3cret"))
	env := environment(srv)
	env.ClientSecret = fixedSecret("s3cret")
	a := cognito.New(cognito.Options{})
	req := ada()
	req.Password = agent.NewSecret("\ufeff" + password)
	_, err := a.Login(t.Context(), env, req, unasked(t))
	wantError(t, err, agent.CodeUsage, "the password begins with a byte order mark (U+FEFF); save the file that it comes from as UTF-8 without this mark")
	for secret, says := range map[string]string{
		"\ufeffs3cret": "the client secret begins with a byte order mark", "s3 cret": "the client secret contains a blank",
		"s3cret\n": "contains a blank", "s\u00b3cret": "a character that is not ASCII",
	} {
		env.ClientSecret = fixedSecret(secret)
		_, err := a.Login(t.Context(), env, ada(), unasked(t))
		wantError(t, err, agent.CodeConfiguration, says)
		if strings.Contains(err.Error(), "cret\n") || strings.Contains(err.Error(), "s3") {
			t.Errorf("the secret got out: %v", err)
		}
	}
	if n := srv.Calls(cognitotest.AnyCall); n != 0 {
		t.Errorf("%d calls", n)
	}
}
