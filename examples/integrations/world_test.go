package integrations_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent/awscreds/awstest"
	"github.com/legaltalent/kyc-agent/examples/internal/stage"
	"github.com/legaltalent/kyc-agent/examples/kycapi"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// patience is how long one section's lines may take together.
const patience = 2 * time.Minute

// A world is a stage whose API is served over https, for tools as they are set up by
// the document.
type world struct {
	*stage.Stage
	token  string // the program kyc-token
	links  string // a folder on PATH, with kyc-token's other names
	aws    *awstest.Server
	remote string // a folder that stands for /run/user/1000 of another machine
}

// newWorld makes one. Nobody is signed in.
func newWorld(t *testing.T) *world {
	t.Helper()
	testpeer.Slow(t)
	bin := filepath.Dir(testpeer.Build(t, "kyc-agentd"))
	token := testpeer.Build(t, "kyc-token")
	w := &world{token: token, links: t.TempDir(), remote: shortDir(t)}
	for _, name := range []string{"git-credential-kyc", "terraform-credentials-kyc", "goauth-kyc"} {
		link(t, token, filepath.Join(w.links, name))
	}
	setup := stage.Setup{Bin: w.links + string(filepath.ListSeparator) + bin, TLS: true, Env: func(s *stage.Stage) []string {
		serveTools(t, s)
		w.aws = awstest.New(awstest.UserPool{Issuer: s.Pool.Issuer(), JWKS: s.Pool.JWKSURL(), ClientID: s.Pool.ClientID})
		t.Cleanup(w.aws.Close)
		return []string{
			"XDG_CONFIG_HOME=" + configured(t), "KYC_STAGING_IDENTITY_POOL_ID=" + w.aws.IdentityPoolID, "KYC_STAGING_AWS_ENDPOINT=" + w.aws.URL,
			"AWS_ENDPOINT_URL=" + w.aws.URL, "AWS_DATA_PATH=" + endpoints(t, w.aws.URL), "AWS_EC2_METADATA_DISABLED=true",
		}
	}}
	var err error
	if w.Stage, err = setup.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// configured is a configuration folder with what the document has in config.toml.
func configured(t *testing.T) string {
	t.Helper()
	var keys, tables string // a key after a table would be the table's
	for _, s := range readDocument(t) {
		for _, b := range s.blocks {
			switch {
			case b.lang != "toml" || b.file != "":
			case strings.HasPrefix(b.text, "["):
				tables += b.text
			default:
				keys += b.text
			}
		}
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "kyc-agent", "config.toml"), keys+tables)
	return dir
}

// endpoints has botocore find STS at url. It learned of AWS_ENDPOINT_URL in 2023, and
// Debian's is older, but every one reads a service's rules from AWS_DATA_PATH first.
func endpoints(t *testing.T, url string) (dir string) {
	t.Helper()
	parameters := []string{}
	for name, kind := range map[string]string{
		"Region": "String", "Endpoint": "String", "UseFIPS": "Boolean", "UseDualStack": "Boolean", "UseGlobalEndpoint": "Boolean",
	} {
		parameters = append(parameters, fmt.Sprintf(`%q: {"type": %q, "required": false, "documentation": ""}`, name, kind))
	}
	dir = t.TempDir()
	write(t, filepath.Join(dir, "sts", "2011-06-15", "endpoint-rule-set-1.json"), fmt.Sprintf(
		`{"version": "1.0", "parameters": {%s}, "rules": [{"type": "endpoint", "conditions": [], "endpoint": {"url": %q, "properties": {}, "headers": {}}}]}`,
		strings.Join(parameters, ", "), url))
	return dir
}

// shortDir is for a socket, whose path has at most 107 bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kyc-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// path is the PATH of the stage's commands.
func (w *world) path() string {
	path, _ := strings.CutPrefix(w.Env[0], "PATH=")
	return path
}

// address rewrites the document's text for this world, and that is all that differs
// from what a person pastes: where the API is.
func (w *world) address(text string) string {
	host := strings.TrimPrefix(w.APIURL, "https://")
	run, _ := strings.CutPrefix(w.Env[2], "XDG_RUNTIME_DIR=")
	return strings.NewReplacer(
		"stg.kyc.legaltalent.ai", host,
		"/etc/ssl/certs/kyc-ca.pem", w.CAFile,
		"/run/user/1000/kyc-agentd", filepath.Join(run, "kyc-agentd"),
		"/run/user/1000", w.remote,
		"arn:aws:iam::123456789012:role/kyc", w.aws.RoleARN,
		"/usr/bin/kyc-token", w.token,
	).Replace(text)
}

// A result is how a section's lines ended.
type result struct {
	code           int
	stdout, stderr string
	calls          []kycapi.Call // what the API saw meanwhile
}

// do runs the shell blocks of s in one shell, in a folder with the section's files,
// those of the kit, and nothing else.
func (w *world) do(t *testing.T, s section, k kit) result {
	t.Helper()
	dir := t.TempDir()
	for name, path := range k.files {
		link(t, path, filepath.Join(dir, name))
	}
	var script strings.Builder
	script.WriteString("set -euo pipefail\n")
	for _, b := range s.blocks {
		switch {
		case b.file != "":
			path := filepath.Join(dir, b.file)
			if after, ok := strings.CutPrefix(b.file, "~/"); ok {
				path = filepath.Join(dir, after)
			}
			write(t, path, w.address(b.text))
		case b.shell():
			script.WriteString(w.address(b.text))
		}
	}
	write(t, filepath.Join(dir, "body.json"), `{"name":"Ivan Exampletov"}`)
	return w.shell(t, dir, script.String(), k)
}

func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// shell runs script in dir, which is its home too.
func (w *world) shell(t *testing.T, dir, script string, k kit) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := w.Command(ctx, "bash", "-c", script)
	cmd.Dir = dir
	cmd.Env = slices.Concat(cmd.Env, []string{"HOME=" + dir, "TERM=dumb", "PATH=" + k.path(t) + w.path()}, k.env)
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	before := len(w.API.Calls())
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String(), w.API.Calls()[before:]}
}

// good counts the calls that were answered 200 with a token of the user's.
func (r result) good() (n int) {
	for _, c := range r.calls {
		if c.Status == http.StatusOK && c.User == stage.User {
			n++
		}
	}
	return n
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\nstdout: %s\nstderr: %s\nthe API saw %+v", r.code, r.stdout, r.stderr, r.calls)
}
