package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent/sink"
)

// sinksOf are the token files of a config.toml for ana, whose daemon serves on
// /run/user/7/kyc-agentd/agent.sock.
func sinksOf(t *testing.T, text string, vars ...string) ([]sink.Sink, error) {
	t.Helper()
	vars = append([]string{"HOME=/home/ana", "XDG_RUNTIME_DIR=/run/user/7"}, vars...)
	c, _, err := loadText(t, text)
	if err != nil {
		return nil, err
	}
	return c.ResolveSinks(vars, "/home/ana/c.toml", "/run/user/7/kyc-agentd/agent.sock")
}

func TestSinks(t *testing.T) {
	got, err := sinksOf(t, `
		[[sinks]]
		environment = "prod"
		[[sinks]]
		environment = "prod"
		format = "header"
		mode = "0440"
		[[sinks]]
		environment = "staging"
		format = "token"
		path = "prometheus/./kyc"
		mode = 0o640
		[[sinks]]
		environment = "staging"
		path = "~/.cache/kyc token"
		[[sinks]]
		environment = "staging"
		path = "/srv//x/kyc"
	`)
	want := []sink.Sink{
		{Environment: "prod", Format: "token", Path: "/run/user/7/kyc-agentd/prod.jwt", Mode: 0o600},
		{Environment: "prod", Format: "header", Path: "/run/user/7/kyc-agentd/prod.header", Mode: 0o440},
		{Environment: "staging", Format: "token", Path: "/run/user/7/kyc-agentd/prometheus/kyc", Mode: 0o640},
		{Environment: "staging", Format: "token", Path: "/home/ana/.cache/kyc token", Mode: 0o600},
		{Environment: "staging", Format: "token", Path: "/srv/x/kyc", Mode: 0o600},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v (%v)\nwant %+v", got, err, want)
	}
	if got, err := sinksOf(t, ""); len(got) != 0 || err != nil {
		t.Errorf("%+v %v, want none", got, err)
	}
	// as the socket: /run/user/UID where nothing is exported, and not where another socket is
	got, err = sinksOf(t, "[[sinks]]\nenvironment = 'prod'", "XDG_RUNTIME_DIR=", "KYC_AGENT_SOCK=/elsewhere/s")
	if want := fmt.Sprintf("/run/user/%d/kyc-agentd/prod.jwt", os.Getuid()); err != nil || got[0].Path != want {
		t.Errorf("%+v %v, want %s", got, err, want)
	}
}

func TestSinkErrors(t *testing.T) {
	prod := func(more string) string { return "[[sinks]]\nenvironment = 'prod'\n" + more }
	for _, tt := range []struct{ text, want string }{
		{"[[sinks]]", "sinks (no. 1): environment is missing; configured: prod, staging"},
		{prod("[[sinks]]\nenvironment = 'dev'"), `sinks (no. 2): no environment "dev" is configured; configured: prod, staging`},
		{"[[sinks]]\nenvironment = 'A b'", `config.toml:2: sinks.environment: bad environment name "A b"`},
		{prod("file = 'x'"), "config.toml:3: unknown key sinks.file"},
		{prod("path = []"), "config.toml:3: sinks.path: not a value for this key (array); want text in quotes"},
		{"sinks = 'prod'", "config.toml:1: sinks: not a value for this key (string); want tables [[sinks]]"},
		{prod("mode = '0644'"), "config.toml:3: sinks.mode: mode 0644 is not allowed for a token file; use 0600 or 0400, or 0640 or 0440 to let the group read it"},
		{prod("mode = 'rw'"), `config.toml:3: sinks.mode: bad mode "rw"; want one such as "0600"`},
		{prod("mode = '10600'"), `config.toml:3: sinks.mode: bad mode "10600"; want one such as "0600"`},
		{prod("format = 'yaml'"), `config.toml:3: sinks.format: unknown format "yaml"; want one of: token, header, curl, json`},
		{prod("format = 'aws'"), "config.toml:3: sinks.format: AWS credentials are never written to a file; configure the tool with: credential_process = kyc-token -f aws"},
		{prod("path = '../x'"), `config.toml:3: sinks.path: bad path "../x"; want an absolute one, one that begins with ~/, or one in $XDG_RUNTIME_DIR/kyc-agentd`},
		{prod("path = '~bob/x'"), `config.toml:3: sinks.path: bad path "~bob/x"; want an absolute one,`},
		{prod("path = '$HOME/kyc.jwt'"), `config.toml:3: sinks.path: bad path "$HOME/kyc.jwt"; variables are not expanded; write ~/kyc.jwt`},
		{prod("path = '${XDG_RUNTIME_DIR}/a/b.jwt'"), `variables are not expanded; write ~/b.jwt`},
		{prod("path = '%t/kyc.jwt'"), `variables are not expanded; write ~/kyc.jwt`},
		{prod("path = '%USERPROFILE%/kyc.jwt'"), `variables are not expanded; write ~/kyc.jwt`},
		{prod("path = '$TOKEN_FILE'"), `variables are not expanded; write ~/kyc.jwt`},
		{prod("path = '/home/$USER/kyc.jwt'"), `variables are not expanded; write ~/kyc.jwt`},
		{prod("path = '~/$USER/kyc.jwt'"), `variables are not expanded; write ~/kyc.jwt`},
		{prod("path = 'x/'"), `config.toml:3: sinks.path: bad path "x/"; want a file's, not a folder's`},
		{prod("path = '/x/..'"), `config.toml:3: sinks.path: bad path "/x/.."; want a file's, not a folder's`},
		{prod(`path = "x\ny"`), `config.toml:3: sinks.path: bad path "x\ny"; it has control characters`},
		{prod(prod("")), "sinks (no. 2): path /run/user/7/kyc-agentd/prod.jwt is that of no. 1, too; give each its own"},
		{prod("path = 'a/../b'\n" + prod("path = '/run/user/7/kyc-agentd/b'")), "sinks (no. 2): path /run/user/7/kyc-agentd/b is that of no. 1, too; give each its own"},
		{prod("path = 'agent.sock'"), "sinks (no. 1): path /run/user/7/kyc-agentd/agent.sock is the daemon's socket or its lock; name another"},
		{prod("path = 'agent.extra.sock.lock'"), "sinks (no. 1): path /run/user/7/kyc-agentd/agent.extra.sock.lock is the daemon's socket or its lock; name another"},
		{prod("path = '~/c.toml'"), "sinks (no. 1): path /home/ana/c.toml is the configuration; name another"},
		{prod("path = '~/.config/kyc-agent/store.key'"), "sinks (no. 1): path /home/ana/.config/kyc-agent/store.key is the file store's key; name another"},
		{prod("path = '~/k'\n[environments.prod]\nclient_secret_file = '~/k'"), "sinks (no. 1): path /home/ana/k is a client_secret_file; name another"},
		{prod("path = '~/p'\n[environments.prod]\nusername = 'u'\npassword_file = '~/p'"), "sinks (no. 1): path /home/ana/p is a password_file; name another"},
		{prod("path = '~/.local/state/kyc-agent/prod.age'"), "sinks (no. 1): path /home/ana/.local/state/kyc-agent/prod.age is in the file store's folder; name another"},
	} {
		_, err := sinksOf(t, tt.text)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s\nerror %v\nwant  %s", tt.text, err, tt.want)
		}
	}
}
