package cognitotest_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

const (
	noDevice   = "ResourceNotFoundException: Device does not exist."
	badKey     = "InvalidParameterException: Invalid device key given."
	deviceWord = "device-password"
)

var (
	deviceSalt = []byte{0x12, 0x34, 0x56, 0x78}
	smallA     = big.NewInt(0x1234567890abcdef)
)

// An aDevice is what a client stores of a device.
type aDevice struct{ key, group string }

// newDevice signs in and returns the device key of the pool, and the tokens.
func newDevice(t *testing.T, srv *cognitotest.Server) (aDevice, reply) {
	t.Helper()
	out := signIn(t, srv)
	d := out.AuthenticationResult.NewDeviceMetadata
	if d == nil {
		t.Fatal("no NewDeviceMetadata")
	}
	return aDevice{d.DeviceKey, d.DeviceGroupKey}, out
}

func (d aDevice) confirmation(access string) m {
	return m{"AccessToken": access, "DeviceKey": d.key, "DeviceName": "box", "DeviceSecretVerifierConfig": m{
		"PasswordVerifier": cognitotest.DeviceVerifierForTest(d.group, d.key, deviceWord, deviceSalt),
		"Salt":             base64.StdEncoding.EncodeToString(deviceSalt)}}
}

func confirm(t *testing.T, srv *cognitotest.Server, d aDevice, access string) reply {
	t.Helper()
	return call(t, srv, "ConfirmDevice", d.confirmation(access))
}

// confirmed is newDevice with ConfirmDevice.
func confirmed(t *testing.T, srv *cognitotest.Server) (aDevice, reply) {
	t.Helper()
	d, out := newDevice(t, srv)
	if got := confirm(t, srv, d, out.access()); got.result() != "ok" {
		t.Fatalf("ConfirmDevice: %s", got.result())
	}
	return d, out
}

// signInWith signs in with a password and the device's key.
func (d aDevice) signIn(t *testing.T, srv *cognitotest.Server) reply {
	t.Helper()
	return initiate(t, srv, "USER_PASSWORD_AUTH", m{"PASSWORD": password, "DEVICE_KEY": d.key})
}

// start answers DEVICE_SRP_AUTH, prove DEVICE_PASSWORD_VERIFIER.
func (d aDevice) start(t *testing.T, srv *cognitotest.Server, out reply) reply {
	t.Helper()
	return answer(t, srv, out, m{"DEVICE_KEY": d.key, "SRP_A": cognitotest.SRPPublicForTest(smallA).Text(16)})
}

func (d aDevice) prove(t *testing.T, srv *cognitotest.Server, out reply, password string) reply {
	t.Helper()
	return answer(t, srv, out, m{"DEVICE_KEY": d.key, "TIMESTAMP": goodTime,
		"PASSWORD_CLAIM_SECRET_BLOCK": out.ChallengeParameters["SECRET_BLOCK"],
		"PASSWORD_CLAIM_SIGNATURE":    cognitotest.SRPProofForTest(d.group, d.key, password, smallA, out.ChallengeParameters, goodTime)})
}

func refreshOn(t *testing.T, srv *cognitotest.Server, token, key string) string {
	t.Helper()
	return call(t, srv, "GetTokensFromRefreshToken", m{"ClientId": srv.ClientID, "RefreshToken": token, "DeviceKey": key}).result()
}

func TestNoDevices(t *testing.T) {
	srv := start(t)
	out := initiate(t, srv, "USER_PASSWORD_AUTH", m{"PASSWORD": password, "DEVICE_KEY": "us-east-2_whatever"})
	equal(t, "a device key is not looked at", out.result(), "ok")
	equal(t, "metadata", out.AuthenticationResult.NewDeviceMetadata == nil, true)
	equal(t, "claim", claims(t, out.access())["device_key"], nil)
	equal(t, "confirm", confirm(t, srv, aDevice{"us-east-2_whatever", "-g"}, out.access()).result(), badKey)
}

