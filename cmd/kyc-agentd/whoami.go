package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// An identity is who is signed in to an environment, as `whoami` shows it.
type identity struct {
	Environment  string                     `json:"environment"`
	User         string                     `json:"user,omitempty"`
	Subject      string                     `json:"sub,omitempty"`
	APIKey       bool                       `json:"api_key,omitempty"`
	ExpiresAt    time.Time                  `json:"expires_at,omitzero"`
	SignedInAt   time.Time                  `json:"signed_in_at,omitzero"`
	SignInEndsAt time.Time                  `json:"sign_in_ends_at,omitzero"`
	Claims       map[string]json.RawMessage `json:"claims,omitempty"`
}

func (c *cli) whoamiCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "whoami", Aliases: []string{"who"}, SuggestFor: []string{"me", "id", "user"},
		Short: "show who is signed in, with the token's claims", Long: usageWhoami, Args: atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			who, err := c.identity(cmd, args)
			switch {
			case err != nil:
				return err
			case asJSON:
				return writeJSON(c.io.shown(), who)
			}
			return who.write(c.io.out, time.Now())
		},
	}
	addJSONFlag(cmd, &asJSON)
	return c.takesEnvironment(cmd)
}

// identity asks for the claims first, because only then the status knows the end of a token
// that the agent had to get.
func (c *cli) identity(cmd *cobra.Command, args []string) (identity, error) {
	name, err := c.environment(args)
	if err != nil {
		return identity{}, err
	}
	claims, claimsErr := c.client().Claims(cmd.Context(), agent.TokenRequest{Environment: name})
	st, err := c.client().Status(cmd.Context())
	if err != nil {
		return identity{}, err
	}
	env, err := findEnvironment(st, cmp.Or(name, st.DefaultEnvironment))
	if err != nil {
		return identity{}, err
	}
	if claimsErr != nil && !env.APIKey { // a key has none
		claimsErr = c.withoutClaims(cmd.Context(), st, env.Name, claimsErr)
	} else {
		claimsErr = nil
	}
	return identity{
		Environment: env.Name, User: env.User, Subject: env.Subject, APIKey: env.APIKey, Claims: claims,
		ExpiresAt: env.ExpiresAt, SignedInAt: env.SignedInAt, SignInEndsAt: env.SignInEndsAt,
	}, claimsErr
}

// withoutClaims returns nil if the daemon is of another version, which knows who is signed in
// but not the format of claims, and says so.
func (c *cli) withoutClaims(ctx context.Context, st agent.Status, env string, err error) error {
	if agent.CodeOf(err) != agent.CodeUsage || st.Version == programVersion() {
		return err
	}
	if _, err := c.client().Token(ctx, agent.TokenRequest{Environment: env}); err != nil {
		return err
	}
	c.io.say("warning: the daemon is %s, which does not tell the claims; run: systemctl --user restart kyc-agentd.service", st.Version)
	return nil
}

// write writes who it is for a person, who reads it at now, as wide as the terminal is.
func (i identity) write(w io.Writer, now time.Time) error {
	var lines statustext.Lines
	line := func(label, value string) {
		if value != "" {
			lines = append(lines, [2]string{sanitize.OneLine(label), sanitize.OneLine(value)})
		}
	}
	width := terminal.Columns(w)
	line("environment", i.Environment)
	if i.APIKey {
		line("user", "none: an API key")
		return lines.Write(w, width)
	}
	line("user", i.User)
	line("sub", i.Subject)
	for _, c := range i.personal() {
		line(c.label, c.value)
	}
	line("token ends", statustext.Time(i.ExpiresAt, now))
	if !i.SignedInAt.IsZero() {
		line("signed in", statustext.Time(i.SignedInAt, now))
	}
	line("sign-in ends", statustext.Time(i.SignInEndsAt, now))
	return lines.Write(w, width)
}

// A claim is one of a token, in words.
type claim struct{ label, value string }

// technicalClaims are about the token and not about the person.
var technicalClaims = []string{
	"aud", "iss", "iat", "exp", "nbf", "jti", "origin_jti", "event_id", "token_use", "auth_time", "at_hash", "nonce",
	"email_verified", "phone_number_verified", "sub",
}

// firstClaims come before the others, in this order.
var firstClaims = []string{"name", "email", "phone_number", "custom:tenant", "tenant", "custom:tenant_id", "tenant_id", "cognito:groups"}

// personal returns the claims that a person wants: all but the technical ones.
func (i identity) personal() []claim {
	var names []string
	for name := range i.Claims {
		if !slices.Contains(technicalClaims, name) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b))
	})
	var all []claim
	for _, name := range names {
		value := claimText(i.Claims[name])
		switch {
		case name == "cognito:username" && (value == i.User || value == i.Subject):
			continue
		case name == "email" && claimText(i.Claims["email_verified"]) == "false":
			value += " (not verified)"
		}
		all = append(all, claim{claimLabel(name), value})
	}
	return all
}

func rank(name string) int {
	if i := slices.Index(firstClaims, name); i >= 0 {
		return i
	}
	return len(firstClaims)
}

// claimLabel returns what a person calls the claim.
func claimLabel(name string) string {
	switch name {
	case "email":
		return "e-mail"
	case "phone_number":
		return "phone"
	case "cognito:username":
		return "name at Cognito"
	}
	return strings.TrimPrefix(strings.TrimPrefix(name, "custom:"), "cognito:")
}

// claimText returns a string as it is, the elements of a list with commas, and anything else
// in JSON.
func claimText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		var compact bytes.Buffer
		_ = json.Compact(&compact, raw)
		return compact.String()
	}
	var texts []string
	for _, element := range list {
		texts = append(texts, claimText(element))
	}
	return strings.Join(texts, ", ")
}
