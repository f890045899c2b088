package logging

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// hostileError is what a provider, a store or a configuration may answer.
func hostileError(code agent.Code) error {
	return &agent.Error{Code: code, Message: hostile, Hint: hostile, Err: errors.New(hostile)}
}

// A hostileProvider fails with the text of others, and asks for it.
type hostileProvider struct{ *agenttest.Authenticator }

func (hostileProvider) Login(ctx context.Context, _ agent.Environment, _ agent.LoginRequest, ask agent.Prompter) (agent.AuthResult, error) {
	_, err := ask(ctx, agent.Challenge{Name: hostile, Prompt: hostile, Problem: hostile, Fields: []agent.Field{{Name: hostile, Label: hostile}}})
	return agent.AuthResult{}, errors.Join(hostileError(agent.CodeUnavailable), err)
}

func (hostileProvider) Recover(context.Context, agent.Environment, agent.RecoverRequest, agent.Prompter) error {
	return hostileError(agent.CodeInternal)
}

// An exchange is one HTTP request on a socket.
type exchange struct {
	socket, head, body string
}

func get(socket, target string) exchange {
	return exchange{socket, "GET " + target + " HTTP/1.1\r\nHost: kyc-agent\r\n", ""}
}

func post(target string, body any) exchange {
	text, isText := body.(string)
	media := "application/octet-stream"
	if !isText {
		b, err := json.Marshal(body)
		if err != nil {
			panic(err)
		}
		text, media = string(b), "application/json"
	}
	return exchange{"main", fmt.Sprintf("POST %s HTTP/1.1\r\nHost: kyc-agent\r\nContent-Type: %s\r\nContent-Length: %d\r\n", target, media, len(text)), text}
}

// doors are the ways by which others' text gets into a daemon.
func doors() map[string]exchange {
	escaped := url.QueryEscape(hostile)
	path := url.PathEscape(hostile)
	type fields map[string]any
	all := map[string]exchange{
		"helper":           post("/v1/helper/"+path, "x"),
		"helper env":       post("/v1/helper/exec?env="+escaped, ""),
		"helper user":      post("/v1/helper/exec?user="+escaped, ""),
		"helper operation": post("/v1/helper/git?operation="+escaped, "protocol=https\nhost=kyc.example\n\n"),
		"git":              post("/v1/helper/git?operation=get", "protocol=https\nhost="+hostile+"\n\n"),
		"git line":         post("/v1/helper/git?operation=get", hostile),
		"bazel":            post("/v1/helper/bazel?operation=get", `{"uri":"https://`+hostile+`/x"}`),
		"terraform":        post("/v1/helper/terraform?operation=get", hostile),
		"goauth":           post("/v1/helper/goauth", "https://"+hostile+"\n\n"),
		"k8s":              post("/v1/helper/k8s", hostile),
		"login":            post("/v1/login", fields{"environment": hostile, "username": hostile, "password": hostile}),
		"login user":       post("/v1/login", fields{"environment": "prod", "username": hostile, "password": hostile}),
		"login field":      post("/v1/login", fields{hostile: hostile}),
		"API key":          post("/v1/login", fields{"environment": "prod", "api_key": "sk_" + hostile}),
		"answer":           post("/v1/login/"+path, fields{"answers": map[string]string{hostile: hostile}}),
		"account":          post("/v1/account", fields{"environment": "prod", "action": hostile, "username": hostile}),
		"reset":            post("/v1/account", fields{"environment": "prod", "action": "reset-password", "username": hostile}),
		"logout":           post("/v1/logout", fields{"environment": hostile, "scope": hostile}),
		"logout scope":     post("/v1/logout", fields{"environment": "prod", "scope": hostile}),
		"reload":           post("/v1/reload", fields{}),
		"proxy path":       {"main", "GET /" + path + "/..;" + path + " HTTP/1.1\r\nHost: prod\r\n", ""},
		"proxy host":       {"main", "GET / HTTP/1.1\r\nHost: \u009b2J\u202e\r\n", ""},
		"proxy raw host":   {"main", "GET / HTTP/1.1\r\nHost: \x1b[2J\r\n", ""},
		"proxy method":     {"main", "\x1b[2J / HTTP/1.1\r\nHost: prod\r\n", ""},
		"proxy header":     {"main", "GET / HTTP/1.1\r\nHost: prod\r\n\x1b]2;x\a: y\r\n", ""},
	}
	for _, name := range []string{"main", "extra"} {
		all[name+" env"] = get(name, "/v1/token?env="+escaped)
		all[name+" env and min_valid"] = get(name, "/v1/token?min_valid=x&env="+escaped)
		all[name+" min_valid"] = get(name, "/v1/token?min_valid="+escaped)
		all[name+" user"] = get(name, "/v1/token?env=prod&user="+escaped)
		all[name+" empty user"] = get(name, "/v1/token?user=&env="+escaped)
		all[name+" type"] = get(name, "/v1/token?env=prod&type="+escaped)
		all[name+" format"] = get(name, "/v1/token?format="+escaped)
		all[name+" parameter"] = get(name, "/v1/token?"+escaped+"=1")
		all[name+" path"] = get(name, "/v1/"+path)
		all[name+" id"] = get(name, "/v1/login/"+path)
		all[name+" host"] = exchange{name, "GET /v1/status HTTP/1.1\r\nHost: \u009b2J\u202e.example\r\n", ""}
	}
	return all
}

