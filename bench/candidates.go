package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
)

// The names in the table.
const (
	nameTrue  = "/bin/true"
	nameGo    = "an empty Go program"
	nameC     = "the same request in C, static"
	nameFloor = "the same request in Go, raw system calls"
	nameToken = "kyc-token, cached token"
	nameSSH   = "ssh-add -l, one ed25519 key"
	nameGit   = "git credential-cache get"
	nameOIDC  = "oidc-token, cached access token"
)

const emptyGo = "package main\n\nfunc main() {}\n"

//go:embed testdata/client.c
var clientC []byte

//go:embed testdata/floor.go
var floorGo []byte

// candidates sets up kyc-token and the programs that it is compared with. For a peer that
// is not installed it adds a note to s.
func (h *harness) candidates(ctx context.Context, d *daemon, token string, s *section) ([]*candidate, error) {
	var all []*candidate
	for _, entry := range []struct {
		name string
		peer bool // may not be installed
		make func(context.Context) (*candidate, error)
	}{
		{nameTrue, false, h.trueProgram},
		{nameC, true, func(ctx context.Context) (*candidate, error) { return h.clientC(ctx, d, token) }},
		{nameGo, false, h.emptyGo},
		{nameFloor, false, func(ctx context.Context) (*candidate, error) { return h.floor(ctx, d, token) }},
		{nameToken, false, func(context.Context) (*candidate, error) { return h.kycToken(d, token), nil }},
		{nameOIDC, true, h.oidcToken},
		{nameGit, true, h.gitCache},
		{nameSSH, true, h.sshAdd},
	} {
		c, err := entry.make(ctx)
		switch {
		case err == nil:
			c.name = entry.name
			all = append(all, c)
		case entry.peer:
			s.skip(entry.name, err)
		default:
			return nil, err
		}
	}
	return all, nil
}

func (h *harness) kycToken(d *daemon, token string) *candidate {
	return &candidate{argv: []string{h.path("bin/kyc-token"), "-socket", d.socket, "staging"}, env: h.environ(), want: token}
}

func (h *harness) trueProgram(context.Context) (*candidate, error) {
	path, err := exec.LookPath("true")
	return &candidate{argv: []string{path}, env: h.environ()}, err
}

// emptyGo is the lower bound for any Go program.
func (h *harness) emptyGo(ctx context.Context) (*candidate, error) {
	bin, err := h.goProgram(ctx, "empty", []byte(emptyGo))
	return &candidate{name: nameGo, argv: []string{bin}, env: h.environ()}, err
}

// floor is the lower bound for a client in Go.
func (h *harness) floor(ctx context.Context, d *daemon, token string) (*candidate, error) {
	bin, err := h.goProgram(ctx, "floor", floorGo)
	return &candidate{argv: []string{bin, d.socket}, env: h.environ(), want: token}, err
}

// goProgram builds a program of one file and returns its path.
func (h *harness) goProgram(ctx context.Context, name string, source []byte) (string, error) {
	if err := os.MkdirAll(h.path(name), 0o700); err != nil {
		return "", err
	}
	if err := os.WriteFile(h.path(name+"/main.go"), source, 0o600); err != nil {
		return "", err
	}
	return h.path("bin/" + name), h.install(ctx, h.path(name), name, "main.go")
}

// clientC is the lower bound for any program: the same request without a runtime.
func (h *harness) clientC(ctx context.Context, d *daemon, token string) (*candidate, error) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(h.path("client.c"), clientC, 0o600); err != nil {
		return nil, err
	}
	bin := h.path("bin/client")
	_, err = output(exec.CommandContext(ctx, gcc, "-O2", "-static", "-s", "-o", bin, h.path("client.c")))
	return &candidate{argv: []string{bin, d.socket}, env: h.environ(), want: token}, err
}

// sshAdd lists the one key of an ssh-agent that it starts.
func (h *harness) sshAdd(ctx context.Context) (*candidate, error) {
	agent, add, err := lookPaths("ssh-agent", "ssh-add")
	if err != nil {
		return nil, err
	}
	socket, key := h.path("ssh.sock"), h.path("id_ed25519")
	keygen := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", key)
	if _, err := output(keygen); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, agent, "-D", "-a", socket)
	cmd.Env = h.environ()
	c, err := h.start(cmd, "ssh-agent")
	if err != nil {
		return nil, err
	}
	if err := c.awaitSocket(ctx, socket); err != nil {
		return nil, h.withLog(err, "ssh-agent")
	}
	env := h.environ("SSH_AUTH_SOCK=" + socket)
	load := exec.CommandContext(ctx, add, "-q", key)
	load.Env = env
	_, err = output(load)
	return &candidate{argv: []string{add, "-l"}, env: env, want: "ED25519"}, err
}

// gitCache asks a credential cache, which git itself starts.
func (h *harness) gitCache(ctx context.Context) (*candidate, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, err
	}
	// git refuses a folder that other users can enter.
	if err := os.Mkdir(h.path("git"), 0o700); err != nil {
		return nil, err
	}
	socket, ask := h.path("git/socket"), h.path("git/ask")
	const question = "protocol=https\nhost=git.invalid\n"
	if err := os.WriteFile(ask, []byte(question+"\n"), 0o600); err != nil {
		return nil, err
	}
	store := h.path("git/store")
	if err := os.WriteFile(store, []byte(question+"username=ada\npassword=opensesame\n\n"), 0o600); err != nil {
		return nil, err
	}
	cache := func(verb string) *candidate {
		return &candidate{argv: []string{git, "credential-cache", "--socket", socket, verb}, env: h.environ()}
	}
	put := cache("store")
	put.stdin = store
	if _, err := put.once(); err != nil {
		return nil, err
	}
	h.cleanup = append(h.cleanup, func() { _, _ = cache("exit").once() })
	get := cache("get")
	get.stdin, get.want = ask, "password=opensesame"
	_, err = get.once()
	return get, err
}

// lookPaths finds two programs of which both are needed.
func lookPaths(a, b string) (pathA, pathB string, err error) {
	if pathA, err = exec.LookPath(a); err == nil {
		pathB, err = exec.LookPath(b)
	}
	if err != nil {
		err = fmt.Errorf("not installed: %w", err)
	}
	return pathA, pathB, err
}
