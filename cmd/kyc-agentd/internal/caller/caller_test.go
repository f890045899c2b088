package caller

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

func refused(code agent.Code, cause error) error {
	return &agent.Error{Code: code, Message: "what", Hint: "usual", Err: &net.OpError{Op: "dial", Err: cause}}
}

func TestExplain(t *testing.T) {
	none := refused(agent.CodeUnavailable, syscall.ENOENT)
	closed := refused(agent.CodeDenied, fs.ErrPermission)
	other := &agent.Error{Code: agent.CodeDenied, Message: "what", Hint: "usual", Err: socket.ErrOtherUser}
	const (
		sudo   = "you are uid 0 (sudo); run kyc-agentd as yourself, and sudo what needs it"
		unset  = "XDG_RUNTIME_DIR is another user's: run: unset XDG_RUNTIME_DIR"
		linger = "your user manager does not run; run: sudo loginctl enable-linger 1001"
		bare   = "run: export KYC_AGENT_SOCK=~/.kyc-agentd/agent.sock, then: kyc-agentd serve"
	)
	for _, test := range []struct {
		name    string
		uid     int
		env     string
		folders string // that exist
		err     error
		want    string
	}{
		{"sudo", 0, "SUDO_UID=1001", "/run/systemd/system", none, sudo},
		{"sudo -E", 0, "SUDO_UID=1001 XDG_RUNTIME_DIR=/run/user/1001", "", other, sudo},
		{"sudo of root", 0, "SUDO_UID=0", "", none, bare},
		{"sudo with a socket", 0, "SUDO_UID=1001 KYC_AGENT_SOCK=/x", "", none, "usual"},
		{"sudo with the user's socket", 0, "SUDO_UID=1001 KYC_AGENT_SOCK=/x", "", other, sudo},
		{"sudo to another user", 1001, "SUDO_UID=1002", "/run/user/1001/systemd /run/systemd/system", none,
			"run: XDG_RUNTIME_DIR=/run/user/1001 systemctl --user start kyc-agentd.socket"},
		{"doas", 0, "DOAS_USER=ana", "", none, strings.ReplaceAll(sudo, "sudo", "doas")},
		{"pkexec", 0, "PKEXEC_UID=1001", "", closed, strings.ReplaceAll(sudo, "sudo", "pkexec")},
		{"su", 1001, "XDG_RUNTIME_DIR=/run/user/0", "", closed, unset},
		{"su, no agent", 1001, "XDG_RUNTIME_DIR=/run/user/1002/", "", none, unset},
		{"su to root", 0, "XDG_RUNTIME_DIR=/run/user/1001", "", other, unset},
		{"su -, ssh without a session", 1001, "", "/run/systemd/system", none, linger},
		{"cron with lingering", 1001, "", "/run/user/1001/systemd /run/systemd/system", none,
			"run: XDG_RUNTIME_DIR=/run/user/1001 systemctl --user start kyc-agentd.socket"},
		{"a container", 0, "", "", none, bare},
		{"a container with the folder", 1001, "", "/run/user/1001", none, "run: kyc-agentd serve"},
		{"a session", 1001, "XDG_RUNTIME_DIR=/run/user/1001", "/run/user/1001/systemd /run/systemd/system", none, "usual"},
		{"a folder of one's own", 1001, "XDG_RUNTIME_DIR=/tmp/x", "", none, "usual"},
		{"Cognito denies", 0, "SUDO_UID=1001", "", &agent.Error{Code: agent.CodeDenied, Message: "what", Hint: "usual"}, "usual"},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			for folder := range strings.FieldsSeq(test.folders) {
				if err := os.MkdirAll(filepath.Join(root, folder), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			env := map[string]string{}
			for pair := range strings.FieldsSeq(test.env) {
				name, value, _ := strings.Cut(pair, "=")
				env[name] = value
			}
			c := Caller{UID: test.uid, Getenv: func(name string) string { return env[name] }, Root: root}
			got := c.Explain(test.err)
			if e, ok := errors.AsType[*agent.Error](got); !ok || e.Hint != test.want || e.Message != "what" {
				t.Errorf("got %v, want %q", got, test.want)
			}
			if e, _ := errors.AsType[*agent.Error](got); agent.CodeOf(got) != agent.CodeOf(test.err) || !errors.Is(got, e.Err) && e.Err != nil {
				t.Errorf("%v is another failure than %v", got, test.err)
			}
		})
	}
	if plain := errors.New("plain"); (Caller{Getenv: os.Getenv}).Explain(plain) != plain {
		t.Error("another error became one of the agent's")
	}
}
