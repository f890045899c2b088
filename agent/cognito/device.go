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

// Remembered devices. A user pool that remembers them gives each sign-in on an unknown
// machine a device key, refuses to refresh without it, and where it is known asks
// for the proof of the device's own password, mostly in the place of a second factor.
// https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-device-tracking.html

// addDeviceKey adds the key that the pool may know this machine by.
func (si *signIn) addDeviceKey(parameters map[string]string) {
	if si.device.Key != "" {
		parameters["DEVICE_KEY"] = si.device.Key
	}
}

// dropUnknownDevice reports whether a call failed because the pool does not know the device that
// was shown. Then it is not shown again, and the same call will do without: Cognito
// has used nothing up. The same code says that there is no such app client; the second
// call will then say so.
func (si *signIn) dropUnknownDevice(f *failure) bool {
	if si.device.Key == "" || f.Code != "ResourceNotFoundException" {
		return false
	}
	si.forgetDevice()
	return true
}

func (si *signIn) forgetDevice() {
	si.op.auth.log.Info("the user pool does not know this machine any more", "op", si.op.name, "env", si.op.env.Name)
	si.device = agent.Device{}
}

func (si *signIn) deviceIdentity() srp.Identity {
	return srp.Identity{Group: si.device.GroupKey, Name: si.device.Key}
}

// sendDeviceSRPA answers DEVICE_SRP_AUTH; DEVICE_PASSWORD_VERIFIER comes next.
func (si *signIn) sendDeviceSRPA(ctx context.Context, s step) (step, error) {
	return si.respondForDevice(ctx, s, map[string]string{"SRP_A": si.startSRP()})
}

// sendDeviceProof answers DEVICE_PASSWORD_VERIFIER.
func (si *signIn) sendDeviceProof(ctx context.Context, s step) (step, error) {
	responses, err := si.srpResponse(s, si.deviceIdentity(), si.device.Password)
	if err != nil {
		return step{}, err
	}
	return si.respondForDevice(ctx, s, responses)
}

// respondForDevice answers for the device. Where the pool refuses it, the sign-in
// begins again without it.
func (si *signIn) respondForDevice(ctx context.Context, s step, responses map[string]string) (step, error) {
	if si.device.Key == "" {
		return step{}, si.op.unsupportedChallenge(s.challenge)
	}
	next, fail := si.respondOnce(ctx, s, responses)
	switch {
	case fail == nil:
		return next, nil
	case deviceRefusals[fail.Code] && fail.Status < 500 && !fail.aboutSecret():
		si.forgetDevice()
		return si.initiate(ctx)
	}
	return step{}, si.challengeError(answerMapping, s, fail)
}

// deviceRefusals are the codes that say no to a device.
var deviceRefusals = map[string]bool{
	"NotAuthorizedException":    true,
	"ResourceNotFoundException": true,
	"InvalidParameterException": true,
}

// confirmDevice makes this machine known to the pool, where that is what it wants: it
// invents a password for it and tells the pool the verifier. The sign-in is good
// without, so a failure is only told in the log; but the pool may then refuse to refresh.
// A pool that leaves it to the user which devices to remember hears nothing more:
// refreshes work there without.
func (si *signIn) confirmDevice(ctx context.Context, r *types.AuthenticationResultType) (agent.Device, bool) {
	if r.NewDeviceMetadata == nil || aws.ToString(r.NewDeviceMetadata.DeviceKey) == "" {
		return agent.Device{}, false
	}
	d := agent.Device{Key: aws.ToString(r.NewDeviceMetadata.DeviceKey), GroupKey: aws.ToString(r.NewDeviceMetadata.DeviceGroupKey)}
	password, verifier := srp.NewDevice(srp.Identity{Group: d.GroupKey, Name: d.Key})
	d.Password = agent.NewSecret(password)
	// Not for the caller to cancel: there is a sign-in by now that needs it.
	_, _, fail := invoke(context.WithoutCancel(ctx), si.op, "ConfirmDevice", func(ctx context.Context) (*cip.ConfirmDeviceOutput, error) {
		return si.op.api.ConfirmDevice(ctx, &cip.ConfirmDeviceInput{
			AccessToken: r.AccessToken, DeviceKey: aws.String(d.Key), DeviceName: aws.String(deviceName()),
			DeviceSecretVerifierConfig: &types.DeviceSecretVerifierConfigType{
				PasswordVerifier: aws.String(verifier.Verifier), Salt: aws.String(verifier.Salt),
			},
		})
	})
	if fail != nil {
		si.op.auth.log.Warn("the user pool did not take this machine for a known one: it may refuse to refresh; then "+si.op.rerunHint(),
			"op", si.op.name, "env", si.op.env.Name, "error", fail.Error())
	}
	return d, true
}

// maxHostname is how much of a host's name goes into a device's name, in bytes.
const maxHostname = 63

// deviceName is what the pool lists this machine as.
func deviceName() string {
	host, err := os.Hostname()
	host, _, _ = strings.Cut(printable(host), ".")
	if err != nil || host == "" || len(host) > maxHostname {
		return "kyc-agentd"
	}
	return "kyc-agentd on " + host
}
