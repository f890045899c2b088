package packaging_test

import (
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testpeer/roots"
)

// TestLinger logs in and out of a booted system: the agent ends with the user's last
// session, and does not where loginctl enable-linger was said.
func TestLinger(t *testing.T) {
	testpeer.Long(t)
	s := &bootedSystem{t, roots.Boot(t, roots.Trixie)}
	s.machine.Copy(testpeer.Build(t, "kyc-agentd"), "/usr/bin/kyc-agentd", 0o755)
	s.machine.Copy(testpeer.Build(t, "kyc-token"), "/usr/bin/kyc-token", 0o755)
	s.machine.Copy(socketUnit, "/etc/systemd/user/kyc-agentd.socket", 0o644)
	s.machine.Copy(serviceUnit, "/etc/systemd/user/kyc-agentd.service", 0o644)
	s.root("systemctl --global enable kyc-agentd.socket")
	s.root("mkdir -p /etc/systemd/logind.conf.d && printf '[Login]\nUserStopDelaySec=0\n' >/etc/systemd/logind.conf.d/test.conf && systemctl restart systemd-logind")

	// A session that asks for a token; what is told is the agent's process.
	session := func() string {
		return s.user("kyc-token 2>/dev/null; systemctl --user show --value --property MainPID kyc-agentd.service")
	}
	until := func(condition string) {
		s.root("timeout 20 sh -c 'until " + condition + "; do sleep 0.05; done'")
	}
	manager := "user@1000.service"

	first := session()
	until("systemctl show --value --property ActiveState " + manager + " | grep -qx inactive")
	if s.exists("/proc/" + strings.TrimSpace(first)) {
		t.Error("the agent outlives the last session by itself, so what follows proves nothing")
	}

	s.root("loginctl enable-linger " + roots.User)
	first = session()
	until("loginctl show-user --value --property State " + roots.User + " | grep -qx lingering")
	if second := session(); second != first || strings.TrimSpace(first) == "0" {
		t.Errorf("the agent's process was %sand is %safter the user had logged out", first, second)
	}
}
