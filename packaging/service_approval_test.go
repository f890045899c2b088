package packaging_test

import (
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/creack/pty"
)

// approve runs `kyc-agentd approve` at a terminal, and answers yes.
func (s *service) approve(args ...string) string {
	s.t.Helper()
	cmd := exec.Command("kyc-agentd", append([]string{"approve"}, args...)...)
	cmd.Env = os.Environ()
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 50, Cols: 200})
	if err != nil {
		s.t.Fatal(err)
	}
	defer terminal.Close()
	var shown strings.Builder
	buf := make([]byte, 1)
	for !strings.HasSuffix(shown.String(), "[yes/no] ") {
		if _, err := terminal.Read(buf); err != nil {
			s.t.Fatalf("approve %s: %v: %s", strings.Join(args, " "), err, shown.String())
		}
		shown.Write(buf)
	}
	if _, err := io.WriteString(terminal, "yes\n"); err != nil {
		s.t.Fatal(err)
	}
	rest, _ := io.ReadAll(terminal) // EIO is its end
	if err := cmd.Wait(); err != nil {
		s.t.Fatalf("approve %s: %v: %s%s", strings.Join(args, " "), err, shown.String(), rest)
	}
	return shown.String()
}

// testApprovals: a timer with a standing approval is not asked, also after a restart of the daemon;
// the same program in another unit is, and so is a unit that loads a credential.
func testApprovals(s *service) {
	config := s.must("cat", atHome(".config/kyc-agent/config.toml"))
	s.write(".config/kyc-agent/config.toml", strings.Replace(config, "[environments.staging]\n", "[environments.staging]\nconfirm = true\n", 1))
	s.login()
	unit := func(name, lines string) {
		s.write(units+name+".service", "[Service]\nType=oneshot\n"+lines)
	}
	const job = "ExecStart=/bin/sh -c '%h/.local/bin/kyc-token staging >%t/job.token'\n"
	unit("nightly", job)
	unit("other", job)
	unit("credential", "LoadCredential=kyc-token.staging:%t/kyc-agentd/agent.sock\nExecStart=/bin/sh -c 'test -s \"$CREDENTIALS_DIRECTORY/kyc-token.staging\"'\n")
	s.write(units+"nightly.timer", "[Timer]\nOnActiveSec=100ms\nAccuracySec=1ms\n")
	s.systemctl("daemon-reload")
	waiting := func(unit string) {
		s.t.Helper()
		s.await("a request of "+unit, func() bool {
			return strings.Contains(s.must("kyc-agentd", "approvals", "-o", "json"), `"name": "`+unit+`"`)
		})
	}
	s.systemctl("start", "--no-block", "nightly")
	waiting("nightly.service")
	if shown := s.approve("--unit", "nightly.service", "--for", "30d", "--env", "staging"); !strings.Contains(shown, "Every run of the unit nightly.service (user)") {
		s.t.Error(shown)
	}
	result := func(unit string) string {
		s.t.Helper()
		var state string
		s.await("the end of "+unit, func() bool {
			state = s.must("systemctl", "--user", "show", "-P", "ActiveState", unit)
			return !strings.HasPrefix(state, "activating")
		})
		return strings.TrimSpace(s.must("systemctl", "--user", "show", "-P", "Result", unit))
	}
	if got := result("nightly"); got != "success" { // the run that waited goes on
		s.t.Errorf("the first run: %s", got)
	}
	s.systemctl("restart", serviceName)
	s.login()
	for _, run := range []string{"first", "second"} {
		s.must("rm", "-f", runtimeFile("job.token"))
		s.systemctl("start", "nightly.timer")
		s.await("the timer's "+run+" run", func() bool { return s.run("", "test", "-s", runtimeFile("job.token")).exit == 0 }) // not approved, it would end without one
		s.systemctl("stop", "nightly.timer")
	}
	if list := s.must("kyc-agentd", "approvals", "-o", "json"); !strings.Contains(list, `"pending": []`) || !strings.Contains(list, `"uses": 2`) {
		s.t.Error(list)
	}

	s.systemctl("start", "--no-block", "other")
	waiting("other.service")
	list := s.must("kyc-agentd", "approvals", "-o", "json")
	if !strings.Contains(list, `"method": "peer-pidfd"`) && !strings.Contains(list, `"method": "pidfd-open"`) {
		s.t.Errorf("the unit's filters forbid pidfds: %s", list)
	}
	s.must("kyc-agentd", "revoke", "--all")
	if got := result("other"); got != "exit-code" {
		s.t.Errorf("the other unit: %s", got)
	}
	s.systemctl("start", "--no-block", "credential")
	waiting("credential.service")
	s.must("kyc-agentd", "revoke", "--all")
	if got := result("credential"); got != "exit-code" {
		s.t.Errorf("the credential without an approval: %s", got)
	}
	s.approve("--unit", "credential.service", "--for", "1h", "--env", "staging")
	s.systemctl("start", "credential")
}

// runtimeFile returns a file in the user's runtime folder.
func runtimeFile(name string) string {
	return strings.TrimSuffix(socketPath(), "kyc-agentd/agent.sock") + name
}
