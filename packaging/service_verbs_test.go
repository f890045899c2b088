package packaging_test

import (
	"bufio"
	"os"
	"os/exec"
	"strings"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// testVerbs starts, stops and restarts the agent with its own verbs, which use systemctl.
func testVerbs(s *service) {
	s.login()
	s.expectVerb(0, "start", "the agent runs already: process ")
	pid := s.pid()
	s.expectVerb(0, "restart", "the agent is restarted: process ")
	if again := s.pid(); again == pid || again == 0 {
		s.t.Errorf("process %d, after the restart %d", pid, again)
	}
	s.expectToken()

	s.expectVerb(0, "stop", "the agent is stopped (systemd, kyc-agentd.service)")
	s.expectProperty("ActiveState", "inactive")
	s.expectProperty("Result", "success")
	if got := s.run("", "kyc-token"); got.exit != 69 {
		s.t.Errorf("kyc-token after a stop: %+v", got)
	}
	s.expectVerb(0, "stop", "nothing to stop: no agent answers on ")
	s.expectVerb(0, "restart", "the agent is restarted: process ")
	s.expectToken()

	// A stop of the socket alone does not start the service for a question.
	s.systemctl("stop", serviceName)
	started := s.property("ExecMainStartTimestampMonotonic")
	s.expectVerb(0, "stop", "the agent is stopped")
	s.expectProperty("ExecMainStartTimestampMonotonic", started)
	s.expectVerb(0, "start", "the agent is started: process ")

	// A socket that was removed is made again.
	s.systemctl("stop", serviceName)
	if err := os.Remove(socketPath()); err != nil {
		s.t.Fatal(err)
	}
	s.expectVerb(0, "start", "the agent is started: process ")

	s.configure("no_such_key = 1")
	s.expectVerb(78, "restart", "no_such_key")
	s.configure("")
	s.expectVerb(0, "start", "the agent is started: process ")
	s.expectToken()
}

// testStopWaits checks that stop waits for a refresh in which the refresh token is replaced, and
// says so.
func testStopWaits(s *service) {
	s.cognito.Set(cognitotest.Rotation(0))
	s.login()
	s.expectVerb(0, "restart", "is restarted") // it has no ID token now
	before := s.cognito.Calls(cognitotest.Refresh)
	s.cognito.FailNext(cognitotest.Refresh, 1, cognitotest.Hang().After())
	asked := make(chan outcome, 1)
	go func() { asked <- s.run("", "kyc-token") }()
	if err := s.cognito.WaitCalls(s.t.Context(), cognitotest.Refresh, before+1); err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command("kyc-agentd", "stop")
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	if !lines.Scan() || !strings.Contains(lines.Text(), "waiting: the agent ends when its refresh at Cognito is done, within 65 s") {
		s.t.Errorf("stop says %q", lines.Text())
	}
	s.cognito.Release()
	if !lines.Scan() || !strings.Contains(lines.Text(), "the agent is stopped") {
		s.t.Errorf("stop says %q", lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		s.t.Error(err)
	}
	<-asked
	s.expectVerb(0, "start", "is started")
	s.expectToken()
	if n := s.cognito.SignIns(); n != 1 {
		s.t.Errorf("%d sign-ins", n)
	}
}

// testFixes breaks the units and has `doctor --fix` repair them.
func testFixes(s *service) {
	s.login()
	s.systemctl("disable", socketName)
	s.expectFixed("units.disabled", "systemctl --user enable kyc-agentd.socket")
	s.dropIn(serviceName, "[Service]\nNice=1\n")
	s.write(units+serviceName+".d/50-test.conf", "[Service]\nNice=2\n")
	s.expectFixed("units.reload", "systemctl --user daemon-reload")
	s.systemctl("stop", socketName, serviceName)
	s.expectFixed("socket.missing", "systemctl --user enable --now kyc-agentd.socket")
	s.configure("default_environment = \"prod\"\n[environments.more]\nextends = \"prod\"")
	s.expectFixed("config.not-loaded", "kyc-agentd reload")
}

func (s *service) expectFixed(finding, command string) {
	s.t.Helper()
	s.expectDoctor(s.run("", "kyc-agentd", "doctor").exit, "kyc-agentd", finding)
	got := s.run("", "kyc-agentd", "doctor", "--fix", "--yes")
	if !strings.Contains(got.err, "done: "+command+"\n") || strings.Contains(got.out, finding) {
		s.t.Errorf("%s: %+v", finding, got)
	}
}

func (s *service) expectVerb(exit int, verb, says string) {
	s.t.Helper()
	if got := s.run("", "kyc-agentd", verb); got.exit != exit || got.out != "" || !strings.Contains(got.err, says) {
		s.t.Errorf("kyc-agentd %s: %+v, want %d and %q", verb, got, exit, says)
	}
}
