// Package cognitolocal starts cognito-local, an independent emulator of Cognito, for tests.
//
// There is one call:
//
//	srv := cognitolocal.Start(t, cognitolocal.Options{
//		IDTokenLifetime: 10 * time.Second,
//		Users:           []cognitolocal.User{{Name: "ada", Password: "correct horse"}},
//	})
//
// cognito-local is an npm package, found by testpeer.Npm. If it is missing, the test is
// skipped, or fails if peers are required. It supports less than Cognito: no
// GetTokensFromRefreshToken (HTTP 500 "CognitoLocal#Unsupported"), no rotation and no SRP. For a
// wrong password it answers InvalidPasswordException, and it forgets the refresh token of a
// sign-in with a challenge at once. Package cognitotest supports the rest.
package cognitolocal

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testpeer/freeport"
)

// The names of the one pool and app client.
const (
	Region   = "us-east-2"
	PoolID   = "us-east-2_cognitolocal"
	ClientID = "cognitolocal0client"
)

// Code is the content of every code that it sends.
const Code = "123456"

// Options configures the pool.
type Options struct {
	// IDTokenLifetime is exp−iat of ID tokens, in whole seconds; 0 means an hour.
	IDTokenLifetime time.Duration
	Users           []User
}

// A User is an account of the pool.
type User struct {
	Name     string
	Password string
	Email    string // name@example.com when empty
	Phone    string
	// Status is Cognito's UserStatus: "CONFIRMED" when empty, "UNCONFIRMED",
	// "RESET_REQUIRED", "FORCE_CHANGE_PASSWORD".
	Status string
	// ConfirmationCode is the code that was sent for UNCONFIRMED and RESET_REQUIRED; Code
	// when empty.
	ConfirmationCode string
	// TOTPSecret, in base32, sets up an authenticator app.
	TOTPSecret string
	// MFA is UserMFASettingList. Supported are "SMS_MFA", which requires a Phone, and
	// "SOFTWARE_TOKEN_MFA", which a TOTPSecret adds. A user with only other types cannot
	// sign in.
	MFA []string
}

// Sub returns the user's `sub`.
func (u User) Sub() string { return "sub-of-" + u.Name }

// A Server is a running cognito-local.
type Server struct {
	URL      string // the API's endpoint: "http://127.0.0.1:41233"
	Region   string
	PoolID   string
	ClientID string

	process *exec.Cmd
	output  *output
}

// Issuer returns the iss of its tokens.
func (s *Server) Issuer() string { return s.URL + "/" + s.PoolID }

// PID returns the process id of the emulator.
func (s *Server) PID() int { return s.process.Process.Pid }

const readyTimeout = time.Minute // node starts slowly on a busy machine

// Start runs cognito-local on a free port of 127.0.0.1 until the test ends, and
// returns when it accepts calls.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	modules, node := testpeer.Npm(t)
	dir := t.TempDir()
	writeState(t, dir, o)
	s, err := start(t, modules, node, dir)
	if err != nil {
		t.Fatalf("cognito-local: %v", err)
	}
	t.Cleanup(func() { s.stop(t) })
	return s
}

// The emulator runs in a process that exits when its standard input is closed: a test that is
// killed leaves no emulator behind.
const watcher = `process.stdin.on("end", () => process.exit(0)).resume(); require(process.argv[1])`

