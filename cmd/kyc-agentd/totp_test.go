package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal/terminaltest"
)

const (
	totpSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXPJBSW"
	totpURL    = "otpauth://totp/KYC%20prod:ana%40example.com?secret=" + totpSecret + "&issuer=KYC%20prod"
)

// setUp is a Login that has an authenticator app set up, with one wrong code.
func setUp(ctx context.Context, _ agent.LoginRequest, ask agent.Prompter) error {
	c := agent.Challenge{
		Environment: "prod", Name: "MFA_SETUP", Prompt: "Set up an authenticator app",
		Fields: []agent.Field{{Name: "code", Label: "Code"}}, TOTPURL: totpURL, TOTPSecret: totpSecret,
	}
	for range 2 {
		answers, err := ask(ctx, c)
		if err != nil {
			return err
		}
		if answers["code"].Reveal() == "123456" {
			return nil
		}
		c.Problem = "wrong code"
	}
	return errors.New("no right code")
}

// The secret, its URL and, in a locale with UTF-8, the QR code are shown once; in another
// locale, why there is none.
func TestLoginSetsUpAnAuthenticatorApp(t *testing.T) {
	const text = "Set up an authenticator app\r\nSecret: JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP JBSW\r\nURL: " + totpURL + "\r\n"
	const reason = "(no QR code: the locale (LANG) is not UTF-8)\r\n"
	for locale, drawn := range map[string]bool{"LANG=C.UTF-8": true, "LANG=C": false} {
		t.Run(locale, func(t *testing.T) {
			vars := append(at(t, &scriptedAgent{login: setUp}), locale)
			p := terminaltest.New(t)
			p.Resize(80, 24)
			end := session{vars: vars, tty: p.TTY}.begin(t.Context(), "login", "-u", "ana")
			p.Answers(terminaltest.Answer{"at prod? ", "Correct-horse-7"}, terminaltest.Answer{"What is the code? ", "000000"})
			shown := p.Seen()
			p.Answers(terminaltest.Answer{"wrong code\r\nSet up an authenticator app\r\nWhat is the code? ", "123456"})
			end().want(t, exitOK, "prod: signed in as ana, kept in the keyring")
			if again := strings.TrimPrefix(p.Seen(), shown); strings.Contains(again, totpSecret) || strings.Contains(again, "JBSW Y3DP") {
				t.Errorf("shown again: %q", again)
			}
			_, after, ok := strings.Cut(shown, text)
			if !ok {
				t.Fatalf("%q", shown)
			}
			if code := strings.TrimSuffix(after, "What is the code? "); drawn != strings.HasPrefix(code, "\x1b[30;107m") || !drawn && code != reason {
				t.Errorf("after the URL: %q", code)
			}
		})
	}
}
