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
	nameToken = "kyc-token, cached token"
	nameSSH   = "ssh-add -l, one ed25519 key"
	nameGit   = "git credential-cache get"
	nameOIDC  = "oidc-token, cached access token"
)

const emptyGo = "package main\n\nfunc main() {}\n"

//go:embed testdata/client.c
var clientC []byte

// contenders sets up everything that kyc-token is compared with. A peer that is not
// there is left out by name.
func (l *lab) contenders(ctx context.Context, d *daemon, token string, s *section) ([]*contender, error) {
	var all []*contender
	for _, entry := range []struct {
		name string
		peer bool // may be missing
		make func(context.Context) (*contender, error)
	}{
		{nameTrue, false, l.trueProgram},
		{nameC, true, func(ctx context.Context) (*contender, error) { return l.clientC(ctx, d, token) }},
		{nameGo, false, l.emptyGo},
		{nameToken, false, func(context.Context) (*contender, error) { return l.kycToken(d, token), nil }},
		{nameOIDC, true, l.oidcToken},
		{nameGit, true, l.gitCache},
		{nameSSH, true, l.sshAdd},
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

func (l *lab) kycToken(d *daemon, token string) *contender {
	return &contender{argv: []string{l.path("bin/kyc-token"), "-socket", d.socket, "staging"}, env: l.environ(), want: token}
}

func (l *lab) trueProgram(context.Context) (*contender, error) {
	path, err := exec.LookPath("true")
	return &contender{argv: []string{path}, env: l.environ()}, err
}

// emptyGo is the floor for any Go program.
func (l *lab) emptyGo(ctx context.Context) (*contender, error) {
	if err := os.Mkdir(l.path("empty"), 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(l.path("empty/main.go"), []byte(emptyGo), 0o600); err != nil {
		return nil, err
	}
	bin := l.path("bin/empty")
	_, err := output(goBuild(ctx, l.path("empty"), bin, "main.go"))
	return &contender{argv: []string{bin}, env: l.environ()}, err
}

// clientC is the floor for any program: the same request without a runtime.
func (l *lab) clientC(ctx context.Context, d *daemon, token string) (*contender, error) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(l.path("client.c"), clientC, 0o600); err != nil {
		return nil, err
	}
	bin := l.path("bin/client")
	_, err = output(exec.CommandContext(ctx, gcc, "-O2", "-static", "-s", "-o", bin, l.path("client.c")))
	return &contender{argv: []string{bin, d.socket}, env: l.environ(), want: token}, err
}

// sshAdd lists the one key of an ssh-agent of its own.
func (l *lab) sshAdd(ctx context.Context) (*contender, error) {
	agent, add, err := lookBoth("ssh-agent", "ssh-add")
	if err != nil {
		return nil, err
	}
	socket, key := l.path("ssh.sock"), l.path("id_ed25519")
	keygen := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", key)
	if _, err := output(keygen); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, agent, "-D", "-a", socket)
	cmd.Env = l.environ()
	c, err := l.start(cmd, "ssh-agent")
	if err != nil {
		return nil, err
	}
	if err := c.awaitSocket(ctx, socket); err != nil {
		return nil, l.say(err, "ssh-agent")
	}
	env := l.environ("SSH_AUTH_SOCK=" + socket)
	load := exec.CommandContext(ctx, add, "-q", key)
	load.Env = env
	_, err = output(load)
	return &contender{argv: []string{add, "-l"}, env: env, want: "ED25519"}, err
}

// gitCache asks a credential cache of its own, which git itself starts.
func (l *lab) gitCache(ctx context.Context) (*contender, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, err
	}
	// It insists on a folder that nobody else can enter.
	if err := os.Mkdir(l.path("git"), 0o700); err != nil {
		return nil, err
	}
	socket, ask := l.path("git/socket"), l.path("git/ask")
	const question = "protocol=https\nhost=git.invalid\n"
	if err := os.WriteFile(ask, []byte(question+"\n"), 0o600); err != nil {
		return nil, err
	}
	store := l.path("git/store")
	if err := os.WriteFile(store, []byte(question+"username=ada\npassword=opensesame\n\n"), 0o600); err != nil {
		return nil, err
	}
	cache := func(verb string) *contender {
		return &contender{argv: []string{git, "credential-cache", "--socket", socket, verb}, env: l.environ()}
	}
	put := cache("store")
	put.stdin = store
	if _, err := put.once(); err != nil {
		return nil, err
	}
	l.cleanup = append(l.cleanup, func() { _, _ = cache("exit").once() })
	get := cache("get")
	get.stdin, get.want = ask, "password=opensesame"
	_, err = get.once()
	return get, err
}

// lookBoth finds two programs that come together.
func lookBoth(a, b string) (pathA, pathB string, err error) {
	if pathA, err = exec.LookPath(a); err == nil {
		pathB, err = exec.LookPath(b)
	}
	if err != nil {
		err = fmt.Errorf("not installed: %w", err)
	}
	return pathA, pathB, err
}
