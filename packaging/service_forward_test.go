package packaging_test

import (
	"path/filepath"
	"strings"
)

// testForwarding checks that a forwarded connection starts the agent, too, and what it may
// do. It tests both the socket that the daemon makes and the one of systemd.
func testForwarding(s *service) {
	s.configure("forward_environments = ['staging']\n")
	s.login()
	extra := filepath.Join(filepath.Dir(socketPath()), "agent.extra.sock")
	check := func() {
		s.t.Helper()
		if got := s.run("", "kyc-token", "-socket", extra); got.exit != 0 || !strings.HasPrefix(got.out, "eyJ") {
			s.t.Errorf("kyc-token: %+v", got)
		}
		for _, args := range [][]string{
			{"kyc-token", "-socket", extra, "prod"},
			{"kyc-agentd", "logout", "--socket", extra},
			{"kyc-agentd", "login", "--socket", extra, "-u", "ana", "--password-stdin"},
		} {
			if got := s.run("correct horse\n", args[0], args[1:]...); got.exit != 77 || !strings.Contains(got.err, "not for this socket") {
				s.t.Errorf("%q: %+v", args, got)
			}
		}
	}
	check()

	s.systemctl("stop", serviceName)
	s.systemctl("enable", "--now", extraName)
	s.expectProperty("ActiveState", "inactive")
	check()
	s.expectToken() // both sockets lead to the same agent
	s.systemctl("restart", serviceName)
	check()
}
