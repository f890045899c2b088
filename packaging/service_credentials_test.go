package packaging_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// testDocumentedCredentials pastes what docs/operations.md says about a server on which nobody
// signs in.
func testDocumentedCredentials(s *service) {
	text := s.must("cat", atHome("operations.md"))
	_, section, found := strings.Cut(text, "\n**Nobody signs in.**")
	section, _, ended := strings.Cut(section, "\n**A new client secret.**")
	if !found || !ended {
		s.t.Fatal("docs/operations.md has no such section")
	}
	s.must("rm", atHome(".config/kyc-agent/store.key"))
	config := strings.Replace(s.must("cat", atHome(".config/kyc-agent/config.toml")), "[environments.prod]\n", "[environments.prod]\nusername = \"ana\"\n", 1)
	s.write(".config/kyc-agent/config.toml", config)
	commands := regexp.MustCompile(`(?m)(^    .*\n)+`).FindAllString(section, -1)
	dropIn := regexp.MustCompile("(?s)```ini\n(.*?)```").FindStringSubmatch(section)
	if len(commands) != 2 || dropIn == nil {
		s.t.Fatalf("the section has %d blocks of commands and the drop-in %q", len(commands), dropIn)
	}
	s.mustWith("correct horse\n", "bash", "-ec", commands[0])
	s.write(units+serviceName+".d/50-credentials.conf", dropIn[1])
	s.must("bash", "-ec", commands[1])
	s.must("kyc-token", "prod")
	s.systemctl("restart", serviceName)
	s.must("kyc-token", "prod")
	if n := s.cognito.SignIns(); n != 1 {
		s.t.Errorf("%d sign-ins", n)
	}
	if got := s.must("kyc-agentd", "status"); !strings.Contains(got, "sign-ins are kept in files") {
		s.t.Error(got)
	}
}

// testMissingCredentials holds that status, doctor and log name a credential that systemd cannot
// load, or that is empty, and that the fix works.
func testMissingCredentials(s *service) {
	key := atHome("elsewhere/kyc-agentd.key")
	s.must("mkdir", "-p", filepath.Dir(key))
	// First with a start that is always too slow for the limit of starts, then with one that never is.
	s.dropIn(serviceName, "[Unit]\nStartLimitIntervalSec=0\n[Service]\nLoadCredential=kyc-agentd.key:%h/elsewhere/kyc-agentd.key\n")
	expect := func(exit int, want, name string, args ...string) {
		s.t.Helper()
		got := s.run("", name, args...)
		if all := got.out + got.err; got.exit != exit || !strings.Contains(all, want) {
			s.t.Errorf("%s %s: exit %d, want %d and %q: %s", name, strings.Join(args, " "), got.exit, exit, want, all)
		}
	}
	missing := "kyc-agentd.service loads the credential kyc-agentd.key from " + key + ", which does not exist"
	expect(75, "see: kyc-agentd status", "kyc-token", "staging")
	expect(78, missing, "kyc-agentd", "status")
	expect(78, missing, "kyc-agentd", "log")

	s.dropIn(serviceName, limitStarts+"[Service]\nLoadCredential=kyc-agentd.key:%h/elsewhere/kyc-agentd.key\n")
	s.await("the end of the socket", func() bool { return s.run("", "kyc-token", "staging").exit == 69 })
	expect(78, missing, "kyc-agentd", "status")
	expect(78, missing, "kyc-agentd", "log")
	expect(78, missing, "kyc-agentd", "start")
	expect(2, "credentials.missing", "kyc-agentd", "doctor", "--offline")

	fix := regexp.MustCompile(`then run: (systemctl.*)`).FindStringSubmatch(s.run("", "kyc-agentd", "status").err)
	if fix == nil {
		s.t.Fatal("status says no fix")
	}
	if err := os.WriteFile(key, nil, 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.must("sh", "-c", fix[1])
	expect(78, "kyc-agentd.key is empty", "kyc-agentd", "status")
	expect(2, "credentials.empty", "kyc-agentd", "doctor", "--offline")
	expect(0, "kyc-agentd.key is empty", "kyc-agentd", "log")

	s.must("rm", key)
	s.must("kyc-agentd", "keygen", key)
	s.systemctl("stop", serviceName)
	s.must("sh", "-c", fix[1])
	s.login()
	s.expectToken()
}

// testStartsThatFail holds that status names what fails in systemd before the program runs, and
// nothing of the kind while the agent runs and is only silent.
func testStartsThatFail(s *service) {
	for lines, want := range map[string]string{
		"WorkingDirectory=/nowhere":               serviceName + " has failed (exit status 200)",
		"ExecStart=\nExecStart=/etc/passwd serve": serviceName + " has failed (exit status 203)",
		"EnvironmentFile=/nowhere":                serviceName + " has failed (resources)",
	} {
		s.dropIn(serviceName, limitStarts+"[Service]\n"+lines+"\n")
		s.systemctl("reset-failed", serviceName, socketName)
		s.systemctl("restart", socketName)
		s.await("the end of the socket", func() bool { return s.run("", "kyc-token").exit == 69 })
		if got := s.run("", "kyc-agentd", "status"); got.exit != 69 || !strings.Contains(got.err, want) {
			s.t.Errorf("%q: status: %+v", lines, got)
		}
	}

	key := atHome("key")
	s.must("kyc-agentd", "keygen", key)
	s.dropIn(serviceName, "[Service]\nLoadCredential=kyc-agentd.key:"+key+"\n")
	s.systemctl("reset-failed", serviceName, socketName)
	s.systemctl("start", socketName, serviceName)
	s.must("rm", key) // it is loaded, and not needed any more
	s.kill(s.pid(), syscall.SIGSTOP)
	if got := s.run("", "kyc-agentd", "status"); got.exit != 75 || !strings.Contains(got.err, "did not answer in time") {
		s.t.Errorf("status of an agent that is stopped: %+v", got)
	}
	s.kill(s.pid(), syscall.SIGCONT)
}
