package packaging_test

import (
	"encoding/json"
	"maps"
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