func TestRememberedDevice(t *testing.T) {
	srv := start(t, cognitotest.RememberDevices(cognitotest.DevicesAlways))
	d, first := newDevice(t, srv)
	if !strings.HasPrefix(d.key, srv.Region+"_") || len(d.key) > 55 || d.group == "" {
		t.Errorf("device key %q, group key %q", d.key, d.group)
	}
	equal(t, "claim", claims(t, first.access())["device_key"], any(d.key))
	equal(t, "sign-in on an unconfirmed device", d.signIn(t, srv).result(), noDevice)
	equal(t, "refresh on an unconfirmed device", refreshOn(t, srv, first.refresh(), d.key), invalid)
	out := confirm(t, srv, d, first.access())
	equal(t, "confirmed", out.result(), "ok")
	equal(t, "the user is asked", out.UserConfirmationNecessary, false)
	equal(t, "devices", srv.Devices(userName)[0], cognitotest.Device{Key: d.key, GroupKey: d.group, Name: "box", Confirmed: true, Remembered: true})
	equal(t, "confirmed again", confirm(t, srv, d, first.access()).result(), badKey)

	srv.EditUser(userName, withMFA("SMS_MFA"))
	next := d.signIn(t, srv)
	equal(t, "sign-in on it", next.result(), "DEVICE_SRP_AUTH")
	equal(t, "name", next.ChallengeParameters["USERNAME"], userName)
	proof := d.start(t, srv, next)
	equal(t, "after A", proof.result(), "DEVICE_PASSWORD_VERIFIER")
	tokens := d.prove(t, srv, proof, deviceWord)
	equal(t, "after the proof, without MFA", tokens.result(), "ok")
	equal(t, "metadata for a known device", tokens.AuthenticationResult.NewDeviceMetadata == nil, true)
	equal(t, "claim of the second sign-in", claims(t, tokens.access())["device_key"], any(d.key))
	equal(t, "refresh", refreshOn(t, srv, tokens.refresh(), d.key), "ok")
	equal(t, "the same proof again", d.prove(t, srv, proof, deviceWord).result(), bad)
	equal(t, "another device's MFA", try(t, srv, userName, password), "SMS_MFA")
}

func TestDeviceProofRefusals(t *testing.T) {
	srv := start(t, cognitotest.RememberDevices(cognitotest.DevicesAlways))
	d, first := confirmed(t, srv)
	other, _ := confirmed(t, srv)
	equal(t, "wrong password", d.prove(t, srv, d.start(t, srv, d.signIn(t, srv)), "x").result(), bad)
	wrongGroup := aDevice{d.key, other.group}
	equal(t, "wrong group key", wrongGroup.prove(t, srv, d.start(t, srv, d.signIn(t, srv)), deviceWord).result(), bad)
	equal(t, "lockout", try(t, srv, userName, password), "ok")

	out := d.signIn(t, srv)
	equal(t, "no A", answer(t, srv, out, m{"DEVICE_KEY": d.key}).result(), "InvalidParameterException: Missing required parameter SRP_A")
	equal(t, "A = 0", answer(t, srv, out, m{"DEVICE_KEY": d.key, "SRP_A": "0"}).result(), "InvalidParameterException: Invalid SRP_A")
	equal(t, "made-up device", aDevice{"us-east-2_x", d.group}.start(t, srv, out).result(), noDevice)
	equal(t, "another device", other.start(t, srv, out).result(), noDevice)
	proof := d.start(t, srv, out)
	p := proof.ChallengeParameters
	for key, want := range map[any]string{other.key: noDevice, "": noDevice, nil: "InvalidParameterException: Missing required parameter DEVICE_KEY"} {
		in := m{"TIMESTAMP": goodTime, "PASSWORD_CLAIM_SECRET_BLOCK": p["SECRET_BLOCK"],
			"PASSWORD_CLAIM_SIGNATURE": cognitotest.SRPProofForTest(d.group, d.key, deviceWord, smallA, p, goodTime)}
		if key != nil {
			in["DEVICE_KEY"] = key
		}
		equal(t, fmt.Sprintf("a good proof for device %v", key), answer(t, srv, proof, in).result(), want)
	}
	equal(t, "a proof without its time", answer(t, srv, proof, m{"DEVICE_KEY": d.key, "PASSWORD_CLAIM_SECRET_BLOCK": p["SECRET_BLOCK"],
		"PASSWORD_CLAIM_SIGNATURE": "AAAA"}).result(), "InvalidParameterException: Missing required parameter TIMESTAMP")
	stolen := proof
	stolen.Session = ""
	equal(t, "proof without its session", d.prove(t, srv, stolen, deviceWord).result(), bad)
	stolen.ChallengeName = "PASSWORD_VERIFIER"
	equal(t, "as a user's proof", d.prove(t, srv, stolen, deviceWord).result(), bad)
	srv.ForgetDevice(userName, d.key)
	equal(t, "forgotten in between", d.prove(t, srv, proof, deviceWord).result(), noDevice)
	equal(t, "refresh", refreshOn(t, srv, first.refresh(), d.key), invalid)
}

