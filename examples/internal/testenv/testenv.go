// Package testenv sets up everything the examples need, on this machine alone: a
// Cognito user pool, a KYC API that checks its tokens, and a kyc-agentd that is
// configured for both, on a socket and in a home folder of its own.
//
//	env, err := testenv.Start(ctx, bin)   // bin holds kyc-agentd and kyc-token
//	defer e.Close()
//	out, err := e.Command(ctx, "kyc-token").Output()
//
// [Options] is for more than that: an API over https, say. Nobody is signed in yet;
// SignIn does that. All traffic stays on the loopback.
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

// The user of the pool.
const (
	User     = "ana@example.com"
	Password = "Correct-horse-7"
)

// An Env is what Start made.
type Env struct {
	Pool    *cognitotest.Server
	API     *kycapi.API
	APIURL  string   // where API is served
	CAFile  string   // the certificate it is served with; empty without TLS
	Environ []string // what commands get; PATH begins with the product's binaries

	api    *httptest.Server
	dir    string
	daemon *daemon
}

// Start sets the stage up and returns when the daemon serves. bin is the folder of
// the product's binaries.
func Start(ctx context.Context, bin string, opts ...cognitotest.Option) (*Env, error) {
	return Options{Bin: bin, Pool: opts}.Start(ctx)
}

// An Options says what a stage is made of.
type Options struct {
	Bin  string               // the folder of the product's binaries
	Pool []cognitotest.Option // the user pool's
	// TLS has the API served over https, with a certificate that commands trust.
	TLS bool
	// Environ returns more of the commands' environment, which is the daemon's too. It is
	// called when the pool and the API are there, and before the daemon is. nil adds
	// nothing.
	Environ func(*Env) []string
}

// Start is the function Start, of this setup.
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
	e.api.Config.ErrorLog = log.New(io.Discard, "", 0) // some clients try a certificate first, and hang up
	if secure {
		e.api.StartTLS()
	} else {
		e.api.Start()
	}
	e.APIURL = e.api.URL
}

// trust has every command trust the API's certificate. There is one variable for
// each library that checks certificates.
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

// environment is the bare minimum, so that nothing of the caller's reaches the
// commands: no proxy, no other agent's socket, no keyring.
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

// Command prepares a command that sees the stage and nothing else of the caller's.
// A name without a slash is looked up in the stage's PATH. Its working folder is
// the caller's.
func (e *Env) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, e.lookPath(name), args...)
	cmd.Args[0] = name
	cmd.Env = e.Environ
	return cmd
}

// lookPath is exec.LookPath in the stage's own PATH: os/exec looks in the caller's.
func (e *Env) lookPath(name string) string {
	path, _ := strings.CutPrefix(e.Environ[0], "PATH=")
	for _, dir := range filepath.SplitList(path) {
		if file, err := exec.LookPath(filepath.Join(dir, name)); err == nil && !strings.Contains(name, "/") {
			return file
		}
	}
	return name
}

// SignIn signs User in to staging, the way a script does it.
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

// Close stops the daemon and the servers and removes every file of theirs. It
// returns an error when the daemon did not end by itself.
func (e *Env) Close() error {
	err := e.daemon.stop()
	e.api.Close()
	e.Pool.Close()
	return errors.Join(err, os.RemoveAll(e.dir))
}
