package packaging_test

import (
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testpeer/roots"
)

// TestLinger logs in to a booted system and out: the agent ends with the user's last
// session, unless lingering is enabled.
func TestLinger(t *testing.T) {
	testpeer.Long(t)
	s := installedOn(t, roots.Trixie)
	s.root("mkdir -p /etc/systemd/logind.conf.d && printf '[Login]\nUserStopDelaySec=0\n' >/etc/systemd/logind.conf.d/test.conf && systemctl restart systemd-logind")

	// session logs in, asks for a token and returns the agent's process id.
	session := func() string {
		return s.user("kyc-token 2>/dev/null; systemctl --user show --value --property MainPID kyc-agentd.service")
	}
	until := func(condition string) {
		s.root("timeout 20 sh -c '" + awaited(condition) + "'")
	}
	manager := "user@1000.service"

	first := session()
	until("systemctl show --value --property ActiveState " + manager + " | grep -qx inactive")
	if s.exists("/proc/" + strings.TrimSpace(first)) {
		t.Error("the agent outlives the last session without lingering, so the rest proves nothing")
	}

	s.root("loginctl enable-linger " + roots.User)
	first = session()
	until("loginctl show-user --value --property State " + roots.User + " | grep -qx lingering")
	if second := session(); second != first || strings.TrimSpace(first) == "0" {
		t.Errorf("the agent's process was %sand is %safter the user had logged out", first, second)
	}
}