func TestConfirmDeviceRefusals(t *testing.T) {
	srv := start(t, cognitotest.RememberDevices(cognitotest.DevicesAlways))
	d, out := newDevice(t, srv)
	_, other := newDevice(t, srv)
	const negative = "InvalidParameterException: Found negative value for salt or password verifier"
	config := func(verifier, salt string) func(m) {
		return func(in m) { in["DeviceSecretVerifierConfig"] = m{"PasswordVerifier": verifier, "Salt": salt} }
	}
	b64 := base64.StdEncoding.EncodeToString
	tests := []struct {
		name string
		edit func(m)
		want string
	}{
		{"not signed in", func(in m) { in["AccessToken"] = "x" }, "NotAuthorizedException: Invalid Access Token"},
		{"another sign-in's token", func(in m) { in["AccessToken"] = other.access() }, badKey},
		{"made-up key", func(in m) { in["DeviceKey"] = "us-east-2_x" }, badKey},
		{"no verifier", func(in m) { delete(in, "DeviceSecretVerifierConfig") }, badKey},
		{"verifier without the zero in front", config(b64([]byte{0x80, 1}), "EjRWeA=="), negative},
		{"salt without the zero in front", config("ABCD", b64([]byte{0xff})), negative},
		{"not base64", config("ABCD", "?"), negative},
		{"verifier N", config(b64(append([]byte{0}, cognitotest.SRPPrimeForTest.Bytes()...)), "EjRWeA=="), badKey},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := d.confirmation(out.access())
			tt.edit(in)
			equal(t, "ConfirmDevice", call(t, srv, "ConfirmDevice", in).result(), tt.want)
		})
	}
	equal(t, "none of that", confirm(t, srv, d, out.access()).result(), "ok")
}

func TestOptInDevice(t *testing.T) {
	srv := start(t, cognitotest.RememberDevices(cognitotest.DevicesOptIn))
	srv.EditUser(userName, func(u *cognitotest.User) { u.Phone = "+15551234567" })
	d, first := newDevice(t, srv)
	equal(t, "refresh before ConfirmDevice", refreshOn(t, srv, first.refresh(), d.key), "ok")
	equal(t, "the user is asked", confirm(t, srv, d, first.access()).UserConfirmationNecessary, true)
	srv.EditUser(userName, withMFA("SMS_MFA"))
	update := func(status string) string {
		return call(t, srv, "UpdateDeviceStatus", m{"AccessToken": first.access(), "DeviceKey": d.key, "DeviceRememberedStatus": status}).result()
	}
	out := d.signIn(t, srv)
	equal(t, "not remembered", out.result(), "SMS_MFA")
	tokens := answer(t, srv, out, m{"SMS_MFA_CODE": "123456"})
	equal(t, "a known device gets no new key", tokens.AuthenticationResult.NewDeviceMetadata == nil, true)
	equal(t, "its refresh", refreshOn(t, srv, tokens.refresh(), d.key), "ok")
	equal(t, "remember", update("remembered"), "ok")
	equal(t, "remembered", d.signIn(t, srv).result(), "DEVICE_SRP_AUTH")
	equal(t, "forget again", update("not_remembered"), "ok")
	equal(t, "not remembered any more", d.signIn(t, srv).result(), "SMS_MFA")
	equal(t, "no such status", strings.HasPrefix(update("x"), "InvalidParameterException: 1 validation error"), true)
	equal(t, "no such device", call(t, srv, "UpdateDeviceStatus", m{"AccessToken": first.access(), "DeviceKey": "x"}).result(), noDevice)
	equal(t, "not signed in", call(t, srv, "UpdateDeviceStatus", m{"AccessToken": "x"}).Code, "NotAuthorizedException")
}

