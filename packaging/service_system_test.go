package packaging_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/legaltalent/kyc-agent/packaging/usermanager"
)

// An administrator finds the log by unit, and what it is about in fields.
func testJournal(s *service) {
	s.login()
	want := map[string]string{
		"SYSLOG_IDENTIFIER": "kyc-agentd", "_SYSTEMD_USER_UNIT": serviceName, "PRIORITY": "6",
		"KYC_OP": "login", "KYC_ENV": "staging",
	}
	s.await("an entry with its fields", func() bool {
		entries := s.must("journalctl", "--user", "-u", serviceName, "-o", "json")
		for line := range strings.Lines(entries) {
			var fields map[string]any
			if err := json.Unmarshal([]byte(line), &fields); err != nil {
				s.Fatal(err)
			}
			got := map[string]string{}
			for name := range want {
				got[name], _ = fields[name].(string)
			}
			if maps.Equal(got, want) {
				return true
			}
		}
		return false
	})
}

// Under the drop-in that is shipped as an example everything works: the file store in
// a home that is otherwise read-only, reload, a restart.
func testNamespaces(s *service) {
	s.dropIn(serviceName, s.must("cat", atHome(filepath.Base(namespaceDropIn))))
	s.login()
	s.expectToken()
	s.expectProperty("StatusText", "sign-ins are kept in files ("+atHome(".local/state/kyc-agent")+")")
	s.systemctl("reload", serviceName)
	s.systemctl("restart", serviceName)
	s.expectToken()
	if n := s.cognito.SignIns(); n != 1 {
		s.Errorf("%d sign-ins", n)
	}
	s.must("systemd-analyze", "security", "--user", "--threshold=35", serviceName)

	// It is in force: what the agent sees of its home cannot be written.
	mounts := s.must("cat", "/proc/"+s.property("MainPID")+"/mountinfo")
	if !strings.Contains(mounts, " "+usermanager.Home+"/.local/state/kyc-agent ") || !strings.Contains(mounts, " / ro,") {
		s.Errorf("the mounts of the agent are those of everybody:\n%s", mounts)
	}
}

// A unit gets its token as a credential, from the socket that starts the agent; no unit
// of another's needs to know of the agent's commands.
func testCredential(s *service) {
	s.login()
	s.systemctl("stop", serviceName)
	read := func(id string) string {
		return s.must("systemd-run", "--user", "--quiet", "--wait", "--pipe",
			"--property", "LoadCredential="+id+":"+socketPath(), "sh", "-c", `cat "$CREDENTIALS_DIRECTORY"/`+id)
	}
	want := strings.TrimSpace(s.must("kyc-token"))
	if got := read("kyc-token"); got != want {
		s.Errorf("the credential kyc-token is %q, want %q", got, want)
	}
	if got := read("kyc-token.staging"); got != want {
		s.Errorf("the credential kyc-token.staging is %q, want %q", got, want)
	}
	if got := read("kyc-token.prod"); got != "" {
		s.Errorf("nobody is signed in to prod, and its credential is %q", got)
	}
}

// Token files come and go with the service, under its umask, which would take the
// group's right away, and where nothing but the socket's folder can be written.
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
		return strings.Contains(s.must("kyc-agentd", "status"), "cannot write "+inHome+": read-only file system; name a path in a folder of yours")
	})
	s.expectNoFile(inHome)
	s.systemctl("stop", serviceName)
	s.expectNoFile(inRuntime)
}

// expectFile waits for a file that holds the token, and no more.
func (s *service) expectFile(path string, mode fs.FileMode) {
	s.Helper()
	s.await(path, func() bool { _, err := os.Lstat(path); return err == nil })
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != mode {
		s.Errorf("%s: %v %v, want mode %s", path, info, err, mode)
	}
	token := strings.TrimSuffix(s.must("kyc-token"), "\n")
	if got, err := os.ReadFile(path); err != nil || string(got) != token {
		s.Errorf("%s has %d bytes (%v), which are not the token", path, len(got), err)
	}
}

func (s *service) expectNoFile(path string) {
	s.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		s.Errorf("%s is there: %v", path, err)
	}
}
