package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/examples/internal/testenv"
)

// tokenLife is short, so that the demo can show an older token being replaced. At the
// real Cognito the minimum is 5 minutes.
const tokenLife = 30 * time.Second

// run runs the demo and prints it to out.
func run(ctx context.Context, out io.Writer) (err error) {
	bin, err := os.MkdirTemp("", "kyc-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bin)
	fmt.Fprintln(out, "Building kyc-agentd and kyc-token …")
	if err := build(ctx, bin); err != nil {
		return err
	}
	s, err := testenv.Start(ctx, bin, cognitotest.IDTokenLifetime(tokenLife))
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, s.Close()); err != nil {
			err = fmt.Errorf("%w; the agent logged:\n%s", err, s.Log())
		}
	}()
	fmt.Fprintf(out, "A simulated Cognito is at %s, a KYC API at %s, and kyc-agentd serve runs.\n", s.Pool.URL, s.APIURL)
	d := &demo{ctx: ctx, out: out, env: s}
	return d.show()
}

// build builds the binaries as they are shipped.
func build(ctx context.Context, bin string) error {
	for _, name := range []string{"kyc-agentd", "kyc-token"} {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildmode=exe", "-ldflags=-s -w",
			"-o", filepath.Join(bin, name), "github.com/legaltalent/kyc-agent/cmd/"+name)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	return nil
}

// A demo is one run of the demo in an environment.
type demo struct {
	ctx   context.Context
	out   io.Writer
	env   *testenv.Env
	steps int
}

func (d *demo) show() error {
	for _, step := range []func() error{
		d.login, d.token, d.listCheck, d.watchlist, d.refresh, d.status, d.logout,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	_, err := fmt.Fprint(d.out, "\nBoth API calls were answered 200.\n")
	return err
}

func (d *demo) login() error {
	d.step("Sign in, once. The agent keeps the refresh token, not the password.")
	const line = "kyc-agentd login staging -u " + testenv.User + " --password-stdin"
	_, err := d.typed(line, testenv.Password+"\n")
	return err
}

func (d *demo) token() error {
	d.step("Ask for an ID token, from anywhere: it needs no variable and asks no question.")
	_, err := d.typed("kyc-token", "")
	return err
}

func (d *demo) listCheck() error {
	d.step("Call the API: check a name. The token goes to curl in a pipe, not on its command line.")
	return d.call("/kyc", `{"subject": {"full_name": "Ivan Exampletov"}, "list_name": "ofac"}`)
}

func (d *demo) watchlist() error {
	d.step("Call the API: make a watchlist.")
	return d.call("/kyc/watchlists", `{"name": "My Watchlist", "lists_to_monitor": ["ofac", "un"]}`)
}

// call posts body to the API and fails unless the API answered 200.
func (d *demo) call(path, body string) error {
	url := d.env.APIURL + path
	err := d.curl(url, body)
	if err != nil {
		return err
	}
	calls := d.env.API.Calls()
	if last := calls[len(calls)-1]; last.Path != path || last.Status != 200 || last.User != testenv.User {
		return fmt.Errorf("the API answered %d to %s as %q, not 200", last.Status, last.Path, last.User)
	}
	return nil
}

func (d *demo) curl(url, body string) error {
	if !installed("curl") || !installed("bash") {
		return d.post(url, body)
	}
	_, err := d.typed("curl -sS -w 'HTTP %{http_code}\\n' --proto -all -K <(kyc-token -f curl) -H 'Content-Type: application/json' \\\n"+
		"      -d '"+body+"' "+url, "")
	return err
}

func (d *demo) refresh() error {
	const wait = 2 * time.Second
	const least = tokenLife - wait
	d.step(fmt.Sprintf("%s later: ask for a token that is valid for %s. The agent gets a new one from Cognito.", wait, least))
	before := d.env.Pool.Refreshes()
	select {
	case <-time.After(wait):
	case <-d.ctx.Done():
		return d.ctx.Err()
	}
	if _, err := d.typed("kyc-token -min-valid "+least.String(), ""); err != nil {
		return err
	}
	if n := d.env.Pool.Refreshes() - before; n != 1 {
		return fmt.Errorf("cognito saw %d refreshes, not 1", n)
	}
	return nil
}

func (d *demo) status() error {
	d.step("Look at the status of the agent.")
	_, err := d.typed("kyc-agentd status", "")
	return err
}

func (d *demo) logout() error {
	d.step("Sign out: the sign-in is revoked at Cognito and deleted here. kyc-token then says what to do (exit code 77).")
	if _, err := d.typed("kyc-agentd logout staging", ""); err != nil {
		return err
	}
	_, err := d.typed("kyc-token", "")
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 77 {
		return fmt.Errorf("kyc-token after the logout: want exit code 77, have: %v", err)
	}
	return nil
}

func (d *demo) step(title string) {
	d.steps++
	fmt.Fprintf(d.out, "\n%d. %s\n\n", d.steps, title)
}

// typed prints line, runs it, and prints and returns its output.
func (d *demo) typed(line, stdin string) (string, error) {
	fmt.Fprintf(d.out, "    $ %s\n", line)
	shell := "sh"
	if strings.Contains(line, "<(") {
		shell = "bash"
	}
	var out bytes.Buffer
	cmd := d.env.Command(d.ctx, shell, "-c", line)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &out
	err := cmd.Run()
	shown := shorten(strings.TrimRight(out.String(), "\n"))
	if shown != "" {
		fmt.Fprintf(d.out, "    %s\n", strings.ReplaceAll(shown, "\n", "\n    "))
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", line, err)
	}
	return out.String(), nil
}

var jwt = regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+`)

// shorten shortens tokens so that they can be distinguished but not used.
func shorten(s string) string {
	return jwt.ReplaceAllStringFunc(s, func(token string) string {
		return fmt.Sprintf("%s…%s (%d characters)", token[:8], token[len(token)-6:], len(token))
	})
}

func installed(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}
