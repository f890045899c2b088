package format

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
)

func TestRender(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	token := fixture.Token("prod")
	token.ExpiresAt = now.Add(time.Hour)
	for _, name := range Names() {
		got, err := Render(name, token, now)
		if err != nil || !bytes.Contains(got, []byte(fixture.JWT)) || !bytes.HasSuffix(got, []byte("\n")) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	_, err := Render("yaml", token, now)
	fixture.WantError(t, err, agent.CodeUsage, `"yaml"`, "token, header, curl, json, env, k8s, google")
	token.IDToken = agent.NewSecret("a\nb")
	_, err = Render("token", token, now)
	fixture.WantError(t, err, agent.CodeInternal, "prod", "no header can carry")
}

func TestReportedEnd(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for left, want := range map[time.Duration]time.Duration{
		time.Hour: 59 * time.Minute, 2 * time.Minute: time.Minute, 90 * time.Second: 45 * time.Second,
		2 * time.Second: time.Second, 0: 0, -time.Minute: -time.Minute,
	} {
		token := agent.Token{ExpiresAt: now.Add(left)}
		if got := ReportedEnd(token, now).Sub(now); got != want {
			t.Errorf("%s before the end it is reported in %s, want %s", left, got, want)
		}
	}
	if got := ReportedEnd(agent.Token{}, now); !got.IsZero() {
		t.Errorf("without end: %s", got)
	}
}

// A shell that evaluates the format env gets the values unchanged.
func TestEnvIsEvaluable(t *testing.T) {
	sh := testpeer.Program(t, "sh", "dash")
	for _, value := range []string{"https://kyc.example/~a?b=c&d=$(false)", "it's", "`false`", `\"`, "a b", ""} {
		token := fixture.Token("prod")
		token.APIURL = value
		lines, err := Render("env", token, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		script := `eval "$1"; printf %s "$KYC_TOKEN $KYC_API_URL"`
		out, err := exec.CommandContext(t.Context(), sh, "-euc", script, "sh", string(lines)).Output()
		if want := fixture.JWT + " " + value; err != nil || string(out) != want {
			t.Errorf("got %q, %v; want %q from\n%s", out, err, want, lines)
		}
		if strings.Contains(string(lines), "KYC_TOKEN='") {
			t.Errorf("a token needs no quotes: %s", lines)
		}
	}
}