// TestEveryDoor holds that by none of the doors a control character gets into any log, at any
// level, or into a header or a line of text for a client.
func TestEveryDoor(t *testing.T) {
	for name, write := range handlers() {
		t.Run(name, func(t *testing.T) {
			var answers []string
			log := write(t, func(log *slog.Logger) { answers = openDoors(t, log) })
			if raw := rawControls(log); len(raw) > 0 {
				t.Errorf("%U are in %.4000q", raw, log)
			}
			if strings.Count(log, "request") < len(doors()) || !strings.Contains(log, "OWNED") {
				t.Errorf("the log has too little: %.4000q", log)
			}
			for _, a := range answers {
				if raw := rawControls(strings.ReplaceAll(a, "\r\n", "\n")); len(raw) > 0 {
					t.Errorf("%U are in the answer %q", raw, a)
				}
			}
		})
	}
}

// openDoors sends everything to an agent that logs to log, and returns the answers.
func openDoors(t *testing.T, log *slog.Logger) (answers []string) {
	dir := testsocket.ShortDir(t)
	service := agenttest.NewAgent(t, hostileProvider{agenttest.NewAuthenticator()}, func(o *agent.Options) { o.Logger = log })
	ctx, stop := context.WithCancel(context.Background())
	var served []chan error
	paths := map[string]string{}
	for name, s := range map[string]*ipc.Server{
		"main":  {Service: service, Proxy: true, Logger: log, Reload: func(context.Context, ipc.Passphrase, string) error { return hostileError(agent.CodeConfiguration) }},
		"extra": {Service: agent.Restrict(service, "prod"), Logger: log.With("socket", "extra")},
	} {
		paths[name] = filepath.Join(dir, name, "agent.sock")
		ln, err := socket.Listen(paths[name])
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx, ln) }()
		served = append(served, done)
	}
	all := doors()
	for _, door := range slices.Sorted(maps.Keys(all)) {
		answers = append(answers, all[door].send(t, paths))
	}
	askAsUnit(t, paths["main"], strings.NewReplacer("/", "", "\x00", "").Replace(hostile))
	askFrom(t, paths["main"], filepath.Join(dir, strings.NewReplacer("/", "", "\x00", "").Replace(hostile)))
	stop()
	for _, done := range served {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	return answers
}

// send returns the head of the answer, and its body if that is a line of text.
func (e exchange) send(t *testing.T, paths map[string]string) string {
	c, err := net.Dial("unix", paths[e.socket])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, e.head+"Accept: text/plain\r\nConnection: close\r\n\r\n"+e.body); err != nil {
		t.Fatal(err)
	}
	read, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	raw := string(read)
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(raw)), nil)
	if err != nil || resp.StatusCode < 400 && !strings.Contains(e.head, "/v1/login ") && !strings.Contains(e.head, "/v1/helper") {
		t.Fatalf("%q: %q, %v", e.head, raw, err)
	}
	defer resp.Body.Close()
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		raw, _, _ = strings.Cut(raw, "\r\n\r\n")
	}
	return raw
}

// askAsUnit asks as a service manager does for a unit of that name.
func askAsUnit(t *testing.T, path, name string) {
	from := &net.UnixAddr{Name: fmt.Sprintf("@%x/unit/%s/kyc-token.%s", os.Getpid(), name, name), Net: "unix"}
	from.Name = from.Name[:min(len(from.Name), 107)]
	c, err := net.DialUnix("unix", from, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := io.ReadAll(c); err != nil || len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
}

// askFrom asks from a program at the path program.
func askFrom(t *testing.T, path, program string) {
	self, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = testpeer.WriteProgram(program, self, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = []string{askSocket + "=" + path}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// askSocket is set in the child process of askFrom.
const askSocket = "TEST_ASK_SOCKET"

func TestMain(m *testing.M) {
	path := os.Getenv(askSocket)
	if path == "" {
		os.Exit(m.Run())
	}
	_, _ = (&ipc.Client{Socket: path}).Token(context.Background(), agent.TokenRequest{Environment: "prod"})
}
