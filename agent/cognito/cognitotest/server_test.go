package cognitotest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

func TestClientOf(t *testing.T) {
	a, b, c := start(t), start(t), start(t)
	client := cognitotest.ClientOf(a, b)
	for _, srv := range []*cognitotest.Server{a, b} {
		res, err := client.Get(srv.JWKSURL())
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		equal(t, "keys fetched of "+srv.URL, srv.Calls(cognitotest.JWKS), 1)
	}
	if _, err := client.Get(c.JWKSURL()); err == nil || !strings.Contains(err.Error(), "no server at") {
		t.Errorf("a server that was not named: %v", err)
	}
}

func TestHugeRequest(t *testing.T) {
	srv := start(t)
	out := call(t, srv, "RevokeToken", m{"Token": strings.Repeat("x", 256<<10)})
	equal(t, "result", out.result(), "SerializationException: ")
}

func TestAddress(t *testing.T) {
	srv := cognitotest.New(cognitotest.Address("localhost:0"))
	defer srv.Close()
	if !strings.HasPrefix(srv.URL, "http://127.0.0.1:") && !strings.HasPrefix(srv.URL, "http://[::1]:") {
		t.Errorf("URL = %s", srv.URL)
	}
	defer func() {
		if e := recover(); e == nil || !strings.Contains(fmt.Sprint(e), "cannot listen on "+srv.URL[len("http://"):]) {
			t.Errorf("an address that is taken: %v", e)
		}
	}()
	cognitotest.New(cognitotest.Address(srv.URL[len("http://"):]))
}

func TestPool(t *testing.T) {
	srv := start(t, cognitotest.Pool("eu-north-1", "eu-north-1_abcdefghi", "client"))
	equal(t, "issuer", srv.Issuer(), srv.URL+"/eu-north-1_abcdefghi")
	equal(t, "aud", claims(t, signIn(t, srv).AuthenticationResult.IdToken)["aud"], any("client"))
}

func TestHandlerOnAnotherListener(t *testing.T) {
	srv := start(t)
	other := httptest.NewServer(srv.Handler())
	defer other.Close()
	srv.URL = other.URL
	res, err := http.Get(srv.JWKSURL())
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	equal(t, "status", res.StatusCode, http.StatusOK)
}

// Everything runs at once, for the race detector. No refresh may be lost or counted twice.
func TestConcurrency(t *testing.T) {
	srv := listen(t)
	token := signIn(t, srv).refresh()
	in := m{"ClientId": srv.ClientID, "RefreshToken": token}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				if out, err := send(srv, "GetTokensFromRefreshToken", in); err != nil || out.result() != "ok" {
					t.Errorf("refresh: %s, %v", out.result(), err)
				}
			}
		})
	}
	srv.RotateKeys()
	srv.DropOldKeys()
	for i := range 20 {
		srv.Set(cognitotest.IDTokenLifetime(time.Duration(i+1) * time.Minute))
		srv.SetLatency(cognitotest.JWKS, time.Millisecond)
		srv.OnCall(func(cognitotest.Call) {})
		srv.EditUser(userName, func(u *cognitotest.User) { u.Email = "ada@example.org" })
		srv.FailNext("RevokeToken", 1, cognitotest.Throttle())
		srv.ClearFaults()
	}
	wg.Wait()
	equal(t, "refreshes", srv.Refreshes(), 40)
	equal(t, "calls", srv.Calls(cognitotest.Refresh), 40)
}

func TestOneOfManyRotates(t *testing.T) {
	srv := listen(t, cognitotest.Rotation(0))
	in := m{"ClientId": srv.ClientID, "RefreshToken": signIn(t, srv).refresh()}
	results := make(chan string, 8)
	for range cap(results) {
		go func() {
			out, err := send(srv, "GetTokensFromRefreshToken", in)
			results <- out.result() + errText(err)
		}()
	}
	count := map[string]int{}
	for range cap(results) {
		count[<-results]++
	}
	equal(t, "rotated", count["ok"], 1)
	equal(t, "refused", count[reuse], cap(results)-1)
}

