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
	"github.com/legaltalent/kyc-agent/examples/internal/testenv"
	"github.com/legaltalent/kyc-agent/examples/kycapi"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
)

// timeout is how long all lines of one section may take together.
const timeout = 2 * time.Minute

// An env is a testenv.Env with an API over https, for tools that are set up as the
// document says.
type env struct {
	base   *testenv.Env
	token  string // the program kyc-token
	links  string // a folder on PATH, with kyc-token's other names
	aws    *awstest.Server
	remote string // a folder in place of /run/user/1000 on another machine
}

// newEnv makes an env in which nobody is signed in.
func newEnv(t *testing.T) *env {
	t.Helper()
	testpeer.Slow(t)
	bin := filepath.Dir(testpeer.Build(t, "kyc-agentd"))
	token := testpeer.Build(t, "kyc-token")
	e := &env{token: token, links: t.TempDir(), remote: testsocket.ShortDir(t)}
	for _, name := range []string{"git-credential-kyc", "terraform-credentials-kyc", "goauth-kyc"} {
		link(t, token, filepath.Join(e.links, name))
	}
	options := testenv.Options{Bin: e.links + string(filepath.ListSeparator) + bin, TLS: true, Environ: func(s *testenv.Env) []string {
		serveTools(t, s)
		e.aws = awstest.New(awstest.UserPool{Issuer: s.Pool.Issuer(), JWKS: s.Pool.JWKSURL(), ClientID: s.Pool.ClientID})
		t.Cleanup(e.aws.Close)
		return []string{
			"XDG_CONFIG_HOME=" + configured(t), "KYC_STAGING_IDENTITY_POOL_ID=" + e.aws.IdentityPoolID, "KYC_STAGING_AWS_ENDPOINT=" + e.aws.URL,
			"AWS_ENDPOINT_URL=" + e.aws.URL, "AWS_DATA_PATH=" + endpoints(t, e.aws.URL), "AWS_EC2_METADATA_DISABLED=true",
		}
	}}
	var err error
	if e.base, err = options.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.base.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// configured makes a configuration folder. Its config.toml has all lines that the document
// has for that file.
func configured(t *testing.T) string {
	t.Helper()
	var keys, tables string // keys come first: a key after a table would belong to the table
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

// endpoints makes a folder for AWS_DATA_PATH with which botocore finds STS at url.
// botocore has AWS_ENDPOINT_URL only since 2023, and Debian's is older, but every version
// reads a service's rules from AWS_DATA_PATH first.
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

// path returns the PATH of the commands in e.
func (e *env) path() string {
	path, _ := strings.CutPrefix(e.base.Environ[0], "PATH=")
	return path
}

// localize replaces the addresses and paths in the document's text by those of e. Nothing
// else differs from what a person pastes, but the CA of the API here, for tools that take none from
// SSL_CERT_FILE.
func (e *env) localize(text string) string {
	host := strings.TrimPrefix(e.base.APIURL, "https://")
	run, _ := strings.CutPrefix(e.base.Environ[2], "XDG_RUNTIME_DIR=")
	return strings.NewReplacer(
		`{server: "https://stg.kyc.legaltalent.ai"}`, `{server: "https://`+host+`", certificate-authority: `+e.base.CAFile+`}`,
		"stg.kyc.legaltalent.ai", host,
		"        method: POST\n", "        method: POST\n        ca_path: "+e.base.CAFile+"\n", // Ansible's uri
		"/run/user/1000/kyc-agentd", filepath.Join(run, "kyc-agentd"),
		"/run/user/1000", e.remote,
		"arn:aws:iam::123456789012:role/kyc", e.aws.RoleARN,
		"/usr/bin/kyc-token", e.token,
	).Replace(text)
}

// A result is the exit code and the output of a section's lines.
type result struct {
	code           int
	stdout, stderr string
	calls          []kycapi.Call // the calls that the API got meanwhile
}

// runSection runs the shell blocks of s in one shell, in a folder with only the section's
// files and those of the toolset.
func (e *env) runSection(t *testing.T, s section, k toolset) result {
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
			write(t, path, e.localize(b.text))
		case b.shell():
			script.WriteString(e.localize(b.script()))
		}
	}
	write(t, filepath.Join(dir, "body.json"), `{"subject": {"full_name": "Ivan Exampletov"}, "list_name": "ofac"}`)
	return e.shell(t, dir, script.String(), k)
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
	if err := testpeer.WriteProgram(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// shell runs script in dir, which is also its HOME.
func (e *env) shell(t *testing.T, dir, script string, k toolset) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	cmd := e.base.Command(ctx, "bash", "-c", script)
	cmd.Dir = dir
	cmd.Env = slices.Concat(cmd.Env, []string{"HOME=" + dir, "TERM=dumb", "PATH=" + k.path(t) + e.path()}, k.env)
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	before := len(e.base.API.Calls())
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String(), e.base.API.Calls()[before:]}
}

// okCalls counts the calls that were answered 200 and had a token of the user.
func (r result) okCalls() (n int) {
	for _, c := range r.calls {
		if c.Status == http.StatusOK && c.User == testenv.User {
			n++
		}
	}
	return n
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\nstdout: %s\nstderr: %s\nthe API saw %+v", r.code, r.stdout, r.stderr, r.calls)
}
