package cognito_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// remembering starts a pool that remembers devices, and signs ada in on a new device.
func remembering(t *testing.T, mode cognitotest.DeviceMode, opts ...cognitotest.Option) (*cognitotest.Server, *cognito.Authenticator, agent.AuthResult) {
	t.Helper()
	srv := start(t, append(opts, cognitotest.RememberDevices(mode))...)
	srv.EditUser(username, func(u *cognitotest.User) { u.MFA, u.Phone = []string{"SMS_MFA"}, "+15551234567" })
	a := cognito.New(cognito.Options{})
	g, err := a.Login(t.Context(), environment(srv), ada(), always("123456"))
	if err != nil {
		t.Fatal(err)
	}
	return srv, a, g
}

func TestNewDevice(t *testing.T) {
	for name, mode := range map[string]cognitotest.DeviceMode{"always": cognitotest.DevicesAlways, "when the user wants": cognitotest.DevicesOptIn} {
		t.Run(name, func(t *testing.T) {
			srv, a, g := remembering(t, mode)
			d := g.SignIn.Device
			known := srv.Devices(username)
			if len(known) != 1 || known[0].Key != d.Key || known[0].GroupKey != d.GroupKey || !known[0].Confirmed {
				t.Fatalf("the pool knows %+v, we have %+v", known, d)
			}
			if known[0].Remembered != (mode == cognitotest.DevicesAlways) {
				t.Errorf("remembered: %v", known[0].Remembered)
			}
			if !strings.HasPrefix(known[0].Name, "kyc-agentd") || len(known[0].Name) > 80 || d.Password.IsZero() {
				t.Errorf("called %q", known[0].Name)
			}
			for _, api := range []string{"", "initiate-auth", "tokens"} {
				s := g.SignIn
				s.RefreshAPI = api
				r, err := a.Refresh(t.Context(), environment(srv), s, nobody)
				if err != nil || r.SignIn.Device != d {
					t.Errorf("refresh by %q: %+v, %v", api, r.SignIn.Device, err)
				}
				s.Device = agent.Device{}
				_, err = a.Refresh(t.Context(), environment(srv), s, nobody)
				wantError(t, err, agent.CodeLoginRequired) // or this test proves nothing
			}
		})
	}
}

// In every flow, a remembered device proves its password instead of a code.
func TestRememberedDevice(t *testing.T) {
	for _, flow := range []agent.AuthFlow{agent.FlowPassword, agent.FlowSRP, agent.FlowChoice} {
		t.Run(string(flow), func(t *testing.T) {
			srv, a, g := remembering(t, cognitotest.DevicesAlways)
			env := environment(srv)
			env.AuthFlow = flow
			req := ada()
			req.Username, req.Device = "ada@example.com", g.SignIn.Device
			srv.ForgetCalls()
			again, err := a.Login(t.Context(), env, req, unasked(t))
			if err != nil {
				t.Fatal(err)
			}
			if again.SignIn.Device != g.SignIn.Device || len(srv.Devices(username)) != 1 || srv.Calls("ConfirmDevice") != 0 {
				t.Errorf("another device: %+v", again.SignIn.Device)
			}
			if got := calls(srv); !slices.Equal(got[len(got)-2:], respondTo("DEVICE_SRP_AUTH", "DEVICE_PASSWORD_VERIFIER")) {
				t.Errorf("calls %q", got)
			}
			if _, err := a.Refresh(t.Context(), env, again.SignIn, nobody); err != nil {
				t.Errorf("refresh: %v", err)
			}
		})
	}
}

func TestDeviceBesidesMFA(t *testing.T) {
	srv, a, g := remembering(t, cognitotest.DevicesAlways, cognitotest.DeviceBesidesMFA(true))
	req := ada()
	req.Device = g.SignIn.Device
	_, err := a.Login(t.Context(), environment(srv), req, script(t,
		turn{"SMS_MFA", "", "", "code", code("1")},
		turn{"SMS_MFA", "", "wrong code", "code", code("123456")}))
	if err != nil {
		t.Error(err)
	}
}

