package packaging_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// With the socket enabled the agent does not run before it is needed, and new programs get
// the socket's path in a variable. Stopping the socket undoes both.
func testFirstClient(s *service) {
	if got := s.systemctl("is-enabled", socketName); got != "enabled\n" {
		s.t.Errorf("the socket is %s", got)
	}
	s.expectProperty("ActiveState", "inactive")
	for path, want := range map[string]fs.FileMode{
		socketPath():               fs.ModeSocket | 0o600,
		filepath.Dir(socketPath()): fs.ModeDir | 0o700,
	} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			s.t.Errorf("%s is not %s: %v, %v", path, want, info, err)
		}
	}
	if got := s.run("", "kyc-token"); got.exit != 77 || got.err != "kyc-token: staging: not signed in; run: kyc-agentd login staging\n" {
		s.t.Errorf("kyc-token: %+v", got)
	}
	s.expectProperty("ActiveState", "active")

	variable := "KYC_AGENT_SOCK=" + socketPath() + "\n"
	if got := s.systemctl("show-environment"); !strings.Contains(got, variable) {
		s.t.Errorf("the environment has no %s:\n%s", variable, got)
	}
	if got := s.must("systemd-run", "--user", "--quiet", "--wait", "--pipe", "env"); !strings.Contains(got, variable) {
		s.t.Errorf("a unit that starts later does not get it:\n%s", got)
	}

	s.systemctl("stop", socketName)
	s.expectProperty("ActiveState", "inactive")
	if got := s.systemctl("show-environment"); strings.Contains(got, "KYC_") {
		s.t.Errorf("left in the environment:\n%s", got)
	}
	if _, err := os.Stat(socketPath()); err == nil {
		s.t.Error("the socket is left")
	}
	if got := s.run("", "kyc-token"); got.exit != 69 || !strings.Contains(got.err, restartSocket) {
		s.t.Errorf("kyc-token: %+v", got)
	}
	s.systemctl("start", socketName) // the command in the message
	s.login()
	s.expectToken()
}

// testActivations repeatedly stops the service and asks for a token at once: the first
// request gets an answer, whatever the state of the start. KYC_ACTIVATIONS is the number
// of repetitions, 100 by default.
func testActivations(s *service) {
	rounds := 100
	if text := os.Getenv("KYC_ACTIVATIONS"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			s.t.Fatal(err)
		}
	}
	s.dropIn(serviceName, "[Unit]\nStartLimitIntervalSec=0\n")
	s.dropIn(socketName, "[Socket]\nTriggerLimitIntervalSec=0\n")
	s.login()
	began, waited, failed := time.Now(), time.Duration(0), 0
	for range rounds {
		s.systemctl("stop", serviceName)
		asked := time.Now()
		if got := s.run("", "kyc-token"); got.exit != 0 {
			failed++
			s.t.Errorf("kyc-token: %+v", got)
		}
		waited += time.Since(asked)
	}
	s.t.Logf("%d activations, %d failures, in %s; from the request to the token it took %s on average",
		rounds, failed, time.Since(began).Round(time.Second), (waited / time.Duration(rounds)).Round(time.Millisecond))
}

// When the start has returned, the daemon serves and its status says where sign-ins are
// kept. This systemd has no objections to the units, either.
func testReady(s *service) {
	verify := s.run("", "systemd-analyze", "verify", "--user", "--man=no", "--recursive-errors=no",
		atHome(units+socketName), atHome(units+serviceName))
	if verify.exit != 0 || verify.out+verify.err != "" {
		s.t.Errorf("systemd-analyze verify: %+v", verify)
	}
	s.must("systemd-analyze", "security", "--user", "--threshold=62", serviceName)
	s.systemctl("start", serviceName)
	s.expectProperty("SubState", "running")
	s.expectProperty("StatusText", "sign-ins are kept in files ("+atHome(".local/state/kyc-agent")+")")
	s.expectProperty("NRestarts", "0")
	s.systemctl("stop", serviceName)
	s.expectProperty("Result", "success")
	s.expectProperty("ExecMainStatus", "0")
}

