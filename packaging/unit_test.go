package packaging_test

import (
	"bufio"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

func TestMain(m *testing.M) {
	code := m.Run()
	testpeer.Cleanup()
	os.Exit(code)
}

const (
	socketUnit      = "systemd/kyc-agentd.socket"
	serviceUnit     = "systemd/kyc-agentd.service"
	namespaceDropIn = "systemd/50-namespaces.conf"
)

// A unit is a unit file: "Section.Key" to its values, in order.
type unit map[string][]string

func readUnit(t *testing.T, path string) unit {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	u, section := unit{}, ""
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if name, ok := strings.CutPrefix(line, "["); ok {
			section = strings.TrimSuffix(name, "]")
			continue
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || section == "" || strings.HasSuffix(value, `\`) {
			t.Fatalf("%s: cannot read the line %q", path, line)
		}
		u[section+"."+key] = append(u[section+"."+key], value)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return u
}

// one returns the only value of key.
func (u unit) one(t *testing.T, key string) string {
	t.Helper()
	if len(u[key]) != 1 {
		t.Fatalf("%s has the values %q, want one", key, u[key])
	}
	return u[key][0]
}

func (u unit) expect(t *testing.T, want map[string]string) {
	t.Helper()
	for key, value := range want {
		if got := u[key]; !slices.Equal(got, []string{value}) {
			t.Errorf("%s=%q, want %q", key, got, value)
		}
	}
}

func TestSocketUnit(t *testing.T) {
	u := readUnit(t, socketUnit)
	u.expect(t, map[string]string{
		"Socket.ListenStream":       "%t/kyc-agentd/agent.sock", // where socket.Path looks
		"Socket.FileDescriptorName": "agent",                    // the name that socket.FromSystemd requires
		"Socket.SocketMode":         "0600",
		"Socket.DirectoryMode":      "0700",
		"Socket.RemoveOnStop":       "yes",
		"Install.WantedBy":          "sockets.target",
	})
}

func TestExtraSocketUnit(t *testing.T) {
	readUnit(t, "systemd/kyc-agentd-extra.socket").expect(t, map[string]string{
		"Socket.ListenStream":       "%t/kyc-agentd/agent.extra.sock", // beside the agent's own
		"Socket.FileDescriptorName": "extra",                          // what socket.FromSystemd knows it by
		"Socket.Service":            "kyc-agentd.service",
		"Socket.SocketMode":         "0600",
		"Socket.DirectoryMode":      "0700",
	})
}

func TestServiceUnit(t *testing.T) {
	u := readUnit(t, serviceUnit)
	u.expect(t, map[string]string{
		"Unit.Requires":                    "kyc-agentd.socket",
		"Service.Type":                     "notify",
		"Service.NotifyAccess":             "main",
		"Service.ExecReload":               "/usr/bin/kyc-agentd reload",
		"Service.WatchdogSec":              "30s",
		"Service.TimeoutAbortSec":          "5s",
		"Service.TimeoutStopSec":           "75s", // the daemon waits 65 s for a refresh
		"Service.Restart":                  "on-failure",
		"Service.RestartSec":               "100ms", // serving again within a second
		"Service.RestartPreventExitStatus": "64 78",
		"Unit.StartLimitIntervalSec":       "5s", // so that one killed each second is always restarted
		"Unit.StartLimitBurst":             "10",
		"Service.UMask":                    "0077",
		"Service.LimitCORE":                "0",
		"Service.NoNewPrivileges":          "yes",
		"Service.MemoryDenyWriteExecute":   "yes",
		"Service.RestrictAddressFamilies":  "AF_UNIX AF_INET AF_INET6",
		"Service.RestrictNamespaces":       "yes",
		"Service.SystemCallErrorNumber":    "EPERM",
	})
	// Comments in the unit say what each of these would break.
	for key := range u {
		section, name, _ := strings.Cut(key, ".")
		namespace := strings.HasPrefix(name, "Private") || strings.HasPrefix(name, "Protect")
		if section == "Install" || name == "RuntimeDirectory" || name == "PartOf" || namespace {
			t.Errorf("%s must not be there", key)
		}
	}
}

// TestExecLines checks that the binary accepts every command line of the units: an unknown
// verb or flag makes --help fail.
func TestExecLines(t *testing.T) {
	binary := testpeer.Build(t, "kyc-agentd")
	service := readUnit(t, serviceUnit)
	for _, key := range []string{"Service.ExecStart", "Service.ExecReload"} {
		words := strings.Fields(service.one(t, key))
		if words[0] != "/usr/bin/kyc-agentd" {
			t.Errorf("%s runs %s; make install rewrites /usr/bin/kyc-agentd only", key, words[0])
		}
		out, err := exec.CommandContext(t.Context(), binary, append(words[1:], "--help")...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "kyc-agentd "+words[1]) {
			t.Errorf("%s=%s: %v\n%s", key, strings.Join(words, " "), err, out)
		}
	}
	if out, err := exec.CommandContext(t.Context(), binary, "serve", "--no-such-flag", "--help").CombinedOutput(); err == nil {
		t.Errorf("serve --no-such-flag --help passes, so the check above proves nothing:\n%s", out)
	}
}
