package securityreport

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/store"
)

var update = flag.Bool("update", false, "write testdata anew")

// everything is the status of an agent that has one of each.
func everything() agent.Status {
	return agent.Status{
		Store: store.Info{Kind: "file", Detail: "/home/ana/.local/state/kyc-agent", Lasting: true, Key: "/home/ana/.config/kyc-agent/store.key"},
		Sinks: []agent.SinkStatus{{Path: "/home/ana/token", Environment: "prod"}},
		Sockets: []agent.SocketStatus{
			{Name: "ai", Paths: []string{"/run/user/1000/kyc-agentd/sockets/ai/agent.sock"}, Environments: []string{"staging"}, Allow: []agent.Access{agent.AccessAPI}, Methods: []string{"GET"}, Confirm: true},
			{Name: "extra", Paths: []string{"/run/user/1000/kyc-agentd/agent.extra.sock"}, Environments: []string{"staging"}, Allow: []agent.Access{agent.AccessToken}},
		},
		Environments: []agent.EnvironmentStatus{
			{Name: "ci", Unattended: true, Endpoints: map[string]string{"endpoint": "https://cognito.example"}},
			{Name: "prod", Confirm: true},
			{Name: "staging", APIKey: true},
		},
		Network:   map[string]string{"proxy": "http://proxy.example:3128"},
		Variables: []string{"KYC_PROD_ENDPOINT"},
		Lock:      &agent.LockStatus{Passphrase: true, Auto: agent.AutoLock{IdleSeconds: 4 * 3600, OnScreenLock: true}},
		Audit:     &agent.AuditStatus{Mode: "on"},
		Hardening: &agent.Hardening{MemoryClosed: true, MemoryClosedFromStart: true},
	}
}

// TestReport shows an agent with one of each to a person.
func TestReport(t *testing.T) {
	for name, c := range map[string]struct {
		status agent.Status
		width  int
	}{
		"everything.txt":    {everything(), 0},
		"everything-40.txt": {everything(), 40},
		"little.txt":        {agent.Status{Store: store.Info{Kind: "memory"}}, 0}, // and older
	} {
		var b strings.Builder
		if err := New(c.status, "/run/user/1000/kyc-agentd/agent.sock").Write(&b, c.width); err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile("testdata/"+name, []byte(b.String()), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile("testdata/" + name)
		if err != nil || b.String() != string(want) {
			t.Errorf("%s: %v\n%s", name, err, b.String())
		}
	}
}

// TestReportOfStates looks at what depends on the lock, the approvals, the audit log and the memory.
func TestReportOfStates(t *testing.T) {
	for want, change := range map[string]func(*agent.Status){
		"lock: locked":                                                     func(st *agent.Status) { st.Lock.Locked = true },
		"lock: none: there is no passphrase":                               func(st *agent.Status) { st.Lock = nil },
		"lock: the store cannot be written":                                func(st *agent.Status) { st.Lock.Error = "the store cannot be written" },
		"it locks by `kyc-agentd lock` alone":                              func(st *agent.Status) { st.Lock.Auto = agent.AutoLock{} },
		"asked for: prod, socket ai; without a passphrase":                 func(st *agent.Status) { st.Lock = nil },
		"approvals: nothing asks":                                          func(st *agent.Status) { st.Environments, st.Sockets = nil, nil },
		"audit log: required: no line, no token":                           func(st *agent.Status) { st.Audit.Mode = "required" },
		"audit log: off":                                                   func(st *agent.Status) { st.Audit.Mode = "off" },
		"audit log: on, and it cannot be written: no space left on device": func(st *agent.Status) { st.Audit.Error = "no space left on device" },
		"memory: closed to your other programs, no core dump":              func(st *agent.Status) { st.Hardening.MemoryClosedFromStart = false },
		"memory: open":                                                     func(st *agent.Status) { st.Hardening = &agent.Hardening{} },
		"store: in the keyring":                                            func(st *agent.Status) { st.Store = store.Info{Kind: "keyring", Lasting: true} },
		"open to: the agents that have the fleet's key":                    func(st *agent.Status) { st.Store = store.Info{Kind: "postgres", Lasting: true} },
	} {
		st := everything()
		change(&st)
		var b strings.Builder
		if err := New(st, "/run/agent.sock").Write(&b, 0); err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("%v: no %q in\n%s", err, want, b.String())
		}
	}
}

// TestReportIsClean checks that no text of a daemon reaches the terminal with control characters.
func TestReportIsClean(t *testing.T) {
	st := everything()
	st.Sinks[0].Path, st.Audit.Error, st.Lock.Error, st.Sockets[0].Error = "\x1b[2Ja", "\x1b[2Ja", "\u202ea", "a\x9bb"
	var b strings.Builder
	if err := New(st, "/run/\x1b[2J").Write(&b, 80); err != nil || strings.ContainsAny(b.String(), "\x1b\u202e\u009b") {
		t.Errorf("%v: %q", err, b.String())
	}
}