// Actions of the user on other devices take effect at once.
func TestDeviceNotRememberedInBetween(t *testing.T) {
	for _, step := range []string{"before A", "before the proof"} {
		srv := start(t, cognitotest.RememberDevices(cognitotest.DevicesAlways))
		d, first := confirmed(t, srv)
		forget := func() {
			out := call(t, srv, "UpdateDeviceStatus", m{"AccessToken": first.access(), "DeviceKey": d.key, "DeviceRememberedStatus": "not_remembered"})
			equal(t, "UpdateDeviceStatus", out.result(), "ok")
		}
		out := d.signIn(t, srv)
		if step == "before A" {
			forget()
			equal(t, step, d.start(t, srv, out).result(), noDevice)
			continue
		}
		out = d.start(t, srv, out)
		forget()
		equal(t, step, d.prove(t, srv, out, deviceWord).result(), noDevice)
	}
}

func TestDeviceBesidesMFA(t *testing.T) {
	srv := start(t, cognitotest.RememberDevices(cognitotest.DevicesAlways), cognitotest.DeviceBesidesMFA(true))
	d, _ := confirmed(t, srv)
	srv.EditUser(userName, withMFA("SMS_MFA"))
	out := d.signIn(t, srv)
	equal(t, "first", out.result(), "SMS_MFA")
	out = answer(t, srv, out, m{"SMS_MFA_CODE": "123456", "DEVICE_KEY": d.key})
	equal(t, "second", out.result(), "DEVICE_SRP_AUTH")
	equal(t, "third", d.prove(t, srv, d.start(t, srv, out), deviceWord).result(), "ok")
}

func TestDeviceAfterSRP(t *testing.T) {
	srv := start(t, cognitotest.RememberDevices(cognitotest.DevicesAlways))
	d, _ := confirmed(t, srv)
	prove := func(out reply, key any) reply {
		p := m{"TIMESTAMP": goodTime, "PASSWORD_CLAIM_SECRET_BLOCK": out.ChallengeParameters["SECRET_BLOCK"],
			"PASSWORD_CLAIM_SIGNATURE": cognitotest.SRPAnswerForTest("cognitote", password, smallA, out.ChallengeParameters, goodTime)}
		maps.Copy(p, m{"DEVICE_KEY": key})
		return answer(t, srv, out, p)
	}
	bigA := cognitotest.SRPPublicForTest(smallA).Text(16)
	out := srpStart(t, srv, userName, bigA)
	equal(t, "key with the proof", prove(out, d.key).result(), "DEVICE_SRP_AUTH")
	out = initiate(t, srv, "USER_SRP_AUTH", m{"SRP_A": bigA, "DEVICE_KEY": d.key})
	equal(t, "key at the start", prove(out, d.key).result(), "DEVICE_SRP_AUTH")
	srv.ForgetDevice(userName, "")
	// amazon-cognito-identity-js continues with the same proof and null as key.
	out = initiate(t, srv, "USER_SRP_AUTH", m{"SRP_A": bigA, "DEVICE_KEY": d.key})
	equal(t, "forgotten", prove(out, d.key).result(), noDevice)
	again := prove(out, nil)
	equal(t, "the same proof without it", again.result(), "ok")
	equal(t, "a new device", again.AuthenticationResult.NewDeviceMetadata.DeviceKey != d.key, true)
}

