package socket

import (
	"fmt"
	"os"
	"testing"
)

func TestSocketPath(t *testing.T) {
	uid := fmt.Sprint(os.Getuid())
	for _, test := range []struct{ sock, runtime, want string }{
		{"/a/b", "/run/x", "/a/b"},
		{"", "/run/x", "/run/x/kyc-agentd/agent.sock"},
		{"", "", "/run/user/" + uid + "/kyc-agentd/agent.sock"},
		{"", "relative", "/run/user/" + uid + "/kyc-agentd/agent.sock"},
	} {
		env := map[string]string{"KYC_AGENT_SOCK": test.sock, "XDG_RUNTIME_DIR": test.runtime}
		if got := Path(func(k string) string { return env[k] }); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
}
