package cognitotest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"slices"
	"strings"
)

// A DeviceMode is the pool's setting for remembering devices.
type DeviceMode int

// In the last two modes a sign-in without a known DEVICE_KEY gets NewDeviceMetadata, and can only
// be refreshed with that key.
const (
	DevicesOff    DeviceMode = iota
	DevicesOptIn             // a confirmed device is remembered after UpdateDeviceStatus
	DevicesAlways            // ConfirmDevice remembers it; before that, no refresh is allowed
)

// RememberDevices makes the pool remember devices. At the next sign-in a remembered device proves
// its password with DEVICE_SRP_AUTH, instead of MFA.
func RememberDevices(mode DeviceMode) Setting { return func(c *settings) { c.devices = mode } }

// DeviceBesidesMFA makes remembered devices prove their password in addition to MFA, like a pool
// with ChallengeRequiredOnNewDevice turned off.
func DeviceBesidesMFA(on bool) Setting { return func(c *settings) { c.deviceAndMFA = on } }

// A Device is a device of a user that the pool knows.
type Device struct {
	Key, GroupKey, Name   string
	Confirmed, Remembered bool
}

// device is a Device with its SRP verifier.
type device struct {
	Device
	salt     []byte
	verifier *big.Int
}

// Devices returns the devices of a user, by key.
func (s *Server) Devices(name string) []Device {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Device
	if u := s.find(name); u != nil {
		for _, d := range u.devices {
			list = append(list, d.Device)
		}
	}
	slices.SortFunc(list, func(a, b Device) int { return strings.Compare(a.Key, b.Key) })
	return list
}

// ForgetDevice deletes a device of a user, or all devices if key is empty, as an administrator
// can. Refresh tokens of the device are then invalid.
func (s *Server) ForgetDevice(name, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.find(name)
	switch {
	case u == nil:
	case key == "":
		clear(u.devices)
	default:
		delete(u.devices, key)
	}
}

// newDevice is NewDeviceMetadata.
type newDevice struct{ DeviceKey, DeviceGroupKey string }

// addDevice adds a device with a new key, which is not confirmed yet.
func (s *Server) addDevice(u *user) *newDevice {
	d := &device{Device: Device{
		Key:      s.Region + "_" + newUUID(),
		GroupKey: "-" + rand.Text()[:8],
	}}
	u.devices[d.Key] = d
	return &newDevice{d.Key, d.GroupKey}
}

func noDevice() error { return apiError{"ResourceNotFoundException", "Device does not exist."} }

// confirmed returns the device with a key if it is confirmed, or nil.
func (u *user) confirmed(key string) *device {
	if d := u.devices[key]; d != nil && d.Confirmed {
		return d
	}
	return nil
}

// takeDeviceKey stores the DEVICE_KEY of a call in the session. A client that is told that the
// device does not exist repeats the call without the key, so an error consumes nothing of the
// session.
func (s *Server) takeDeviceKey(ss *session, p map[string]string) error {
	if key, ok := p["DEVICE_KEY"]; ok {
		if strings.HasPrefix(ss.challenge, "DEVICE_") && key != ss.device {
			return noDevice() // the challenge is for one device
		}
		ss.device = key
	}
	if s.set.devices == DevicesOff {
		ss.device = ""
	}
	if ss.device != "" && ss.user.confirmed(ss.device) == nil {
		ss.device = ""
		return noDevice()
	}
	return nil
}

// rememberedDevice returns the remembered device on which ss was started, or nil.
func (ss *session) rememberedDevice() *device {
	if d := ss.user.confirmed(ss.device); d != nil && d.Remembered {
		return d
	}
	return nil
}

// deviceMatches reports whether a refresh of f with the device key is allowed.
func (s *Server) deviceMatches(f *family, u *user, key string) bool {
	if s.set.devices == DevicesOff || f.device == "" {
		return true
	}
	d := u.devices[f.device]
	return key == f.device && d != nil && (d.Confirmed || s.set.devices == DevicesOptIn)
}

type deviceInput struct {
	AccessToken, DeviceKey, DeviceName string
	DeviceRememberedStatus             string
	DeviceSecretVerifierConfig         struct{ PasswordVerifier, Salt string }
}

