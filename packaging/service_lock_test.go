package packaging_test

import (
	"os"
	"strconv"
	"strings"
	"time"
)

const lockPassphrase = "seven-blue-otters"

// testLock locks, upgrades and unlocks the agent under systemd, which sees one process all the
// time: with its watchdog, its socket and its readiness.
func testLock(s *service) {
	s.dropIn(serviceName, "[Service]\nWatchdogSec=2s\n")
	s.configure("store = \"memory\"\n") // which a restart would lose
	s.login()
	s.expectToken()
	s.mustWith(lockPassphrase+"\n", "kyc-agentd", "passphrase", "--passphrase-stdin")
	pid, started := s.pid(), s.property("ExecMainStartTimestampMonotonic")
	socket, err := os.Stat(socketPath())
	if err != nil {
		s.t.Fatal(err)
	}
	if got := s.run("", "kyc-agentd", "lock"); got.exit != 0 || !strings.Contains(got.err, "the agent is locked") {
		s.t.Fatalf("lock: %+v", got)
	}
	if got := s.run("", "kyc-token"); got.exit != 77 || !strings.Contains(got.err, "run: kyc-agentd unlock") {
		s.t.Errorf("kyc-token while locked: %+v", got)
	}
	s.must("kyc-agentd", "restart", "--upgrade")
	time.Sleep(5 * time.Second) // more than two watchdogs
	if got := s.run("", "kyc-token"); got.exit != 77 {
		s.t.Errorf("kyc-token while locked: %+v", got)
	}
	s.mustWith(lockPassphrase+"\n", "kyc-agentd", "unlock", "--passphrase-stdin")
	s.expectToken()
	s.must("kyc-agentd", "restart", "--upgrade")
	s.expectToken()

	s.expectProperty("MainPID", strconv.Itoa(pid))
	s.expectProperty("ExecMainStartTimestampMonotonic", started)
	s.expectProperty("NRestarts", "0")
	s.expectProperty("ActiveState", "active")
	if s.property("WatchdogTimestampMonotonic") == "0" {
		s.t.Error("the watchdog got nothing")
	}
	if now, err := os.Stat(socketPath()); err != nil || !os.SameFile(socket, now) {
		s.t.Errorf("the socket is another one: %v", err)
	}
	s.cognito.ForgetCalls()
	// systemd stops it as before, and it answers on the socket that systemd kept.
	s.systemctl("stop", serviceName)
	s.expectProperty("Result", "success")
	if got := s.run("", "kyc-agentd", "status"); got.exit != 0 {
		s.t.Errorf("status after a stop: %+v", got)
	}
}