// A device that the pool has forgotten does not prevent a sign-in: a new one is registered.
func TestForgottenDevice(t *testing.T) {
	for _, flow := range []agent.AuthFlow{agent.FlowPassword, agent.FlowSRP, agent.FlowChoice} {
		t.Run(string(flow), func(t *testing.T) {
			srv, a, g := remembering(t, cognitotest.DevicesAlways)
			srv.ForgetDevice(username, g.SignIn.Device.Key)
			env := environment(srv)
			env.AuthFlow = flow
			req := ada()
			req.Device = g.SignIn.Device
			again, err := a.Login(t.Context(), env, req, script(t, turn{"SMS_MFA", "", "", "code", code("123456")}))
			if err != nil {
				t.Fatal(err)
			}
			if again.SignIn.Device.Key == "" || again.SignIn.Device.Key == g.SignIn.Device.Key {
				t.Errorf("no new device: %+v", again.SignIn.Device)
			}
			if _, err := a.Refresh(t.Context(), env, again.SignIn, nobody); err != nil {
				t.Errorf("refresh: %v", err)
			}
		})
	}
}

// The refresh of a sign-in on a forgotten device is refused permanently.
func TestForgottenDeviceRefresh(t *testing.T) {
	srv, a, g := remembering(t, cognitotest.DevicesAlways)
	srv.ForgetDevice(username, "")
	_, err := a.Refresh(t.Context(), environment(srv), g.SignIn, nobody)
	wantError(t, err, agent.CodeLoginRequired, "run: kyc-agentd login prod")
}

// If the pool refuses the device's password, or forgets the device during the sign-in, the sign-in
// begins again without the device, once.
func TestRefusedDevice(t *testing.T) {
	t.Run("wrong password", func(t *testing.T) {
		srv, a, g := remembering(t, cognitotest.DevicesAlways)
		req := ada()
		req.Device = g.SignIn.Device
		req.Device.Password = agent.NewSecret("not that")
		again, err := a.Login(t.Context(), environment(srv), req, always("123456"))
		if err != nil || again.SignIn.Device.Key == g.SignIn.Device.Key {
			t.Errorf("%+v, %v", again.SignIn.Device, err)
		}
	})
	t.Run("forgotten before the proof", func(t *testing.T) {
		srv, a, g := remembering(t, cognitotest.DevicesAlways)
		srv.OnCall(func(c cognitotest.Call) {
			if c.Flow == "DEVICE_PASSWORD_VERIFIER" {
				srv.ForgetDevice(username, "")
			}
		})
		req := ada()
		req.Device = g.SignIn.Device
		if _, err := a.Login(t.Context(), environment(srv), req, always("123456")); err != nil {
			t.Error(err)
		}
	})
	t.Run("a broken answer is no refusal", inBubble(func(t *testing.T) {
		srv, a := startInMemory(t, cognitotest.RememberDevices(cognitotest.DevicesAlways))
		srv.EditUser(username, func(u *cognitotest.User) { u.MFA, u.Phone = []string{"SMS_MFA"}, "+15551234567" })
		g, err := a.Login(t.Context(), environment(srv), ada(), always("123456"))
		if err != nil {
			t.Fatal(err)
		}
		req := ada()
		req.Device = g.SignIn.Device
		srv.FailNext("RespondToAuthChallenge", -1, cognitotest.Internal())
		_, err = a.Login(t.Context(), environment(srv), req, unasked(t))
		wantError(t, err, agent.CodeUnavailable, "internal error")
	}))
	t.Run("no such app client", func(t *testing.T) {
		srv, a, g := remembering(t, cognitotest.DevicesAlways)
		req := ada()
		req.Device = g.SignIn.Device
		env := environment(srv)
		env.ClientID = "other"
		srv.ForgetCalls()
		_, err := a.Login(t.Context(), env, req, unasked(t))
		wantError(t, err, agent.CodeConfiguration, "does not know the app client other")
		if n := srv.Calls(cognitotest.SignIn); n != 2 {
			t.Errorf("%d calls, want one with the device and one without", n)
		}
	})
}

