package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testpeer/engine"
	"github.com/legaltalent/kyc-agent/soak/fakecognito"
)

// An agent is one process of kyc-agentd, with its client.
type agent struct {
	fleet  *fleet
	name   string
	dir    string
	pool   *fakecognito.Pool
	shared bool
	link   *engine.Link

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
	busy   bool // a fault happens to it

	// What its client has got.
	asked, answered, lost, useless int
	held                           string // the newest token
	heldUntil                      time.Time
	gap                            time.Duration // the longest time without a valid token
	gapAt                          time.Time
	problems                       map[string]int
}

func (a *agent) path(name string) string { return filepath.Join(a.dir, name) }

func (a *agent) environ() []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + a.dir, "TMPDIR=" + a.dir, "LC_ALL=C",
		"XDG_CONFIG_HOME=" + a.path("config"), "XDG_STATE_HOME=" + a.path("state"), "XDG_RUNTIME_DIR=" + a.path("run"),
	}
	if a.link != nil && a.fleet.kube != nil {
		env = append(env, a.fleet.kube.Environ(a.link.Port())...)
	}
	return env
}

// start starts the process; it does not wait until it is ready.
func (a *agent) start() error {
	log, err := os.OpenFile(a.path("log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(a.fleet.bin, "serve", "--socket", a.path("run/agent.sock"), "--config", a.path("config.toml"))
	cmd.Env, cmd.Stdout, cmd.Stderr = a.environ(), log, log
	cmd.SysProcAttr = child()
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	a.mu.Lock()
	a.cmd, a.exited = cmd, exited
	a.mu.Unlock()
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	return nil
}

func (a *agent) signal(sig syscall.Signal) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cmd != nil {
		_ = a.cmd.Process.Signal(sig)
	}
}

func (a *agent) kill() {
	a.signal(syscall.SIGKILL)
	a.mu.Lock()
	exited := a.exited
	a.mu.Unlock()
	if exited != nil {
		<-exited
	}
}

// verb runs kyc-agentd.
func (a *agent) verb(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, a.fleet.bin, append(args, "--socket", a.path("run/agent.sock"))...)
	cmd.Env, cmd.Stdin = a.environ(), strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: kyc-agentd %s: %w: %s", a.name, args[0], err, out)
	}
	return string(out), err
}

func (a *agent) login(ctx context.Context) error {
	var err error
	for range 100 {
		if _, err = a.verb(ctx, fakecognito.Password+"\n", "login", "prod", "-u", fakecognito.User, "--password-stdin"); err == nil {
			return nil
		}
		time.Sleep(200 * time.Millisecond)
	}
	return err
}

// ask asks for a token every second until ctx ends.
func (a *agent) ask(ctx context.Context) {
	client := http.Client{Timeout: 9 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", a.path("run/agent.sock"))
		},
	}}
	a.problems = map[string]int{}
	a.heldUntil = time.Now().Add(20 * time.Second) // the start is not what is measured
	for ctx.Err() == nil {
		token, code, err := a.token(ctx, &client)
		if ctx.Err() != nil {
			return
		}
		a.asked++
		now := time.Now()
		if gap := now.Sub(a.heldUntil); gap > a.gap {
			a.gap, a.gapAt = gap, now
		}
		switch {
		case err == nil:
			a.answered++
			if a.pool.Check(token, now) != nil {
				a.useless++
			} else if token != a.held {
				a.held, a.heldUntil = token, expiryOf(token)
			}
		case code == "login_required":
			a.lost++
			fallthrough
		default:
			a.problems[code]++
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// token asks once. The code is the agent's, or says that there is no agent.
func (a *agent) token(ctx context.Context, client *http.Client) (token, code string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://kyc-agent/v1/token?format=token&env=prod", nil)
	if err != nil {
		return "", "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", "no agent", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(string(data))
	}
	return strings.TrimSpace(string(data)), resp.Header.Get("Kyc-Error"), err
}
