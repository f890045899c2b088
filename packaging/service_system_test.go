package packaging_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/legaltalent/kyc-agent/packaging/usermanager"
)

// An administrator can find log entries by unit, and in their fields the request, the
// client's program and the result.
func testJournal(s *service) {
	s.login()
	s.entry(map[string]string{"KYC_OP": "login", "KYC_ENV": "staging", "PRIORITY": "6"})
	s.run("", "kyc-token", "prod")
	got := s.entry(map[string]string{"KYC_OP": "token", "KYC_ENV": "prod", "KYC_CODE": "login_required"})
	if got["KYC_EXE"] != atHome(".local/bin/kyc-token") || got["KYC_PID"] == "" || got["KYC_DURATION"] == "" {
		s.t.Errorf("the entry of the request is %v", got)
	}
}

// entry returns the fields of the newest entry of this daemon that has the fields in want.
func (s *service) entry(want map[string]string) (found map[string]string) {
	s.t.Helper()
	match := []string{"--user", "-u", serviceName, "-o", "json", "-n", "1", "_PID=" + s.property("MainPID")}
	for name, value := range want {
		match = append(match, name+"="+value)
	}
	s.await(fmt.Sprintf("an entry with %v", want), func() bool {
		line := s.must("journalctl", match...)
		if line == "" {
			return false
		}
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			s.t.Fatal(err)
		}
		found = map[string]string{}
		for name, value := range fields {
			found[name], _ = value.(string)
		}
		return true
	})
	return found
}

// With the drop-in that is shipped as an example everything works: the file store in a
// home that is otherwise read-only, a reload, a restart.
func testNamespaces(s *service) {
	s.dropIn(serviceName, s.must("cat", atHome(filepath.Base(namespaceDropIn))))
	s.login()
	s.expectToken()
	s.expectProperty("StatusText", "sign-ins are kept in files ("+atHome(".local/state/kyc-agent")+")")
	s.systemctl("reload", serviceName)
	s.systemctl("restart", serviceName)
	s.expectToken()
	if n := s.cognito.SignIns(); n != 1 {
		s.t.Errorf("%d sign-ins", n)
	}
	s.must("systemd-analyze", "security", "--user", "--threshold=35", serviceName)

	// The disadvantage: the log has no program of a client.
	s.run("", "kyc-token", "prod")
	if got := s.entry(map[string]string{"KYC_OP": "token", "KYC_ENV": "prod"}); got["KYC_PID"] == "" || !strings.HasPrefix(got["KYC_EXE"], "kyc-token, child of ") {
		s.t.Errorf("the entry of the request is %v", got)
	}

	// The drop-in has an effect: the agent cannot write in its home.
	mounts := s.must("cat", "/proc/"+s.property("MainPID")+"/mountinfo")
	if !strings.Contains(mounts, " "+usermanager.Home+"/.local/state/kyc-agent ") || !strings.Contains(mounts, " / ro,") {
		s.t.Errorf("the agent has no mounts of its own:\n%s", mounts)
	}
}

// A unit gets its token as a credential, from the socket that starts the agent. Other
// units do not have to call the agent's commands.
func testCredential(s *service) {
	s.login()
	s.systemctl("stop", serviceName)
	read := func(id string) string {
		return s.must("systemd-run", "--user", "--quiet", "--wait", "--pipe",
			"--property", "LoadCredential="+id+":"+socketPath(), "sh", "-c", `cat "$CREDENTIALS_DIRECTORY"/`+id)
	}
	want := strings.TrimSpace(s.must("kyc-token"))
	if got := read("kyc-token"); got != want {
		s.t.Errorf("the credential kyc-token is %q, want %q", got, want)
	}
	if got := read("kyc-token.staging"); got != want {
		s.t.Errorf("the credential kyc-token.staging is %q, want %q", got, want)
	}
	if got := read("kyc-token.prod"); got != "" {
		s.t.Errorf("nobody is signed in to prod, and its credential is %q", got)
	}
}

// If no person signs in, the key of the file store and the password can be credentials of
// the unit, and neither has to be in the home folder.
func testOwnCredentials(s *service) {
	s.configure("")
	config := strings.Replace(s.must("cat", atHome(".config/kyc-agent/config.toml")), "[environments.staging]\n", "[environments.staging]\nusername = \"ana\"\n", 1)
	s.write(".config/kyc-agent/config.toml", config)
	s.must("mv", atHome(".config/kyc-agent/store.key"), atHome("elsewhere.key"))
	s.write("elsewhere.password", "correct horse\n")
	s.dropIn(serviceName, "[Service]\nLoadCredential=kyc-agentd.key:"+atHome("elsewhere.key")+
		"\nLoadCredential=kyc-staging.password:"+atHome("elsewhere.password")+"\n")
	s.expectToken()
	s.expectProperty("StatusText", "sign-ins are kept in files ("+atHome(".local/state/kyc-agent")+")")
	s.systemctl("restart", serviceName)
	s.expectToken()
	if n := s.cognito.SignIns(); n != 1 {
		s.t.Errorf("%d sign-ins", n)
	}
}

// Token files are made and removed with the service. They get their mode even though the
// service's umask would remove the group's right, and work with the drop-in, where only
// the socket's folder can be written.
func testTokenFiles(s *service) {
	inRuntime, inHome := filepath.Join(filepath.Dir(socketPath()), "staging.jwt"), atHome("token")
	s.configure(`
		[[sinks]]
		environment = "staging"
		mode = "0640"
		[[sinks]]
		environment = "staging"
		path = "~/token"
	`)
	s.systemctl("start", serviceName)
	s.login()
	s.expectFile(inRuntime, 0o640)
	s.expectFile(inHome, 0o600)
	s.systemctl("stop", serviceName)
	s.expectNoFile(inRuntime)
	s.expectNoFile(inHome)

	s.dropIn(serviceName, s.must("cat", atHome(filepath.Base(namespaceDropIn))))
	s.systemctl("start", serviceName)
	s.expectFile(inRuntime, 0o640)
	s.await("the other file's error", func() bool {
		return strings.Contains(s.must("kyc-agentd", "status"), "cannot write "+inHome+": read-only file system; name a path in a folder that you own")
	})
	s.expectNoFile(inHome)
	s.systemctl("stop", serviceName)
	s.expectNoFile(inRuntime)
}

// expectFile waits for a file that contains only the token.
func (s *service) expectFile(path string, mode fs.FileMode) {
	s.t.Helper()
	s.await(path, func() bool { _, err := os.Lstat(path); return err == nil })
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != mode {
		s.t.Errorf("%s: %v %v, want mode %s", path, info, err, mode)
	}
	token := strings.TrimSuffix(s.must("kyc-token"), "\n")
	if got, err := os.ReadFile(path); err != nil || string(got) != token {
		s.t.Errorf("%s has %d bytes (%v), which are not the token", path, len(got), err)
	}
}

func (s *service) expectNoFile(path string) {
	s.t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		s.t.Errorf("%s is there: %v", path, err)
	}
}
