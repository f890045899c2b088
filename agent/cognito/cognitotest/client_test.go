package cognitotest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

const (
	userName = "ada"
	password = "Correct-Horse-1"
)

// start starts an in-memory pool with one user, until the test ends.
func start(t *testing.T, opts ...cognitotest.Option) *cognitotest.Server {
	t.Helper()
	srv := cognitotest.NewInMemory(opts...)
	t.Cleanup(srv.Close)
	srv.AddUser(cognitotest.User{Name: userName, Password: password, Email: "ada@example.com"})
	return srv
}

// A clock only moves when the test moves it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 9, 5, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// reply is any answer of the API.
type reply struct {
	Status  int         `json:"-"`
	Header  http.Header `json:"-"`
	Code    string      `json:"__type"`
	Message string      `json:"message"`

	ChallengeName        string
	ChallengeParameters  map[string]string
	AvailableChallenges  []string
	Session              string
	SecretCode           string
	Username             string
	CodeDeliveryDetails  struct{ AttributeName, DeliveryMedium, Destination string }
	AuthenticationResult *struct {
		AccessToken, IdToken, RefreshToken, TokenType string
		ExpiresIn                                     int
		NewDeviceMetadata                             *struct{ DeviceKey, DeviceGroupKey string }
	}
	UserConfirmationNecessary bool
}

// result is "ok", the name of the challenge, or "code: message".
func (r reply) result() string {
	switch {
	case r.Code != "":
		return r.Code + ": " + r.Message
	case r.ChallengeName != "":
		return r.ChallengeName
	}
	return "ok"
}

func (r reply) refresh() string { return r.AuthenticationResult.RefreshToken }

func (r reply) access() string { return r.AuthenticationResult.AccessToken }

type m = map[string]any

// send calls op and returns the answer, or the error of the transport.
func send(srv *cognitotest.Server, op string, in any) (reply, error) {
	body, _ := json.Marshal(in)
	req, _ := http.NewRequest("POST", srv.URL+"/", bytes.NewReader(body))
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AWSCognitoIdentityProviderService."+op)
	res, err := srv.Client().Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = res.Body.Close() }()
	out := reply{Status: res.StatusCode, Header: res.Header}
	data, err := io.ReadAll(res.Body)
	if err == nil && strings.Contains(res.Header.Get("Content-Type"), "json") {
		err = json.Unmarshal(data, &out)
	}
	return out, err
}

// call is send, but fails the test if the transport fails.
func call(t *testing.T, srv *cognitotest.Server, op string, in any) reply {
	t.Helper()
	out, err := send(srv, op, in)
	if err != nil {
		t.Fatalf("%s: %v", op, err)
	}
	return out
}

func passwordAuth(srv *cognitotest.Server, name, password string) m {
	return m{"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": srv.ClientID,
		"AuthParameters": m{"USERNAME": name, "PASSWORD": password}}
}

// initiate starts a sign-in by flow with the given parameters.
func initiate(t *testing.T, srv *cognitotest.Server, flow string, parameters m) reply {
	t.Helper()
	if parameters["USERNAME"] == nil {
		parameters["USERNAME"] = userName
	}
	return call(t, srv, "InitiateAuth", m{"AuthFlow": flow, "ClientId": srv.ClientID, "AuthParameters": parameters})
}

func try(t *testing.T, srv *cognitotest.Server, name, password string) string {
	t.Helper()
	return call(t, srv, "InitiateAuth", passwordAuth(srv, name, password)).result()
}

// signIn returns the tokens of a new sign-in.
func signIn(t *testing.T, srv *cognitotest.Server) reply {
	t.Helper()
	out := call(t, srv, "InitiateAuth", passwordAuth(srv, userName, password))
	if out.AuthenticationResult == nil {
		t.Fatalf("sign-in: %s", out.result())
	}
	return out
}

// byTokens refreshes by GetTokensFromRefreshToken, byAuth by InitiateAuth.
func byTokens(t *testing.T, srv *cognitotest.Server, token string) reply {
	t.Helper()
	return call(t, srv, "GetTokensFromRefreshToken", m{"ClientId": srv.ClientID, "RefreshToken": token})
}

func byAuth(t *testing.T, srv *cognitotest.Server, token string) reply {
	t.Helper()
	return call(t, srv, "InitiateAuth", m{"AuthFlow": "REFRESH_TOKEN_AUTH", "ClientId": srv.ClientID,
		"AuthParameters": m{"REFRESH_TOKEN": token}})
}

func revoke(t *testing.T, srv *cognitotest.Server, token string) string {
	t.Helper()
	return call(t, srv, "RevokeToken", m{"ClientId": srv.ClientID, "Token": token}).result()
}

// part decodes the n-th part of a JWT.
func part(t *testing.T, token string, n int) m {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[n])
	if err != nil {
		t.Fatal(err)
	}
	var out m
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func claims(t *testing.T, token string) m {
	t.Helper()
	return part(t, token, 1)
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}