// A sign-in of another user on this machine sends a device key that is not theirs.
func TestAnotherUsersDevice(t *testing.T) {
	srv, a, g := remembering(t, cognitotest.DevicesAlways)
	srv.AddUser(cognitotest.User{Name: "bob", Password: password})
	req := ada()
	req.Username, req.Device = "bob", g.SignIn.Device
	again, err := a.Login(t.Context(), environment(srv), req, unasked(t))
	if err != nil || again.SignIn.Username != "bob" || again.SignIn.Device.Key == g.SignIn.Device.Key {
		t.Errorf("%+v, %v", again.SignIn, err)
	}
}

// A failure of ConfirmDevice is logged and does not prevent the sign-in.
func TestConfirmDeviceFails(t *testing.T) {
	for name, f := range map[string]cognitotest.Fault{
		"refused": cognitotest.Refuse("InvalidParameterException", "eyJ.leak"), "throttled": cognitotest.Throttle(), "dropped": cognitotest.Drop(),
	} {
		t.Run(name, func(t *testing.T) {
			srv := start(t, cognitotest.RememberDevices(cognitotest.DevicesOptIn))
			srv.FailNext("ConfirmDevice", -1, f)
			var text bytes.Buffer
			a := cognito.New(cognito.Options{Logger: slog.New(slog.NewTextHandler(&text, nil))})
			g, err := a.Login(t.Context(), environment(srv), ada(), unasked(t))
			if err != nil || g.SignIn.Device.Key == "" {
				t.Fatalf("%+v, %v", g.SignIn.Device, err)
			}
			if s := text.String(); !strings.Contains(s, "level=WARN") || !strings.Contains(s, "it may refuse to refresh; then run: kyc-agentd login prod") || strings.Contains(s, "leak") {
				t.Errorf("the log says %q", s)
			}
			if n := srv.Calls("ConfirmDevice"); n != 1 {
				t.Errorf("%d calls", n)
			}
		})
	}
}

// The device is confirmed even if the caller cancels.
func TestConfirmDeviceOutlivesTheCaller(t *testing.T) {
	srv := start(t, cognitotest.RememberDevices(cognitotest.DevicesAlways))
	ctx, cancel := context.WithCancel(t.Context())
	srv.OnCall(func(c cognitotest.Call) {
		if c.Op == "ConfirmDevice" {
			cancel()
		}
	})
	if _, err := cognito.New(cognito.Options{}).Login(ctx, environment(srv), ada(), unasked(t)); err != nil {
		t.Fatal(err)
	}
	if d := srv.Devices(username); len(d) != 1 || !d[0].Confirmed {
		t.Errorf("%+v", d)
	}
}

// The device's password appears nowhere except in the record.
func TestDevicePasswordStaysHere(t *testing.T) {
	srv, a, g := remembering(t, cognitotest.DevicesAlways)
	req := ada()
	req.Device = g.SignIn.Device
	if _, err := a.Login(t.Context(), environment(srv), req, unasked(t)); err != nil {
		t.Fatal(err)
	}
	for _, c := range srv.Log() {
		if strings.Contains(string(c.Body), g.SignIn.Device.Password.Reveal()) {
			t.Errorf("%s has the device's password", c.Op)
		}
	}
}

// Metadata without a key is ignored.
func TestDeviceWithoutKey(t *testing.T) {
	srv := start(t)
	g := signIn(t, cognito.New(cognito.Options{}), environment(srv))
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Target") != "AWSCognitoIdentityProviderService.InitiateAuth" {
			t.Errorf("called %s", r.Header.Get("X-Amz-Target"))
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"AuthenticationResult": map[string]any{
			"IdToken": g.IDToken.Reveal(), "AccessToken": "a", "RefreshToken": "r", "NewDeviceMetadata": map[string]string{"DeviceGroupKey": "g"},
		}})
	}))
	t.Cleanup(proxy.Close)
	env := environment(srv)
	env.Endpoint, env.Issuer = proxy.URL, srv.Issuer()
	again, err := cognito.New(cognito.Options{}).Login(t.Context(), env, ada(), unasked(t))
	if err != nil || again.SignIn.Device != (agent.Device{}) {
		t.Errorf("%+v, %v", again.SignIn.Device, err)
	}
}