func TestRefreshOnDevices(t *testing.T) {
	srv := start(t)
	before := signIn(t, srv)
	srv.Set(cognitotest.RememberDevices(cognitotest.DevicesAlways))
	d, out := confirmed(t, srv)
	other, _ := confirmed(t, srv)
	equal(t, "with its key", refreshOn(t, srv, out.refresh(), d.key), "ok")
	equal(t, "without", byTokens(t, srv, out.refresh()).result(), invalid)
	equal(t, "another device's", refreshOn(t, srv, out.refresh(), other.key), invalid)
	equal(t, "by InitiateAuth without", byAuth(t, srv, out.refresh()).result(), invalid)
	equal(t, "by InitiateAuth with it", call(t, srv, "InitiateAuth", m{"AuthFlow": "REFRESH_TOKEN_AUTH", "ClientId": srv.ClientID,
		"AuthParameters": m{"REFRESH_TOKEN": out.refresh(), "DEVICE_KEY": d.key}}).result(), "ok")
	equal(t, "a sign-in from before devices were remembered", byTokens(t, srv, before.refresh()).result(), "ok")
	srv.Set(cognitotest.Rotation(0))
	next := call(t, srv, "GetTokensFromRefreshToken", m{"ClientId": srv.ClientID, "RefreshToken": out.refresh(), "DeviceKey": d.key})
	equal(t, "rotation", next.result(), "ok")
	equal(t, "the rotated token without the key", byTokens(t, srv, next.refresh()).result(), invalid)
	srv.Set(cognitotest.NoRotation())
	equal(t, "the rotated token with it", refreshOn(t, srv, next.refresh(), d.key), "ok")
	forget := call(t, srv, "ForgetDevice", m{"AccessToken": out.access(), "DeviceKey": other.key})
	equal(t, "ForgetDevice", forget.result(), "ok")
	equal(t, "devices left", len(srv.Devices(userName)), 1)
	newDevice(t, srv)
	list := srv.Devices(userName)
	equal(t, "devices then, by key", len(list) == 2 && list[0].Key < list[1].Key, true)
	equal(t, "ForgetDevice again", call(t, srv, "ForgetDevice", m{"AccessToken": out.access(), "DeviceKey": other.key}).result(), noDevice)
	equal(t, "sign-in on the forgotten one", other.signIn(t, srv).result(), noDevice)
	srv.ForgetDevice(userName, d.key)
	equal(t, "forgotten by the administrator", refreshOn(t, srv, next.refresh(), d.key), invalid)
	srv.Set(cognitotest.RememberDevices(cognitotest.DevicesOff))
	equal(t, "devices not remembered any more", d.signIn(t, srv).result(), "ok")
	srv.ForgetDevice("nobody", "")
	equal(t, "devices of nobody", len(srv.Devices("nobody")), 0)
}

// A pool with e-mail addresses as user names wants the real name in answers. With an address the
// sign-in continues, but its access token confirms no device.
func TestAliasSpoilsTheDevice(t *testing.T) {
	for _, tt := range []struct{ name, want string }{{userName, "ok"}, {"ada@example.com", badKey}} {
		srv := start(t, cognitotest.RememberDevices(cognitotest.DevicesAlways))
		srv.EditUser(userName, withMFA("SMS_MFA"))
		out := initiate(t, srv, "USER_PASSWORD_AUTH", m{"USERNAME": "ada@example.com", "PASSWORD": password})
		tokens := answer(t, srv, out, m{"USERNAME": tt.name, "SMS_MFA_CODE": "123456"})
		equal(t, "sign-in", tokens.result(), "ok")
		n := tokens.AuthenticationResult.NewDeviceMetadata
		equal(t, "ConfirmDevice after answers as "+tt.name, confirm(t, srv, aDevice{n.DeviceKey, n.DeviceGroupKey}, tokens.access()).result(), tt.want)
	}
}
