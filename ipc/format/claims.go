package format

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// renderClaims writes the claims of a token, which the agent has verified. An API key is no JWT
// and has none.
func renderClaims(t agent.Token) (string, error) {
	claims, err := claimsOf(t)
	if err != nil {
		e := wire.UsageError("this environment has an API key, which has no claims")
		e.Environment = t.Environment
		return "", e
	}
	return toASCII(string(wire.Encode(claims))), nil
}

// claimsOf returns the payload of a JWT. Numbers stay as they are written.
func claimsOf(t agent.Token) (claims map[string]any, err error) {
	parts := strings.Split(t.IDToken.Reveal(), ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("not a JWT: %d parts", len(parts))
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, fmt.Errorf("the payload is not base64url: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	if err := d.Decode(&claims); err != nil || claims == nil {
		return nil, fmt.Errorf("the payload is not a JSON object: %v", err)
	}
	return claims, nil
}

// toASCII escapes all other characters of a JSON text. A claim may hold what a user has typed,
// and a terminal obeys some of them.
func toASCII(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r < utf8.RuneSelf && r != 0x7f:
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
