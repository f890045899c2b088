package ipc

import (
	"fmt"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// answeringJSON answers every request with body.
func answeringJSON(t *testing.T, body string) *Client {
	t.Helper()
	return answering(t, rawResponse("200 OK", wire.MediaJSON, body))
}

// TestStatusNames: a name of an environment is completed in a shell, typed, put in a URL.
func TestStatusNames(t *testing.T) {
	for name, good := range map[string]bool{
		"prod": true, "a_b-1": true, strings.Repeat("x", 63): true,
		"": false, "$(touch x)": false, "`touch x`": false, "*": false, "a b": false, "a\nb": false, "../x": false, "-x": false,
		"Prod": false, "ü": false, "\x1b[2J": false, "a\tb": false, "a;b": false, strings.Repeat("x", 64): false,
	} {
		env := fmt.Sprintf(`{"environments":[{"name":"staging"},{"name":%q}]}`, name)
		st, err := answeringJSON(t, env).Status(t.Context())
		if good != (err == nil) || !good && len(st.Environments) > 0 {
			t.Errorf("%q: %v, %v", name, st, err)
		}
		_, err = answeringJSON(t, fmt.Sprintf(`{"default_environment":%q,"environments":[]}`, name)).Status(t.Context())
		if (good || name == "") != (err == nil) {
			t.Errorf("%q as the default: %v", name, err)
		}
	}
	_, err := answeringJSON(t, `{"environments":[{"name":"$(id)"}]}`).Status(t.Context())
	fixture.WantError(t, err, agent.CodeInternal, "does not speak like kyc-agentd")
}

// TestStatusIsSanitized: every text of a status, at any depth, is one line without
// control characters.
func TestStatusIsSanitized(t *testing.T) {
	const foul = `"\u001b[2J\nx"`
	st, err := answeringJSON(t, `{"version":`+foul+`,"started_at":"2026-01-02T03:04:05Z","store":{"kind":`+foul+`,"advice":`+foul+`},"network":{`+foul+`:`+foul+`},
		"sinks":[{"path":`+foul+`}],"environments":[{"name":"prod","state":`+foul+`,"allowed_hosts":[`+foul+`],"endpoints":{"issuer":`+foul+`},"last_error":`+foul+`}]}`).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%+v", st)
	if strings.ContainsAny(text, "\x1b\n") || strings.Count(text, "?[2J x") != 10 || st.StartedAt.Year() != 2026 {
		t.Errorf("%d in %q", strings.Count(text, "?[2J x"), text)
	}
}

// TestCredentialsAreWords: no token or key that a Client returns can end a line.
func TestCredentialsAreWords(t *testing.T) {
	const aws = `{"Version":1,"AccessKeyId":"A","SecretAccessKey":"b","SessionToken":"c","Expiration":"2026-01-02T02:04:05Z"}`
	for _, foul := range []string{"", `eyJ\r\nHost: x`, "eyJ x", `\u001b[2J`, "ü"} {
		_, err := answeringJSON(t, `{"token":"`+foul+`","expires_at":""}`).Token(t.Context(), agent.TokenRequest{})
		fixture.WantError(t, err, agent.CodeInternal, "does not speak like kyc-agentd")
		for _, value := range []string{`"A"`, `"b"`, `"c"`} {
			c := answeringJSON(t, strings.Replace(aws, value, `"`+foul+`"`, 1))
			_, err := c.AWSCredentials(t.Context(), agent.TokenRequest{})
			fixture.WantError(t, err, agent.CodeInternal, "does not speak like kyc-agentd")
		}
	}
}