// When a reload has returned, the new configuration is in use. A reload that cannot be done
// fails.
func testReload(s *service) {
	s.systemctl("start", serviceName)
	pid := s.pid()
	for i := range 20 {
		env := []string{"staging", "prod"}[i%2]
		s.configure("default_environment = " + strconv.Quote(env))
		s.systemctl("reload", serviceName)
		if got := s.run("", "kyc-token"); !strings.HasPrefix(got.err, "kyc-token: "+env+": not signed in") {
			s.t.Fatalf("after the reload to %s: %+v", env, got)
		}
	}
	s.configure("no_such_key = 1")
	if got := s.run("", "systemctl", "--user", "reload", serviceName); got.exit == 0 {
		s.t.Error("reloading a configuration that cannot be used succeeds")
	}
	if got := s.run("", "kyc-agentd", "reload"); got.exit != 78 || !strings.Contains(got.err, "no_such_key") {
		s.t.Errorf("kyc-agentd reload: %+v", got)
	}
	s.expectProperty("ActiveState", "active")
	if s.pid() != pid {
		s.t.Error("the process has changed")
	}
	if got := s.run("", "kyc-token"); !strings.HasPrefix(got.err, "kyc-token: prod: not signed in") {
		s.t.Errorf("the old configuration is no longer in use: %+v", got)
	}
}

// With a configuration that cannot be used there is no agent, and every client gets the
// reason, including those that waited for the start. After it is corrected, nobody has to
// start anything.
func testBrokenConfiguration(s *service) {
	s.login()
	s.configure("no_such_key = 1")
	s.kill(s.pid(), syscall.SIGKILL)
	for range 20 {
		if got := s.run("", "kyc-token"); got.exit != 78 || !strings.Contains(got.err, "no_such_key") {
			s.t.Fatalf("kyc-token: %+v", got)
		}
	}
	s.await("the end", func() bool { return s.property("ActiveState") == "failed" })
	s.expectProperty("ExecMainStatus", "78")
	s.configure("")
	s.expectToken()
	s.expectProperty("ActiveState", "active")

	s.configure("no_such_key = 1")
	if got := s.run("", "systemctl", "--user", "restart", serviceName); got.exit == 0 {
		s.t.Error("a start that cannot succeed does")
	}

	// A reload reports the error at once, without waiting until no client asks any more.
	if got := s.run("", "kyc-agentd", "reload"); got.exit != 78 || !strings.Contains(got.err, "no_such_key") {
		s.t.Errorf("kyc-agentd reload: %+v", got)
	}
	s.configure("")
	if got := s.run("", "kyc-agentd", "reload"); got.exit != 0 {
		s.t.Errorf("kyc-agentd reload of the corrected configuration: %+v", got)
	}
	s.expectToken()
}

// An upgrade replaces the file and restarts the service. The socket, which programs may
// have open, and the sign-in stay.
func testUpgrade(s *service) {
	s.login()
	before := s.inode()
	if err := os.Rename(atHome(".local/bin/kyc-agentd"), atHome("last")); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { s.must("mv", atHome("last"), atHome(".local/bin/kyc-agentd")) })
	s.must("cp", atHome("next/kyc-agentd"), atHome(".local/bin/kyc-agentd"))
	s.expectToken()
	s.systemctl("restart", serviceName)
	if got := s.must("kyc-agentd", "status"); !strings.HasPrefix(got, "kyc-agentd "+nextVersion+",") {
		s.t.Errorf("after the restart: %s", got)
	}
	if s.inode() != before {
		s.t.Error("the restart made another socket")
	}
	s.expectToken()
	if n := s.cognito.SignIns(); n != 1 {
		s.t.Errorf("%d sign-ins", n)
	}
}

func (s *service) inode() uint64 {
	s.t.Helper()
	var info syscall.Stat_t
	if err := syscall.Stat(socketPath(), &info); err != nil {
		s.t.Fatal(err)
	}
	return info.Ino
}

// With RuntimeDirectory= stopping the service would delete the socket of the socket unit,
// and no client would get an answer again; so the unit does not have it.
func testRuntimeDirectory(s *service) {
	for _, trap := range []bool{false, true} {
		if trap {
			s.dropIn(serviceName, "[Service]\nRuntimeDirectory=kyc-agentd\n")
		}
		s.systemctl("start", serviceName)
		s.systemctl("stop", serviceName)
		if _, err := os.Stat(socketPath()); (err != nil) != trap {
			s.t.Errorf("RuntimeDirectory %t: %v", trap, err)
		}
	}
}
