package helper

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

func TestEnvironmentOf(t *testing.T) {
	for target, want := range map[string]string{
		"https://kyc.legaltalent.ai":                  "prod",
		"https://kyc.legaltalent.ai/":                 "prod",
		"https://kyc.legaltalent.ai:443/a/@b?c=d@e#f": "prod",
		"HTTPS://KYC.LegalTalent.AI/x":                "prod",
		"https://kyc.legaltalent.ai?x":                "prod",
		"https://kyc.legaltalent.ai/%zz":              "", // no URL
		"https://kyc.legaltalent.ai/\u00fc":           "prod",
		"https://files.example:8443":                  "prod",
		"https://10.0.0.7":                            "prod",
		"https://stg.kyc.legaltalent.ai/kyc":          "staging",
		"http://127.0.0.1:8080/kyc":                   "local",
		"https://127.0.0.1:8443":                      "local",
		"https://[::1]:8443/":                         "local",

		"https://kyc.legaltalent.ai.evil.example":       "",
		"https://evil.example/kyc.legaltalent.ai":       "",
		"https://evil.example?https://kyc.example":      "",
		"https://evil.example#@kyc.legaltalent.ai":      "",
		"https://evil-kyc.legaltalent.ai":               "",
		"https://legaltalent.ai":                        "",
		"https://kyc.legaltalent.ai@evil.example":       "",
		"https://ana@kyc.legaltalent.ai":                "",
		"https://ana:hunter2@kyc.legaltalent.ai":        "",
		"https://@kyc.legaltalent.ai":                   "",
		"https://evil.example\\@kyc.legaltalent.ai":     "",
		"https://kyc.legaltalent.ai\\.evil.example":     "",
		"https://kyc.legaltalent.ai./":                  "",
		"https://kyc.legaltalent.ai.:443/":              "",
		"https://kyc.legaltalent.ai:8443/":              "",
		"https://kyc.legaltalent.ai:0443/":              "",
		"https://kyc.legaltalent.ai:80/":                "",
		"https://kyc.legaltalent.ai:":                   "",
		"https://kyc.legaltalent.ai:x":                  "",
		"http://kyc.legaltalent.ai":                     "",
		"http://kyc.legaltalent.ai:443":                 "",
		"http://files.example:8443":                     "",
		"http://127.0.0.1:8443":                         "",
		"http://127.0.0.1":                              "",
		"http://127.1:8080":                             "",
		"http://localhost:8080":                         "",
		"https://127.0.0.1:8080":                        "",
		"https://kyc%2elegaltalent.ai":                  "",
		"https://%6byc.legaltalent.ai":                  "",
		"https://kyc.legaltalent.ai%00.evil.example":    "",
		"https://kyc.legaltalent.ai%40evil.example":     "",
		"https://\u212ayc.legaltalent.ai":               "", // KELVIN SIGN, which lower-cases to k
		"https://kyc\uff0elegaltalent.ai":               "",
		"https://kyc\u3002legaltalent.ai":               "",
		"https://kyc.legaltalent.a\u0131":               "",
		"https://kyc.legaltalent.ai\x00":                "",
		"https://kyc.legaltalent.ai\n.evil.example":     "",
		"https://kyc.legaltalent.ai .evil.example":      "",
		"https://kyc.legaltalent.ai\t":                  "",
		" https://kyc.legaltalent.ai":                   "",
		"https:///kyc.legaltalent.ai":                   "",
		"https://":                                      "",
		"https://:443":                                  "",
		"https:kyc.legaltalent.ai":                      "",
		"https:/kyc.legaltalent.ai":                     "",
		"//kyc.legaltalent.ai":                          "",
		"kyc.legaltalent.ai":                            "",
		"kyc.legaltalent.ai:443":                        "",
		"":                                              "",
		"ftp://kyc.legaltalent.ai":                      "",
		"wss://kyc.legaltalent.ai":                      "",
		"file://kyc.legaltalent.ai/x":                   "",
		"javascript://kyc.legaltalent.ai/x":             "",
		"https+x://kyc.legaltalent.ai":                  "",
		"https://[::1]:8443.evil.example":               "",
		"https://[::1%25lo]:8443":                       "",
		"https://::1:8443":                              "",
		"https://" + strings.Repeat("a", 100_000) + "/": "",
	} {
		got, err := environmentOf(fixture.Hosts, "", target)
		if want != "" {
			if got != want || err != nil {
				t.Errorf("%.99q: %q, %v; want %s", target, got, err, want)
			}
			continue
		}
		if got != "" || !errors.Is(err, errElsewhere) {
			t.Fatalf("%.99q: %q, %v", target, got, err)
		}
		if code := agent.CodeOf(err); code != agent.CodeDenied && code != agent.CodeUnknownEnvironment {
			t.Errorf("%.99q: code %s", target, code)
		}
		if line := wire.Sanitized(err).Error(); strings.Contains(line, "hunter2") || len(line) > 450 || strings.ContainsAny(line, "\n\x00") {
			t.Errorf("%.99q: %s", target, line)
		}
	}
}