type confirmDeviceOutput struct{ UserConfirmationNecessary bool }

// confirmDevice stores the salt and the verifier of a device's password. The access token must be
// that of the sign-in which returned the device's key.
func (s *Server) confirmDevice(in deviceInput) (any, error) {
	u, claims, err := s.bearer(in.AccessToken)
	if err != nil {
		return nil, err
	}
	d := u.devices[in.DeviceKey]
	salt, okSalt := signed(in.DeviceSecretVerifierConfig.Salt)
	verifier, okVerifier := signed(in.DeviceSecretVerifierConfig.PasswordVerifier)
	switch {
	case !okSalt || !okVerifier:
		// The numbers are signed, as in Java: without a leading zero, a first bit that is set
		// makes them negative.
		return nil, invalidParameter("Found negative value for salt or password verifier")
	case d == nil, d.Confirmed, claims.DeviceKey != d.Key, len(salt) == 0,
		new(big.Int).Mod(new(big.Int).SetBytes(verifier), srpN).Sign() == 0:
		return nil, invalidParameter("Invalid device key given.")
	}
	d.Name, d.Confirmed, d.Remembered = in.DeviceName, true, s.set.devices == DevicesAlways
	d.salt, d.verifier = salt, new(big.Int).SetBytes(verifier)
	return confirmDeviceOutput{s.set.devices == DevicesOptIn}, nil
}

// signed decodes the bytes of a number and reports whether it is not negative.
func signed(b64 string) (b []byte, ok bool) {
	b, err := base64.StdEncoding.DecodeString(b64)
	return b, err == nil && (len(b) == 0 || b[0]&0x80 == 0)
}

// ownDevice returns the user of an access token and its confirmed device.
func (s *Server) ownDevice(in deviceInput) (*user, *device, error) {
	u, _, err := s.bearer(in.AccessToken)
	if err != nil {
		return nil, nil, err
	}
	d := u.confirmed(in.DeviceKey)
	if d == nil {
		return nil, nil, noDevice()
	}
	return u, d, nil
}

func (s *Server) updateDevice(in deviceInput) (any, error) {
	_, d, err := s.ownDevice(in)
	if err != nil {
		return nil, err
	}
	switch in.DeviceRememberedStatus {
	case "remembered", "not_remembered":
		d.Remembered = in.DeviceRememberedStatus == "remembered"
		return struct{}{}, nil
	}
	return nil, invalidParameter("1 validation error detected: Value at 'deviceRememberedStatus' failed to satisfy constraint: Member must satisfy enum value set: [remembered, not_remembered]")
}

func (s *Server) forgetDevice(in deviceInput) (any, error) {
	u, d, err := s.ownDevice(in)
	if err != nil {
		return nil, err
	}
	delete(u.devices, d.Key)
	return struct{}{}, nil
}

// answerDevice begins the SRP exchange with a device.
func (s *Server) answerDevice(ss *session, p map[string]string) (any, error) {
	in, err := required(p, "DEVICE_KEY", "SRP_A")
	if err != nil {
		return nil, err
	}
	bigA, err := srpClientPublic(in[1])
	if err != nil {
		return nil, err
	}
	d := ss.rememberedDevice()
	if d == nil {
		return nil, noDevice()
	}
	h, bigB := newHandshake(d.GroupKey, d.Key, d.verifier, bigA)
	next := s.nextSession(ss, "DEVICE_PASSWORD_VERIFIER")
	return s.askProof(next, h, map[string]string{
		"SALT": hex.EncodeToString(d.salt), "SRP_B": bigB.Text(16),
		"USERNAME": ss.user.Name, "DEVICE_KEY": d.Key,
	}), nil
}

// answerDeviceProof checks the device's proof of its password.
func (s *Server) answerDeviceProof(ss *session, p map[string]string) (any, error) {
	if _, err := required(p, "DEVICE_KEY"); err != nil {
		return nil, err
	}
	c, err := claimIn(p)
	if err != nil {
		return nil, err
	}
	ss.used = true
	if ss.rememberedDevice() == nil {
		return nil, noDevice()
	}
	if !ss.srp.proves(c) {
		return nil, notAuthorized(badPassword)
	}
	ss.deviceProven = true
	return s.proceed(ss)
}