func start(t testing.TB, modules, node, dir string) (*Server, error) {
	port, err := freeport.Find()
	if err != nil {
		return nil, err
	}
	script := filepath.Join(modules, "node_modules", "cognito-local", "lib", "bin", "start.js")
	cmd := exec.Command(node, "-e", watcher, script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOST=127.0.0.1", fmt.Sprintf("PORT=%d", port), "CODE="+Code, "HOME="+dir, "NO_COLOR=1")
	if _, err := cmd.StdinPipe(); err != nil { // held open until stop
		return nil, err
	}
	out := &output{ready: make(chan struct{})}
	reader, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, writer
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go out.read(reader)
	s := &Server{
		URL:    fmt.Sprintf("http://127.0.0.1:%d", port),
		Region: Region, PoolID: PoolID, ClientID: ClientID,
		process: cmd, output: out,
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		_ = writer.Close()
		close(ended)
	}()
	s.output.ended = ended
	return s, s.wait(t)
}

// wait returns nil when the emulator reports that it listens, or an error that says why it does
// not.
func (s *Server) wait(t testing.TB) error {
	timeout := time.NewTimer(readyTimeout)
	defer timeout.Stop()
	select {
	case <-s.output.ready:
		return nil
	case <-s.output.ended:
		return fmt.Errorf("ended at its start:\n%s", s.output.text())
	case <-timeout.C:
	case <-t.Context().Done():
	}
	_ = s.process.Process.Kill()
	<-s.output.ended
	return fmt.Errorf("not ready within %s:\n%s", readyTimeout, s.output.text())
}

// stop ends the emulator.
func (s *Server) stop(t testing.TB) {
	_ = s.process.Process.Kill()
	<-s.output.ended
	if t.Failed() {
		t.Logf("cognito-local said:\n%s", s.output.text())
	}
}

// output collects what the emulator prints. It logs requests, but no bodies.
type output struct {
	ready chan struct{}
	ended <-chan struct{}

	mu    sync.Mutex
	lines []string
}

func (o *output) read(r io.Reader) {
	said := false
	for scanner := bufio.NewScanner(r); scanner.Scan(); {
		line := scanner.Text()
		o.mu.Lock()
		o.lines = append(o.lines, line)
		o.mu.Unlock()
		if !said && strings.Contains(line, "Cognito Local running on") {
			said = true
			close(o.ready)
		}
	}
}

func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.lines, "\n")
}

// writeState writes the database that cognito-local reads when it starts, in dir, its working
// directory.
func writeState(t testing.TB, dir string, o Options) {
	t.Helper()
	lifetime := o.IDTokenLifetime
	if lifetime == 0 {
		lifetime = time.Hour
	}
	now := time.Now().UTC().Format(time.RFC3339)
	users := map[string]any{}
	for _, u := range o.Users {
		users[u.Name] = u.record(now)
	}
	client := map[string]any{
		"ClientId": ClientID, "ClientName": "cognitolocal", "UserPoolId": PoolID,
		"CreationDate": now, "LastModifiedDate": now,
		"AllowedOAuthFlowsUserPoolClient": false,
		"ExplicitAuthFlows":               []string{"ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"},
		"RefreshTokenValidity":            30,
		"IdTokenValidity":                 int(lifetime / time.Second),
		"TokenValidityUnits":              map[string]string{"IdToken": "seconds", "AccessToken": "hours", "RefreshToken": "days"},
	}
	writeJSON(t, dir, "clients", map[string]any{"Clients": map[string]any{ClientID: client}})
	writeJSON(t, dir, PoolID, map[string]any{
		"Options": map[string]any{"Id": PoolID, "Name": "cognitolocal", "MfaConfiguration": "OPTIONAL", "UsernameAttributes": []string{"email"}},
		"Users":   users,
		"Groups":  map[string]any{},
	})
}

func (u User) record(now string) map[string]any {
	r := map[string]any{
		"Username": u.Name, "Password": u.Password, "UserStatus": cmp.Or(u.Status, "CONFIRMED"), "Enabled": true,
		"UserCreateDate": now, "UserLastModifiedDate": now,
		"RefreshTokens": []string{},
		"Attributes":    u.attributes(),
	}
	if u.Status == "UNCONFIRMED" || u.Status == "RESET_REQUIRED" {
		r["ConfirmationCode"] = cmp.Or(u.ConfirmationCode, Code)
	}
	u.addMFA(r)
	return r
}

func (u User) attributes() []map[string]string {
	list := []map[string]string{
		{"Name": "sub", "Value": u.Sub()},
		{"Name": "email", "Value": cmp.Or(u.Email, u.Name+"@example.com")}, {"Name": "email_verified", "Value": "true"},
	}
	if u.Phone != "" {
		list = append(list, map[string]string{"Name": "phone_number", "Value": u.Phone})
	}
	return list
}

func (u User) addMFA(r map[string]any) {
	const app, sms = "SOFTWARE_TOKEN_MFA", "SMS_MFA"
	list := slices.Clone(u.MFA)
	if u.TOTPSecret != "" {
		r["SoftwareTokenMfaConfiguration"] = map[string]any{"Secret": u.TOTPSecret, "Verified": true, "FriendlyDeviceName": "phone"}
		if !slices.Contains(list, app) {
			list = append(list, app)
		}
	}
	if slices.Contains(list, sms) {
		r["MFAOptions"] = []map[string]string{{"DeliveryMedium": "SMS", "AttributeName": "phone_number"}}
	}
	if len(list) > 0 {
		r["UserMFASettingList"] = list
	}
}

func writeJSON(t testing.TB, dir, name string, v any) {
	t.Helper()
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, ".cognito", "db")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
}
