package packaging_test

import (
	"os"
	"strings"
)

// testDoctor breaks the units step by step, and checks what the doctor finds after each
// step.
func testDoctor(s *service) {
	s.login()
	s.expectDoctor(0, "kyc-agentd", "all is well")

	s.systemctl("disable", socketName)
	s.expectDoctor(1, "kyc-agentd", "units.disabled")
	s.systemctl("enable", socketName)

	path := units + serviceName
	text, err := os.ReadFile(atHome(path))
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(path, string(text)+"# changed\n")
	s.expectDoctor(1, "kyc-agentd", "units.reload")
	s.systemctl("daemon-reload")
	s.expectDoctor(0, "kyc-agentd", "all is well")

	s.dropIn(serviceName, "[Unit]\nStartLimitBurst=1\n[Service]\nRestart=no\nExecStart=\nExecStart=/bin/false\n")
	s.systemctl("stop", serviceName)
	_ = s.run("", "systemctl", "--user", "start", serviceName)
	s.expectDoctor(2, "kyc-agentd", "units.failed")

	s.dropIn(serviceName, "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=\nExecStart=/bin/false\n")
	s.systemctl("reset-failed", serviceName, socketName)
	s.systemctl("start", socketName)
	if got := s.run("", "kyc-agentd", "status"); got.exit != 75 || !strings.Contains(got.err, "ends at each start") {
		s.t.Errorf("status: %+v", got)
	}
	s.expectDoctor(2, "kyc-agentd", "units.restarting")

	s.systemctl("stop", socketName, serviceName)
	_ = s.run("", "systemctl", "--user", "reset-failed", socketName, serviceName)
	s.expectDoctor(2, "kyc-agentd", "units.inactive", "socket.missing")

	s.dropIn(serviceName, "[Service]\nExecStart=\nExecStart=/nowhere/kyc-agentd serve\n")
	s.expectDoctor(2, "kyc-agentd", "units.binary")

	if err := os.Rename(atHome(path), atHome("kept")); err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = os.Rename(atHome("kept"), atHome(path)) }()
	s.systemctl("daemon-reload")
	s.expectDoctor(2, "kyc-agentd", "units.half")
}

func (s *service) expectDoctor(exit int, program string, says ...string) {
	s.t.Helper()
	got := s.run("", program, "doctor")
	if got.exit != exit {
		s.t.Errorf("the doctor's exit is %d, want %d: %s%s", got.exit, exit, got.out, got.err)
	}
	for _, text := range says {
		if !strings.Contains(got.out, text) {
			s.t.Errorf("the doctor does not say %q: %s", text, got.out)
		}
	}
}
