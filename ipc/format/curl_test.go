package format

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
)

// curl understands the configuration: the API gets the whole token, and after an error curl
// sends nothing at all.
func TestCurlConfig(t *testing.T) {
	curl := testpeer.Program(t, "curl", "curl")
	seen := make(chan string, 10)
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header.Get("Authorization") }))
	defer api.Close()

	odd := fixture.Token("prod")
	odd.IDToken = agent.NewSecret(`a\b"c\n#d'e`) // not a JWT, but it tests the quoting
	for _, token := range []agent.Token{fixture.Token("prod"), odd} {
		if out, err := runCurl(t, curl, renderCurl(token, time.Now()), api.URL); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if got := <-seen; got != "Bearer "+token.IDToken.Reveal() {
			t.Errorf("curl sent %q", got)
		}
	}
	out, err := runCurl(t, curl, string(renderCurlError(&agent.Error{Environment: "prod", Message: "not signed in", Hint: `run: "kyc-agentd login prod"`})), api.URL)
	if err == nil {
		t.Errorf("curl was content: %s", out)
	}
	select {
	case got := <-seen:
		t.Errorf("curl sent a request, with %q", got)
	default:
	}
}

func runCurl(t *testing.T, curl, config, url string) ([]byte, error) {
	cmd := exec.CommandContext(t.Context(), curl, "-q", "-sS", "--noproxy", "*", "-K", "-", url)
	cmd.Stdin = strings.NewReader(config)
	return cmd.CombinedOutput()
}
