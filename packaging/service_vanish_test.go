package packaging_test

import (
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const restartSocket = "; run: systemctl --user restart kyc-agentd.socket\n"

// testVanishedSocket removes the socket of the socket unit, which counts as active all the
// same. The running agent makes it again and keeps a sign-in that is only in memory; later
// restarts of both units work.
func testVanishedSocket(s *service) {
	s.configure("store = 'memory'\nforward_environments = ['staging']\n")
	s.dropIn(serviceName, "[Service]\nWatchdogSec=1s\nTimeoutAbortSec=100ms\n")
	s.login()
	pid, folder := s.pid(), filepath.Dir(socketPath())
	extra := []string{filepath.Join(folder, "agent.extra.sock"), filepath.Join(folder, "sockets", "extra", "agent.sock")}
	for _, gone := range [][]string{{socketPath()}, {folder}, extra, {extra[1], socketPath(), folder}} {
		s.must("rm", append([]string{"-rf", "--"}, gone...)...)
		s.t.Logf("rm -rf %s: served again after %s", strings.Join(gone, " "), s.servedAgain(append(extra, socketPath())...))
	}
	s.expectFedWatchdog()

	// The manager's own socket for READY=1 and WATCHDOG=1 vanishes with the runtime folder.
	manager := filepath.Join(filepath.Dir(folder), "systemd", "notify")
	s.must("mv", manager, manager+".away")
	s.must("rm", "-rf", folder)
	s.expectFedWatchdog()
	s.servedAgain(socketPath())
	s.must("mv", manager+".away", manager)

	// While the agent cannot make its socket again it goes on.
	s.must("rm", "-rf", folder)
	s.must("mkdir", "-m", "755", folder)
	s.expectFedWatchdog()
	if got := s.run("", "kyc-token"); got.exit != 69 || !strings.HasSuffix(got.err, restartSocket) {
		s.t.Errorf("kyc-token: %+v", got)
	}
	s.expectDoctor(2, "kyc-agentd", "is your agent", "chmod 700 "+folder)
	s.must("chmod", "700", folder)
	s.servedAgain(socketPath())

	if now := s.pid(); now != pid {
		s.t.Errorf("the process is %d, it was %d", now, pid)
	}
	s.expectProperty("NRestarts", "0")
	if n := s.cognito.SignIns(); n != 1 {
		s.t.Errorf("%d sign-ins", n)
	}
	s.restartsAfterVanishing()
}

// restartsAfterVanishing checks both restarts of a pair of units whose socket was removed
// and made again by the agent, which has its sign-in in the file store from here on.
func (s *service) restartsAfterVanishing() {
	s.t.Helper()
	s.configure("store = 'file'\n")
	s.systemctl("restart", serviceName)
	s.await("the agent", func() bool { return s.run("", "kyc-agentd", "status").exit == 0 })
	s.login()
	s.systemctl("restart", serviceName)
	s.servedAgain(socketPath())

	s.systemctl("stop", serviceName) // nothing starts the next one
	if got := s.run("", "kyc-token"); got.exit != 69 || !strings.HasSuffix(got.err, restartSocket) {
		s.t.Errorf("kyc-token: %+v", got)
	}
	s.expectDoctor(2, "kyc-agentd", "socket.missing", "systemctl --user restart kyc-agentd.socket")
	s.systemctl("restart", socketName)
	s.expectToken()

	s.must("rm", socketPath())
	s.servedAgain(socketPath())
	s.systemctl("restart", socketName)
	s.expectToken()
	s.systemctl("stop", serviceName)
	s.expectToken() // systemd listens again
}

// servedAgain waits until clients get a token at each of the sockets, and returns how long
// that took.
func (s *service) servedAgain(sockets ...string) time.Duration {
	s.t.Helper()
	began := time.Now()
	s.await("a token", func() bool {
		return !slices.ContainsFunc(sockets, func(path string) bool { return s.run("", "kyc-token", "-socket", path).exit != 0 })
	})
	return time.Since(began).Round(10 * time.Millisecond)
}

// expectFedWatchdog waits until the service has told the manager several times that it is
// well.
func (s *service) expectFedWatchdog() {
	s.t.Helper()
	for range 5 {
		last := s.property("WatchdogTimestampMonotonic")
		s.await("the watchdog to be fed", func() bool { return s.property("WatchdogTimestampMonotonic") != last })
	}
	s.expectProperty("NRestarts", "0")
}
