package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

const (
	user     = "ada"
	password = "Correct-horse-9"
)

// A lab holds what the parts share: a folder, the binaries as shipped, and a pool
// for each environment.
type lab struct {
	dir      string
	keyFile  string
	staging  *cognitotest.Server
	prod     *cognitotest.Server
	apiURL   string // of the environments; empty means one that is nowhere
	children []*child
	cleanup  []func()
}

// moduleRoot is where go.mod is.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := output(exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}"))
	return strings.TrimSpace(string(out)), err
}

func openLab(ctx context.Context, root string) (*lab, error) {
	dir, err := os.MkdirTemp("", "kyc-bench-")
	if err != nil {
		return nil, err
	}
	l := &lab{dir: dir, keyFile: filepath.Join(dir, "store.key"), staging: newPool(), prod: newPool()}
	for _, cmd := range []*exec.Cmd{
		goBuild(ctx, root, l.path("bin/kyc-agentd"), "./cmd/kyc-agentd"),
		goBuild(ctx, root, l.path("bin/kyc-token"), "./cmd/kyc-token"),
		exec.CommandContext(ctx, l.path("bin/kyc-agentd"), "keygen", l.keyFile),
	} {
		if _, err := output(cmd); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

func newPool() *cognitotest.Server {
	s := cognitotest.New()
	s.AddUser(cognitotest.User{Name: user, Password: password})
	return s
}

// goBuild builds as the Makefile does.
func goBuild(ctx context.Context, dir, out, pkg string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildmode=exe", "-ldflags=-s -w", "-o", out, pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	return cmd
}

// close ends whatever the lab has started.
func (l *lab) close() {
	for _, f := range l.cleanup {
		f()
	}
	for _, c := range l.children {
		c.stop()
	}
	l.staging.Close()
	l.prod.Close()
	_ = os.RemoveAll(l.dir)
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

// environ is the environment of every program: nothing of this user's.
func (l *lab) environ(more ...string) []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + l.dir, "TMPDIR=" + l.dir, "LC_ALL=C",
		"XDG_CONFIG_HOME=" + l.path("config"), "XDG_STATE_HOME=" + l.path("state"), "XDG_RUNTIME_DIR=" + l.path("run"),
	}, more...)
}

// start runs a program until the lab closes.
func (l *lab) start(cmd *exec.Cmd, name string) (*child, error) {
	c, err := start(cmd, l.path(name+".log"))
	if err == nil {
		l.children = append(l.children, c)
	}
	return c, err
}

// say adds what the program called name had to say to err.
func (l *lab) say(err error, name string) error {
	log, _ := os.ReadFile(l.path(name + ".log"))
	return fmt.Errorf("%s: %w\n%s", name, err, log)
}

// A daemon is a running kyc-agentd.
type daemon struct {
	*child
	lab    *lab
	socket string
}

// newDaemon starts kyc-agentd and waits until it is ready. name tells its files
// apart from another one's.
func (l *lab) newDaemon(ctx context.Context, name, store string) (*daemon, error) {
	config := l.path(name + ".toml")
	if err := os.WriteFile(config, []byte(l.config()), 0o600); err != nil {
		return nil, err
	}
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: l.path(name + ".notify"), Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	defer notify.Close()
	defer os.Remove(l.path(name + ".notify"))

	d := &daemon{lab: l, socket: l.path(name + "/agent.sock")}
	cmd := exec.CommandContext(ctx, l.path("bin/kyc-agentd"), "serve", "--store", store, "--socket", d.socket, "--config", config)
	cmd.Env = l.environ("NOTIFY_SOCKET=" + l.path(name+".notify"))
	if d.child, err = l.start(cmd, name); err != nil {
		return nil, err
	}
	if err := d.awaitReady(notify); err != nil {
		return nil, l.say(err, name)
	}
	return d, nil
}

// config is a config.toml for the lab's pools.
func (l *lab) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, "store_key_file = %q\n", l.keyFile)
	for name, pool := range map[string]*cognitotest.Server{"staging": l.staging, "prod": l.prod} {
		fmt.Fprintf(&b, "[environments.%s]\nregion = %q\nuser_pool_id = %q\nclient_id = %q\napi_url = %q\nendpoint = %q\n",
			name, pool.Region, pool.PoolID, pool.ClientID, cmp.Or(l.apiURL, "https://"+name+".invalid"), pool.URL)
	}
	return b.String()
}

// login signs in to environment as a person would.
func (d *daemon) login(ctx context.Context, environment string) error {
	cmd := exec.CommandContext(ctx, d.lab.path("bin/kyc-agentd"),
		"login", environment, "-u", user, "--password-stdin", "--socket", d.socket)
	cmd.Env = d.lab.environ()
	cmd.Stdin = strings.NewReader(password + "\n")
	_, err := output(cmd)
	return err
}

// token runs kyc-token.
func (d *daemon) token(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, d.lab.path("bin/kyc-token"), append([]string{"-socket", d.socket}, args...)...)
	cmd.Env = d.lab.environ()
	out, err := output(cmd)
	return string(out), err
}