func TestEnvironmentOfOne(t *testing.T) {
	const ours = "https://kyc.legaltalent.ai/x"
	if got, err := environmentOf(fixture.Hosts, "prod", ours); got != "prod" || err != nil {
		t.Error(got, err)
	}
	_, err := environmentOf(fixture.Hosts, "staging", ours)
	fixture.WantError(t, err, agent.CodeUnknownEnvironment, "https://kyc.legaltalent.ai is no host of staging", "environments.staging.allowed_hosts", "run: kyc-agentd reload")
	if !errors.Is(err, errElsewhere) {
		t.Error("it is elsewhere")
	}
	_, err = environmentOf(fixture.Hosts, "moon", ours)
	fixture.WantError(t, err, agent.CodeUnknownEnvironment, "moon")
	if errors.Is(err, errElsewhere) {
		t.Error("an environment that is not there passes for another's host")
	}
	_, err = environmentOf(fixture.Hosts, "", "https://twin.example")
	fixture.WantError(t, err, agent.CodeUsage, "https://twin.example is a host of twin-a and of twin-b", "name one")
	if got, err := environmentOf(fixture.Hosts, "twin-b", "https://twin.example"); got != "twin-b" || err != nil {
		t.Error(got, err)
	}
	_, err = environmentOf(fixture.Hosts, "", "http://kyc.legaltalent.ai")
	fixture.WantError(t, err, agent.CodeDenied, "no token goes over plain http", "use https://")
	_, err = environmentOf(fixture.Hosts, "", "https://kyc.legaltalent.ai:8443")
	fixture.WantError(t, err, agent.CodeUnknownEnvironment, "https://kyc.legaltalent.ai:8443 is no host of any environment", "allowed_hosts")
}

// FuzzOrigin: a URL that is accepted has the host that every strict reader finds in it, and
// belongs to an environment only if a plain comparison says so.
func FuzzOrigin(f *testing.F) {
	for _, seed := range []string{
		"https://kyc.legaltalent.ai/x", "HTTPS://KYC.legaltalent.ai:443", "http://127.0.0.1:8080", "https://[::1]:8443/",
		"https://kyc.legaltalent.ai@evil.example", "https://kyc.legaltalent.ai\\@evil", "https://kyc%2elegaltalent.ai", "https://kyc.legaltalent.ai.", "https://]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		o, err := originOf(raw)
		if err != nil {
			fixture.WantError(t, err, agent.CodeDenied)
			return
		}
		u, err := url.Parse(raw)
		if err != nil || u.User != nil || !strings.EqualFold(u.Hostname(), strings.Trim(o.Host, "[]")) || u.Port() != "" && u.Port() != o.Port {
			t.Errorf("%q is %s, and %v, %v", raw, o, u, err)
		}
		if again, err := originOf(o.String()); err != nil || again != o {
			t.Errorf("%q is %s, then %s, %v", raw, o, again, err)
		}
		name, err := environmentOf(fixture.Hosts, "", raw)
		if err != nil {
			return
		}
		lower := strings.ToLower(raw)
		for _, prefix := range map[string][]string{
			"prod":    {"https://kyc.legaltalent.ai", "https://files.example", "https://10.0.0.7"},
			"staging": {"https://stg.kyc.legaltalent.ai"},
			"local":   {"http://127.0.0.1:8080", "https://127.0.0.1:8443", "https://[::1]:8443"},
		}[name] {
			if rest, ok := strings.CutPrefix(lower, prefix); ok && (rest == "" || strings.ContainsRune("/?#:", rune(rest[0]))) {
				return
			}
		}
		t.Errorf("%q passes for one of %s", raw, name)
	})
}

func TestOriginSaysWhy(t *testing.T) {
	for raw, why := range map[string]string{
		"https://ana@kyc.legaltalent.ai":        "has a user or password in it",
		"https://kyc%2elegaltalent.ai":          "has a percent-encoded host",
		"https://k\u00fcc.example":              "is not ASCII; write it in its xn-- form",
		"https://kyc.legaltalent.ai:x":          "cannot be read",
		"https://kyc.legaltalent.ai\\.example":  "cannot be read",
		"ftp://kyc.legaltalent.ai":              "does not begin with https://",
		"kyc.legaltalent.ai":                    "does not begin with https://",
		"https:///x":                            "has no host",
		"https://:443":                          "has no host",
		"https://kyc.legaltalent.ai:":           "has a host that cannot be read",
		"https://kyc.legaltalent.ai.":           "has a host that ends with a dot",
		"https://kyc.legaltalent.ai.:443/x?y#z": "has a host that ends with a dot",
		"https://]":                             "has a host that cannot be read",
		"https://kyc.legaltalent.ai:0443":       "has a port that is not a number from 1 to 65535",
	} {
		_, err := originOf(raw)
		fixture.WantError(t, err, agent.CodeDenied, "no token goes to a URL that ", why)
	}
}
