package config

import (
	"path/filepath"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// FuzzVariables holds that no KYC_ variable makes the program panic, that an error is one line
// of printable text, and that what is accepted can be used: it has an agent's environments.
func FuzzVariables(f *testing.F) {
	for _, name := range []string{
		"KYC_PROD_ENDPOINT", "KYC_PROD_ISSUER", "KYC_STAGING_API_URL", "KYC_STAGING_ALLOWED_HOSTS", "KYC_PROD_REFRESH_TOKEN_VALIDITY",
		"KYC_PROD_AUTH_FLOW", "KYC_ENV", "KYC_LOG_LEVEL", "KYC_STORE", "KYC_NEW_CLIENT_ID", "KYC__X", "KYC_PROD_", "KYC_\x1b[2J_CLIENT_ID",
	} {
		for _, value := range []string{"", "x", "https://127.0.0.1:1/a", "30d", "\x1b]2;x\a\r\n\u202e"} {
			f.Add(name, value, "KYC_PROD_CLIENT_ID", "c")
		}
	}
	f.Fuzz(func(t *testing.T, name, value, other, second string) {
		vars := Environ{"XDG_CONFIG_HOME=" + filepath.Join(t.TempDir(), "none"), "HOME=/nonexistent", name + "=" + value, other + "=" + second}
		c, warnings, err := Load("", vars)
		if err != nil {
			if s := err.Error(); s != sanitize.OneLine(s) || agent.CodeOf(err) != agent.CodeConfiguration {
				t.Fatalf("error %q", s)
			}
			return
		}
		for _, w := range warnings {
			if w != sanitize.OneLine(w) {
				t.Errorf("warning %q", w)
			}
		}
		if len(c.Names()) < 2 {
			t.Errorf("the environments are %q", c.Names())
		}
	})
}