// fuzzToken returns the access token of a sign-in on a new device.
func fuzzToken(f *testing.F, srv *cognitotest.Server) string {
	f.Helper()
	out, err := send(srv, "InitiateAuth", passwordAuth(srv, userName, password))
	if err != nil || out.AuthenticationResult == nil {
		f.Fatalf("sign-in: %s, %v", out.result(), err)
	}
	return out.access()
}

// Any request is answered with 200 or 400, as Cognito does.
func FuzzAPI(f *testing.F) {
	srv := cognitotest.NewInMemory(cognitotest.RememberDevices(cognitotest.DevicesAlways))
	f.Cleanup(srv.Close)
	srv.AddUser(cognitotest.User{Name: userName, Password: password, Custom: []cognitotest.Question{{Answer: "a"}}})
	access := fuzzToken(f, srv)
	for op, in := range map[string]any{
		"InitiateAuth":              passwordAuth(srv, userName, password),
		"RespondToAuthChallenge":    m{"ClientId": srv.ClientID, "ChallengeName": "SMS_MFA", "Session": "x", "ChallengeResponses": m{"USERNAME": userName}},
		"GetTokensFromRefreshToken": m{"ClientId": srv.ClientID, "RefreshToken": "a.b.c.d.e"},
		"RevokeToken":               m{"ClientId": srv.ClientID, "Token": "a.b.c"},
		"GetUser":                   m{"AccessToken": "a.b.c"},
		"VerifySoftwareToken":       m{"Session": "x", "UserCode": "1"},
		"ConfirmDevice": m{"AccessToken": access, "DeviceKey": srv.Devices(userName)[0].Key,
			"DeviceSecretVerifierConfig": m{"PasswordVerifier": "AQ==", "Salt": "AQ=="}},
		"UpdateDeviceStatus":     m{"AccessToken": access, "DeviceKey": "x", "DeviceRememberedStatus": "remembered"},
		"ForgetDevice":           m{"AccessToken": access, "DeviceKey": "x"},
		"ForgotPassword":         m{"ClientId": srv.ClientID, "Username": userName},
		"ConfirmForgotPassword":  m{"ClientId": srv.ClientID, "Username": userName, "ConfirmationCode": "123456", "Password": password},
		"ConfirmSignUp":          m{"ClientId": srv.ClientID, "Username": userName, "ConfirmationCode": "123456"},
		"ResendConfirmationCode": m{"ClientId": srv.ClientID, "Username": userName},
		"ChangePassword":         m{"AccessToken": access, "PreviousPassword": password, "ProposedPassword": password},
	} {
		body, _ := json.Marshal(in)
		f.Add(op, string(body))
	}
	f.Add("InitiateAuth", `{"AuthFlow":"USER_SRP_AUTH","ClientId":"`+srv.ClientID+`","AuthParameters":{"USERNAME":"ada","SRP_A":"-0"}}`)
	f.Add("InitiateAuth", `{"AuthFlow":"USER_AUTH","ClientId":"`+srv.ClientID+`","AuthParameters":{"USERNAME":"ada","PREFERRED_CHALLENGE":"PASSWORD"}}`)
	f.Add("InitiateAuth", `{"AuthFlow":"CUSTOM_AUTH","ClientId":"`+srv.ClientID+`","AuthParameters":{"USERNAME":"ada","DEVICE_KEY":null}}`)
	handler := srv.Handler()
	f.Fuzz(func(t *testing.T, op, body string) {
		req := httptest.NewRequest("POST", "/", strings.NewReader(body))
		req.Header["X-Amz-Target"] = []string{"AWSCognitoIdentityProviderService." + op}
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, req)
		if rec.Code != http.StatusOK && rec.Code != http.StatusBadRequest {
			t.Errorf("%s %q: %d %s", op, body, rec.Code, rec.Body)
		}
		if !json.Valid(rec.Body.Bytes()) {
			t.Errorf("%s %q: not JSON: %s", op, body, rec.Body)
		}
	})
}
