package helper

import (
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// FuzzGit: a request of git is refused, or read with the host that a simple reader of its
// lines finds.
func FuzzGit(f *testing.F) {
	for _, seed := range []string{
		"", "\n", "capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=kyc.legaltalent.ai\n\n", "host=a\nhost=b", "protocol\n", "=\n", "host==\r\n", "capability[]=\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r, err := parseGit(body)
		if err != nil {
			fixture.WantError(t, err, agent.CodeUsage)
			return
		}
		var lines strings.Builder
		lines.WriteString("protocol=" + r.protocol + "\nhost=" + r.host + "\n")
		for _, c := range r.capabilities {
			lines.WriteString("capability[]=" + c + "\n")
		}
		again, err := parseGit(lines.String())
		if err != nil || again.protocol != r.protocol || again.host != r.host || len(again.capabilities) != len(r.capabilities) {
			t.Errorf("%q is %+v, then %+v, %v", body, r, again, err)
		}
		if r.host != "" && !strings.Contains("\n"+body, "\nhost="+r.host) {
			t.Errorf("%q is for host %q", body, r.host)
		}
	})
}

// FuzzBazel: a request of Bazel is refused, or read like every JSON reader does.
func FuzzBazel(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"uri":"https://x"}`, `{"uri":"a","uri":"b"}`, `{"uri":1}`, `{"x":{"uri":"a"},"uri":"b"} `, `{"uri":"\ud800"}`, "{\"uri\":\"a\"}\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		uri, err := bazelURI([]byte(body))
		if err != nil {
			fixture.WantError(t, err, agent.CodeUsage)
			return
		}
		again, err := bazelURI(wire.Encode(map[string]string{"uri": uri}))
		if err != nil || again != uri {
			t.Errorf("%q is %q, then %q, %v", body, uri, again, err)
		}
	})
}
