// Package testenv sets up everything that the examples need on this machine: a simulated
// Cognito user pool, a KYC API that checks its tokens, and a kyc-agentd that is configured
// for both, with its own socket and home folder.
//
//	env, err := testenv.Start(ctx, bin)   // bin holds kyc-agentd and kyc-token
//	defer env.Close()
//	out, err := env.Command(ctx, "kyc-token").Output()
//
// [Options] configures more, such as an API over https. At first nobody is signed in;
// SignIn does that. All traffic stays on loopback.
package testenv

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/examples/kycapi"
)

// The user in the pool.
const (
	User     = "ana@example.com"
	Password = "Example-horse-7"
)

// An Env is a user pool, an API and a daemon, made by Start.
type Env struct {
	Pool    *cognitotest.Server
	API     *kycapi.API
	APIURL  string   // where API is served
	CAFile  string   // the certificate it is served with; empty without TLS
	Environ []string // the environment of commands; PATH begins with the product's binaries

	api    *httptest.Server
	dir    string
	daemon *daemon
}

// Start sets up an Env and returns when the daemon is ready. bin is the folder with the
// product's binaries.
func Start(ctx context.Context, bin string, opts ...cognitotest.Option) (*Env, error) {
	return Options{Bin: bin, Pool: opts}.Start(ctx)
}

// Options configures an Env.
type Options struct {
	Bin  string               // the folder with the product's binaries
	Pool []cognitotest.Option // for the user pool
	// TLS is whether the API is served over https, with a certificate that commands trust.
	TLS bool
	// Environ returns additional variables for the environment of the daemon and of
	// commands. It is called when the pool and the API run, and before the daemon starts.
	// Nil adds nothing.
	Environ func(*Env) []string
}

// Start sets up an Env with these options and returns when the daemon is ready.
func (o Options) Start(ctx context.Context) (*Env, error) {
	dir, err := os.MkdirTemp("", "kyc-testenv-")
	if err != nil {
		return nil, err
	}
	pool := cognitotest.New(o.Pool...)
	pool.AddUser(cognitotest.User{Name: User, Password: Password})
	api := kycapi.New(kycapi.Pool{Issuer: pool.Issuer(), JWKSURL: pool.JWKSURL(), ClientID: pool.ClientID})
	e := &Env{Pool: pool, API: api, dir: dir}
	e.serveAPI(o.TLS)
	e.Environ = e.environment(o.Bin)
	if o.TLS {
		err = e.trust()
	}
	if o.Environ != nil {
		e.Environ = append(e.Environ, o.Environ(e)...)
	}
	if err == nil {
		err = e.startDaemon(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func (e *Env) serveAPI(secure bool) {
	e.api = httptest.NewUnstartedServer(e.API)
	e.api.Config.ErrorLog = log.New(io.Discard, "", 0) // a client that does not trust the certificate disconnects
	if secure {
		e.api.StartTLS()
	} else {
		e.api.Start()
	}
	e.APIURL = e.api.URL
}

// trust makes every command trust the API's certificate. Each library that checks
// certificates has another variable for that.
func (e *Env) trust() error {
	e.CAFile = filepath.Join(e.dir, "ca.pem")
	for _, name := range []string{
		"SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "AWS_CA_BUNDLE",
	} {
		e.Environ = append(e.Environ, name+"="+e.CAFile)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.api.Certificate().Raw})
	return os.WriteFile(e.CAFile, cert, 0o600)
}

// environment returns only the variables that are needed. The commands see none of the
// caller's: no proxy, no socket of another agent, no keyring.
func (e *Env) environment(bin string) []string {
	return []string{
		"PATH=" + bin + string(filepath.ListSeparator) + os.Getenv("PATH"),
		"HOME=" + e.dir,
		"XDG_RUNTIME_DIR=" + filepath.Join(e.dir, "run"),
		"LANG=C.UTF-8",
		"KYC_STAGING_REGION=" + e.Pool.Region,
		"KYC_STAGING_USER_POOL_ID=" + e.Pool.PoolID,
		"KYC_STAGING_CLIENT_ID=" + e.Pool.ClientID,
		"KYC_STAGING_ENDPOINT=" + e.Pool.URL,
		"KYC_STAGING_API_URL=" + e.APIURL,
		"API_URL=" + e.APIURL, // for the curl examples
	}
}

func (e *Env) startDaemon(ctx context.Context) error {
	run := filepath.Join(e.dir, "run")
	if err := os.Mkdir(run, 0o700); err != nil {
		return err
	}
	cmd := e.Command(ctx, "kyc-agentd", "serve", "--store", "memory")
	d, err := startDaemon(ctx, cmd, filepath.Join(run, "notify.sock"))
	e.daemon = d
	return err
}

// Command returns a command with the environment Environ. A name without a slash is
// looked up in that environment's PATH. The working folder is the caller's.
func (e *Env) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, e.lookPath(name), args...)
	cmd.Args[0] = name
	cmd.Env = e.Environ
	return cmd
}

// lookPath is exec.LookPath for Environ's PATH; os/exec searches the caller's.
func (e *Env) lookPath(name string) string {
	path, _ := strings.CutPrefix(e.Environ[0], "PATH=")
	for _, dir := range filepath.SplitList(path) {
		if file, err := exec.LookPath(filepath.Join(dir, name)); err == nil && !strings.Contains(name, "/") {
			return file
		}
	}
	return name
}

// SignIn signs User in to staging, as a script does it.
func (e *Env) SignIn(ctx context.Context) error {
	cmd := e.Command(ctx, "kyc-agentd", "login", "staging", "-u", User, "--password-stdin")
	cmd.Stdin = strings.NewReader(Password + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kyc-agentd login: %w\n%s", err, out)
	}
	return nil
}

// Log returns what the daemon logged. Call it after Close.
func (e *Env) Log() string { return e.daemon.log.String() }

// Close stops the daemon and the servers and removes their files. It returns an error
// unless the daemon ended on SIGTERM with exit code 0.
func (e *Env) Close() error {
	err := e.daemon.stop()
	e.api.Close()
	e.Pool.Close()
	return errors.Join(err, os.RemoveAll(e.dir))
}
