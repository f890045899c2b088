package ipc

import (
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
)

// TestHelperTricks sends questions that two readers may read in two ways: one finds a host of an
// environment in them, and the tool that asked goes somewhere else with the token.
func TestHelperTricks(t *testing.T) {
	ln, log := serveLogged(t, &Server{Service: hosted()})
	const host, elsewhere = "kyc.legaltalent.ai", "evil.example"
	tricks := map[string][]string{
		"git": {
			"protocol=https\nhost=" + host + "\nhost=" + elsewhere, "protocol=https\nhost=" + elsewhere + "\nhost=" + elsewhere, "protocol=http\nhost=" + host,
			"host=" + host, "protocol=https\nhost=" + host + "\rhost=" + elsewhere, "protocol=https\nhost=" + host + "@" + elsewhere, "protocol=https\nhost=ana@" + host,
			"protocol=https\nhost=" + host + "." + elsewhere, "protocol=https\nhost=" + host + "/../" + elsewhere, "protocol=https\nhost= " + host, "protocol=https\nhost=" + host + "\x00",
			"protocol=https\nhost[]=" + host, "protocol=https\nHOST=" + host, "protocol=https\nhost=" + host + ":8443", "protocol=cert\nhost=" + host, "protocol=\nhost=" + host,
			"url=https://" + elsewhere + "\nprotocol=https\nhost=" + elsewhere, "protocol=https\nhost=" + strings.ToUpper(elsewhere) + "\npath=" + host, "protocol=https\n\nhost=" + host,
		},
		"bazel": {
			`{"uri":"https://evil.example","uri":"https://kyc.legaltalent.ai"}`, `{"uri":"https://kyc.legaltalent.ai","\u0075ri":"https://evil.example"}`,
			`{"uri":"https://kyc.legaltalent.ai","uri":null}`, `{"uri":null}`, `{"uri":{"uri":"https://kyc.legaltalent.ai"}}`, `["https://kyc.legaltalent.ai"]`, `"https://kyc.legaltalent.ai"`,
			`{"Uri":"https://kyc.legaltalent.ai"}`, `{"uri ":"https://kyc.legaltalent.ai"}`, `{"uri\u0000":"https://kyc.legaltalent.ai"}`, `{"uri":"https://kyc.legaltalent.ai\u0000.evil.example"}`,
			`{"uri":"https://kyc.legaltalent.ai\n.evil.example"}`, `{"uri":"https://kyc.legaltalent.ai\\@evil.example"}`, `{"uri":"https:\/\/evil.example\/kyc.legaltalent.ai"}`,
			`{"uri":"https://kyc.legaltalent.ai"}x`, `{"uri":"https://kyc.legaltalent.ai",}`, `{'uri':'https://kyc.legaltalent.ai'}`, `{"uri":"https://kyc.legaltalent.ai" /* x */}`, "\ufeff" + `{"uri":"https://kyc.legaltalent.ai"}`,
			strings.Repeat(`{"x":`, 20_000) + "1" + strings.Repeat("}", 20_000),
		},
		"goauth": {
			"https://kyc.legaltalent.ai@evil.example", "https://evil.example\nhttps://kyc.legaltalent.ai", "https://kyc.legaltalent.ai\x00", "https://kyc.legaltalent.ai\rX: y",
			"http://kyc.legaltalent.ai", "https://kyc.legaltalent.ai.", "//kyc.legaltalent.ai", "https://evil.example/https://kyc.legaltalent.ai",
		},
		"terraform": {"kyc.legaltalent.ai@evil.example", "kyc.legaltalent.ai evil.example", "kyc.legaltalent.ai\nevil.example", "https://kyc.legaltalent.ai", "kyc.legaltalent.ai/x", "kyc.legaltalent.ai.", "kyc.legaltalent.ai\x00", "KYC.legaltalent.ai:8443"},
	}
	tried := 0
	for tool, bodies := range tricks {
		for _, body := range bodies {
			if tool == "git" {
				body = gitCapable + body + "\n"
			}
			tried++
			if a := ask(t, ln, helperRequestOf(tool, body)); strings.Contains(a.body, fixture.JWT) {
				t.Errorf("%s %.200q: %d %s", tool, body, a.StatusCode, a.body)
			}
		}
	}
	// What is asked plainly is answered.
	for tool, body := range map[string]string{
		"git": gitCapable + "protocol=https\nhost=" + host + "\n", "bazel": `{"uri":"https://kyc.legaltalent.ai"}`, "goauth": "https://kyc.legaltalent.ai", "terraform": host,
	} {
		if a := ask(t, ln, helperRequestOf(tool, body)); !strings.Contains(a.body, fixture.JWT) {
			t.Errorf("%s: %d %s", tool, a.StatusCode, a.body)
		}
	}
	if strings.Contains(log(), fixture.JWT) || strings.ContainsAny(log(), "\x00\r\x1b") {
		t.Errorf("log %s", log())
	}
	t.Logf("%d tricks", tried)
}
