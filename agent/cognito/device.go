package cognito

import (
	"context"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cip "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito/srp"
)

// This file is about remembered devices. A user pool that remembers devices assigns a device
// key to each sign-in on an unknown machine and refuses to refresh without the key. On a known
// machine it asks for a proof of the device's own password, usually instead of a second
// factor.
// https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-device-tracking.html

// addDeviceKey adds the key by which the pool may know this machine.
func (si *signIn) addDeviceKey(parameters map[string]string) {
	if si.device.Key != "" {
		parameters["DEVICE_KEY"] = si.device.Key
	}
}

// dropUnknownDevice reports whether a call failed because the pool does not know the device
// key. It then forgets the device, and the caller repeats the call without it, which is safe
// because Cognito has not consumed the session or the code. Cognito uses the same error code
// for an unknown app client; the repeated call then fails with it again.
func (si *signIn) dropUnknownDevice(f *failure) bool {
	if si.device.Key == "" || f.Code != "ResourceNotFoundException" {
		return false
	}
	si.forgetDevice()
	return true
}

func (si *signIn) forgetDevice() {
	si.op.auth.log.Info("the user pool no longer knows this machine", "op", si.op.name, "env", si.op.env.Name)
	si.device = agent.Device{}
}

func (si *signIn) deviceIdentity() srp.Identity {
	return srp.Identity{Group: si.device.GroupKey, Name: si.device.Key}
}

// sendDeviceSRPA answers DEVICE_SRP_AUTH; DEVICE_PASSWORD_VERIFIER comes next.
func (si *signIn) sendDeviceSRPA(ctx context.Context, s step) (step, error) {
	return si.respondForDevice(ctx, s, map[string]string{"SRP_A": si.startSRP()})
}

// sendDeviceProof answers DEVICE_PASSWORD_VERIFIER, with a proof of the device's password.
func (si *signIn) sendDeviceProof(ctx context.Context, s step) (step, error) {
	responses, err := si.srpResponse(s, si.deviceIdentity(), si.device.Password)
	if err != nil {
		return step{}, err
	}
	return si.respondForDevice(ctx, s, responses)
}

// respondForDevice sends an answer about the device. If the pool refuses the device, the
// sign-in begins again without it.
func (si *signIn) respondForDevice(ctx context.Context, s step, responses map[string]string) (step, error) {
	if si.device.Key == "" {
		return step{}, si.op.unsupportedChallenge(s)
	}
	next, fail := withTries(ctx, func() (step, *failure) { return si.respondOnce(ctx, s, responses) })
	switch {
	case fail == nil:
		return next, nil
	case deviceRefusals[fail.Code] && fail.Status < 500 && !fail.aboutSecret():
		si.forgetDevice()
		return si.initiate(ctx)
	}
	return step{}, si.challengeError(answerMapping, s, fail)
}

// deviceRefusals are the error codes with which a pool refuses a device.
var deviceRefusals = map[string]bool{
	"NotAuthorizedException":    true,
	"ResourceNotFoundException": true,
	"InvalidParameterException": true,
}

// confirmDevice registers this machine as a device if the pool wants that: it generates a
// password for the device and sends the verifier of that password. The sign-in is valid
// without this, so a failure is only logged, but the pool may then refuse to refresh. Some
// pools let users decide which devices to remember; these are not told to remember this one,
// because refreshes work without.
func (si *signIn) confirmDevice(ctx context.Context, r *types.AuthenticationResultType) (agent.Device, bool) {
	if r.NewDeviceMetadata == nil || aws.ToString(r.NewDeviceMetadata.DeviceKey) == "" {
		return agent.Device{}, false
	}
	d := agent.Device{Key: aws.ToString(r.NewDeviceMetadata.DeviceKey), GroupKey: aws.ToString(r.NewDeviceMetadata.DeviceGroupKey)}
	password, verifier := srp.NewDevice(srp.Identity{Group: d.GroupKey, Name: d.Key})
	d.Password = agent.NewSecret(password)
	// The caller cannot cancel this: the sign-in exists by now, and needs its device.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), quickTimeout)
	defer cancel()
	_, _, fail := invoke(ctx, si.op, "ConfirmDevice", func(ctx context.Context) (*cip.ConfirmDeviceOutput, error) {
		return si.op.api.ConfirmDevice(ctx, &cip.ConfirmDeviceInput{
			AccessToken: r.AccessToken, DeviceKey: aws.String(d.Key), DeviceName: aws.String(deviceName()),
			DeviceSecretVerifierConfig: &types.DeviceSecretVerifierConfigType{
				PasswordVerifier: aws.String(verifier.Verifier), Salt: aws.String(verifier.Salt),
			},
		})
	})
	if fail != nil {
		si.op.auth.log.Warn("the user pool did not register this machine as a known device: it may refuse to refresh; then "+si.op.rerunHint(),
			"op", si.op.name, "env", si.op.env.Name, "error", fail.Error())
	}
	return d, true
}

// maxHostname is the longest host name that is used in a device name, in bytes.
const maxHostname = 63

// deviceName returns the name under which the pool lists this machine.
func deviceName() string {
	host, err := os.Hostname()
	host, _, _ = strings.Cut(printable(host), ".")
	if err != nil || host == "" || len(host) > maxHostname {
		return "kyc-agentd"
	}
	return "kyc-agentd on " + host
}
