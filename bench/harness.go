package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
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

// A harness has what the parts share: a folder, the binaries as shipped, and a simulated
// user pool for each environment.
type harness struct {
	root     string // of the module
	dir      string
	keyFile  string
	staging  *cognitotest.Server
	prod     *cognitotest.Server
	apiURL   string // of the environments; empty means one that does not exist
	apiRate  string // of the environments; empty means none
	children []*child
	cleanup  []func()
}

// moduleRoot returns the folder with go.mod.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := output(exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}"))
	return strings.TrimSpace(string(out)), err
}

func newHarness(ctx context.Context, root string) (*harness, error) {
	dir, err := os.MkdirTemp("", "kyc-bench-")
	if err != nil {
		return nil, err
	}
	h := &harness{root: root, dir: dir, keyFile: filepath.Join(dir, "store.key"), staging: newPool(), prod: newPool()}
	if err := h.prepare(ctx); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

// prepare makes the programs and the key of the file store.
func (h *harness) prepare(ctx context.Context) error {
	for _, name := range []string{"kyc-agentd", "kyc-token"} {
		if err := h.install(ctx, h.root, name, "./cmd/"+name); err != nil {
			return err
		}
	}
	_, err := output(exec.CommandContext(ctx, h.path("bin/kyc-agentd"), "keygen", h.keyFile))
	return err
}

// install builds a program and copies it into bin.
func (h *harness) install(ctx context.Context, dir, name, pkg string) error {
	built := h.path("built")
	if _, err := output(goBuild(ctx, dir, built, pkg)); err != nil {
		return err
	}
	return h.copyProgram(built, name)
}

// copyProgram copies a program into bin in pieces of 32 KiB, as package managers do. How a program
// was written decides on how it lies in the page cache, and programs that are compared should lie
// alike: what the linker has mapped is in single pages, and starts a twentieth later; what was
// written in one piece may be in huge pages, with which kyc-agentd was a fifteenth slower in a
// virtual machine.
func (h *harness) copyProgram(from, name string) error {
	if err := os.MkdirAll(h.path("bin"), 0o700); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(h.path("bin/"+name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(struct{ io.Writer }{out}, struct{ io.Reader }{in}) // or the kernel would copy it as it likes
	return errors.Join(err, out.Close())
}

func newPool() *cognitotest.Server {
	s := cognitotest.New()
	s.AddUser(cognitotest.User{Name: user, Password: password})
	return s
}

const strippedFlags = "-ldflags=-s -w -buildid="

// goBuild builds as the Makefile does.
func goBuild(ctx context.Context, dir, out, pkg string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-buildmode=exe", strippedFlags, "-o", out, pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	return cmd
}

// close ends everything that the harness has started.
func (h *harness) close() {
	for _, f := range h.cleanup {
		f()
	}
	for _, c := range h.children {
		c.stop()
	}
	h.staging.Close()
	h.prod.Close()
	_ = os.RemoveAll(h.dir)
}

func (h *harness) path(name string) string { return filepath.Join(h.dir, name) }

// environ returns the environment of every program, without this user's variables.
func (h *harness) environ(more ...string) []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir, "TMPDIR=" + h.dir, "LC_ALL=C",
		"XDG_CONFIG_HOME=" + h.path("config"), "XDG_STATE_HOME=" + h.path("state"), "XDG_RUNTIME_DIR=" + h.path("run"),
	}, more...)
}

// start runs a program until the harness is closed.
func (h *harness) start(cmd *exec.Cmd, name string) (*child, error) {
	c, err := start(cmd, h.path(name+".log"))
	if err == nil {
		h.children = append(h.children, c)
	}
	return c, err
}

// startServer runs a server until the harness is closed, and waits until it listens on socket.
func (h *harness) startServer(ctx context.Context, cmd *exec.Cmd, name, socket string) error {
	c, err := h.start(cmd, name)
	if err != nil {
		return err
	}
	if err := c.awaitSocket(ctx, socket); err != nil {
		return h.withLog(err, name)
	}
	return nil
}

// withLog adds the log of the program called name to err.
func (h *harness) withLog(err error, name string) error {
	log, _ := os.ReadFile(h.path(name + ".log"))
	return fmt.Errorf("%s: %w\n%s", name, err, log)
}

// A daemon is a running kyc-agentd.
type daemon struct {
	process *child
	harness *harness
	socket  string
}

// newDaemon starts kyc-agentd and waits until it is ready. name begins the names of its
// files.
func (h *harness) newDaemon(ctx context.Context, name, store string) (*daemon, error) {
	return h.newDaemonWith(ctx, name, store, "")
}

// newDaemonWith does so with more keys in its config.toml, and a state folder of its own.
func (h *harness) newDaemonWith(ctx context.Context, name, store, keys string) (*daemon, error) {
	config := h.path(name + ".toml")
	if err := os.WriteFile(config, []byte(keys+h.config()), 0o600); err != nil {
		return nil, err
	}
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: h.path(name + ".notify"), Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	defer notify.Close()
	defer os.Remove(h.path(name + ".notify"))

	d := &daemon{harness: h, socket: h.path(name + "/agent.sock")}
	cmd := exec.CommandContext(ctx, h.path("bin/kyc-agentd"), "serve", "--store", store, "--socket", d.socket, "--config", config)
	cmd.Env = h.environ("NOTIFY_SOCKET="+h.path(name+".notify"), "XDG_STATE_HOME="+h.path(name+".state"))
	if d.process, err = h.start(cmd, name); err != nil {
		return nil, err
	}
	if err := d.process.awaitReady(notify); err != nil {
		return nil, h.withLog(err, name)
	}
	return d, nil
}

// config returns a config.toml for the user pools of the harness.
func (h *harness) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, "store_key_file = %q\n", h.keyFile)
	for name, pool := range map[string]*cognitotest.Server{"staging": h.staging, "prod": h.prod} {
		fmt.Fprintf(&b, "[environments.%s]\nregion = %q\nuser_pool_id = %q\nclient_id = %q\napi_url = %q\nendpoint = %q\n",
			name, pool.Region, pool.PoolID, pool.ClientID, cmp.Or(h.apiURL, "https://"+name+".invalid"), pool.URL)
		if h.apiRate != "" {
			fmt.Fprintf(&b, "api_rate = %q\n", h.apiRate)
		}
	}
	fmt.Fprintf(&b, "[[sockets]]\nname = %q\nenvironments = [\"staging\"]\nallow = [\"api\"]\nmethods = [\"POST\"]\npaths = [\"/kyc\"]\n", policySocket)
	return b.String()
}

// policySocket is the socket that forwards apiRequest and nothing else.
const policySocket = "bench"

// login signs in to environment as a person would.
func (d *daemon) login(ctx context.Context, environment string) error {
	cmd := exec.CommandContext(ctx, d.harness.path("bin/kyc-agentd"),
		"login", environment, "-u", user, "--password-stdin", "--socket", d.socket)
	cmd.Env = d.harness.environ()
	cmd.Stdin = strings.NewReader(password + "\n")
	_, err := output(cmd)
	return err
}

// token runs kyc-token.
func (d *daemon) token(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, d.harness.path("bin/kyc-token"), append([]string{"-socket", d.socket}, args...)...)
	cmd.Env = d.harness.environ()
	out, err := output(cmd)
	return string(out), err
}
