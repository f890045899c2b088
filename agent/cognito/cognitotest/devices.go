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

// In both modes a sign-in without a known DEVICE_KEY gets NewDeviceMetadata, and refreshes
// only with that key.
const (
	DevicesOff    DeviceMode = iota
	DevicesOptIn             // a confirmed device is remembered once UpdateDeviceStatus says so
	DevicesAlways            // ConfirmDevice remembers it; before that, nothing is refreshed
)

// RememberDevices makes the pool remember devices. A remembered device proves its
// password by DEVICE_SRP_AUTH at the next sign-in, and takes the place of MFA.
func RememberDevices(mode DeviceMode) Setting { return func(c *settings) { c.devices = mode } }

// DeviceBesidesMFA has remembered devices prove their password after MFA and not instead
// of it: the pool's ChallengeRequiredOnNewDevice turned off.
func DeviceBesidesMFA(on bool) Setting { return func(c *settings) { c.deviceAndMFA = on } }

// A Device is a user's device that the pool knows.
type Device struct {
	Key, GroupKey, Name   string
	Confirmed, Remembered bool
}

// device is a Device with its half of SRP.
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

// ForgetDevice forgets a device of a user, or all of them where key is empty, as an
// administrator would. Its refresh tokens are then invalid.
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

// addDevice gives the user's device a key. It is not confirmed yet.
func (s *Server) addDevice(u *user) *newDevice {
	d := &device{Device: Device{
		Key:      s.Region + "_" + newUUID(),
		GroupKey: "-" + rand.Text()[:8],
	}}
	u.devices[d.Key] = d
	return &newDevice{d.Key, d.GroupKey}
}

func noDevice() error { return apiError{"ResourceNotFoundException", "Device does not exist."} }

// confirmed returns the device called key once it has been confirmed, or nil.
func (u *user) confirmed(key string) *device {
	if d := u.devices[key]; d != nil && d.Confirmed {
		return d
	}
	return nil
}

// present takes the DEVICE_KEY of a call into the sign-in. A client that is told that the
// device does not exist makes the same call again without the key, so nothing of the
// sign-in is used up.
func (s *Server) present(ss *session, p map[string]string) error {
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

// remembers returns the remembered device that ss was started on, or nil.
func (ss *session) remembers() *device {
	if d := ss.user.confirmed(ss.device); d != nil && d.Remembered {
		return d
	}
	return nil
}

// fitsDevice tells whether a refresh of f may be made with the device key that it has sent.
func (s *Server) fitsDevice(f *family, u *user, key string) bool {
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

// confirmDevice takes the salt and the verifier of a device's password. The access token
// must be of the very sign-in that brought the device's key.
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
		// They are Java's numbers: without a zero in front, a first bit that is set is a sign.
		return nil, invalidParameter("Found negative value for salt or password verifier")
	case d == nil, d.Confirmed, claims.DeviceKey != d.Key, len(salt) == 0,
		new(big.Int).Mod(new(big.Int).SetBytes(verifier), srpN).Sign() == 0:
		return nil, invalidParameter("Invalid device key given.")
	}
	d.Name, d.Confirmed, d.Remembered = in.DeviceName, true, s.set.devices == DevicesAlways
	d.salt, d.verifier = salt, new(big.Int).SetBytes(verifier)
	return confirmDeviceOutput{s.set.devices == DevicesOptIn}, nil
}

// signed decodes the bytes of a number and tells whether its sign is right.
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

// answerDevice takes the client's half of the device's handshake and gives the server's.
func (s *Server) answerDevice(ss *session, p map[string]string) (any, error) {
	in, err := need(p, "DEVICE_KEY", "SRP_A")
	if err != nil {
		return nil, err
	}
	bigA, err := srpClientPublic(in[1])
	if err != nil {
		return nil, err
	}
	d := ss.remembers()
	if d == nil {
		return nil, noDevice()
	}
	h, bigB := newHandshake(d.GroupKey, d.Key, d.verifier, bigA)
	next := s.renew(ss, "DEVICE_PASSWORD_VERIFIER")
	return s.askProof(next, h, map[string]string{
		"SALT": hex.EncodeToString(d.salt), "SRP_B": bigB.Text(16),
		"USERNAME": ss.user.Name, "DEVICE_KEY": d.Key,
	}), nil
}

// answerDeviceProof checks that the device knows its password.
func (s *Server) answerDeviceProof(ss *session, p map[string]string) (any, error) {
	if _, err := need(p, "DEVICE_KEY"); err != nil {
		return nil, err
	}
	c, err := claimIn(p)
	if err != nil {
		return nil, err
	}
	ss.used = true
	if ss.remembers() == nil {
		return nil, noDevice()
	}
	if !ss.srp.proves(c) {
		return nil, notAuthorized(badPassword)
	}
	ss.proven = true
	return s.proceed(ss)
}
