// Package stage sets up everything the examples need, on this machine alone: a
// Cognito user pool, a KYC API that checks its tokens, and a kyc-agentd that is
// configured for both, on a socket and in a home folder of its own.
//
//	s, err := stage.Start(ctx, bin)   // bin holds kyc-agentd and kyc-token
//	defer s.Close()
//	out, err := s.Command(ctx, "kyc-token").Output()
//
// [Setup] is for more than that: an API over https, say. Nobody is signed in yet;
// SignIn does that. All traffic stays on the loopback.
package stage

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

// A Stage is what Start made.
type Stage struct {
	Pool   *cognitotest.Server
	API    *kycapi.API
	APIURL string   // where API is served
	CAFile string   // the certificate it is served with; empty without TLS
	Env    []string // what commands get; PATH begins with the product's binaries

	api    *httptest.Server
	dir    string
	daemon *daemon
}

// Start sets the stage up and returns when the daemon serves. bin is the folder of
// the product's binaries.
func Start(ctx context.Context, bin string, opts ...cognitotest.Option) (*Stage, error) {
	return Setup{Bin: bin, Pool: opts}.Start(ctx)
}

// A Setup says what a stage is made of.
type Setup struct {
	Bin  string               // the folder of the product's binaries
	Pool []cognitotest.Option // the user pool's
	// TLS has the API served over https, with a certificate that commands trust.
	TLS bool
	// Env returns more of the commands' environment, which is the daemon's too. It is
	// called when the pool and the API are there, and before the daemon is. nil adds
	// nothing.
	Env func(*Stage) []string
}

// Start is the function Start, of this setup.
func (o Setup) Start(ctx context.Context) (*Stage, error) {
	dir, err := os.MkdirTemp("", "kyc-stage-")
	if err != nil {
		return nil, err
	}
	pool := cognitotest.New(o.Pool...)
	pool.AddUser(cognitotest.User{Name: User, Password: Password})
	api := kycapi.New(kycapi.Pool{Issuer: pool.Issuer(), JWKSURL: pool.JWKSURL(), ClientID: pool.ClientID})
	s := &Stage{Pool: pool, API: api, dir: dir}
	s.serveAPI(o.TLS)
	s.Env = s.environment(o.Bin)
	if o.TLS {
		err = s.trust()
	}
	if o.Env != nil {
		s.Env = append(s.Env, o.Env(s)...)
	}
	if err == nil {
		err = s.startDaemon(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Stage) serveAPI(secure bool) {
	s.api = httptest.NewUnstartedServer(s.API)
	s.api.Config.ErrorLog = log.New(io.Discard, "", 0) // some clients try a certificate first, and hang up
	if secure {
		s.api.StartTLS()
	} else {
		s.api.Start()
	}
	s.APIURL = s.api.URL
}

// trust has every command trust the API's certificate. There is one variable for
// each library that checks certificates.
func (s *Stage) trust() error {
	s.CAFile = filepath.Join(s.dir, "ca.pem")
	for _, name := range []string{
		"SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "AWS_CA_BUNDLE",
	} {
		s.Env = append(s.Env, name+"="+s.CAFile)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.api.Certificate().Raw})
	return os.WriteFile(s.CAFile, cert, 0o600)
}

// environment is the bare minimum, so that nothing of the caller's reaches the
// commands: no proxy, no other agent's socket, no keyring.
func (s *Stage) environment(bin string) []string {
	return []string{
		"PATH=" + bin + string(filepath.ListSeparator) + os.Getenv("PATH"),
		"HOME=" + s.dir,
		"XDG_RUNTIME_DIR=" + filepath.Join(s.dir, "run"),
		"LANG=C.UTF-8",
		"KYC_STAGING_REGION=" + s.Pool.Region,
		"KYC_STAGING_USER_POOL_ID=" + s.Pool.PoolID,
		"KYC_STAGING_CLIENT_ID=" + s.Pool.ClientID,
		"KYC_STAGING_ENDPOINT=" + s.Pool.URL,
		"KYC_STAGING_API_URL=" + s.APIURL,
		"API_URL=" + s.APIURL, // for the curl examples
	}
}

func (s *Stage) startDaemon(ctx context.Context) error {
	run := filepath.Join(s.dir, "run")
	if err := os.Mkdir(run, 0o700); err != nil {
		return err
	}
	cmd := s.Command(ctx, "kyc-agentd", "serve", "--store", "memory")
	d, err := startDaemon(ctx, cmd, filepath.Join(run, "notify.sock"))
	s.daemon = d
	return err
}

// Command prepares a command that sees the stage and nothing else of the caller's.
// A name without a slash is looked up in the stage's PATH. Its working folder is
// the caller's.
func (s *Stage) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.lookPath(name), args...)
	cmd.Args[0] = name
	cmd.Env = s.Env
	return cmd
}

// lookPath is exec.LookPath in the stage's own PATH: os/exec looks in the caller's.
func (s *Stage) lookPath(name string) string {
	path, _ := strings.CutPrefix(s.Env[0], "PATH=")
	for _, dir := range filepath.SplitList(path) {
		if file, err := exec.LookPath(filepath.Join(dir, name)); err == nil && !strings.Contains(name, "/") {
			return file
		}
	}
	return name
}

// SignIn signs User in to staging, the way a script does it.
func (s *Stage) SignIn(ctx context.Context) error {
	cmd := s.Command(ctx, "kyc-agentd", "login", "staging", "-u", User, "--password-stdin")
	cmd.Stdin = strings.NewReader(Password + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kyc-agentd login: %w\n%s", err, out)
	}
	return nil
}

// Log returns what the daemon logged. Call it after Close.
func (s *Stage) Log() string { return s.daemon.log.String() }

// Close stops the daemon and the servers and removes every file of theirs. It
// returns an error when the daemon did not end by itself.
func (s *Stage) Close() error {
	err := s.daemon.stop()
	s.api.Close()
	s.Pool.Close()
	return errors.Join(err, os.RemoveAll(s.dir))
}
