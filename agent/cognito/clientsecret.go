package cognito

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// An app client with a secret wants proof of it in nearly every call: as an HMAC over a
// user's name, or plain where a call names no user. Calls with an access token need none.
// https://docs.aws.amazon.com/cognito/latest/developerguide/signing-up-users-in-your-app.html

// secretHash is the proof in a call that names user. It is empty for an app client
// without a secret. The name must be the one in the call, and from the first
// challenge on that is the real one: see userOf.
func (o *operation) secretHash(user string) string {
	if o.env.ClientSecret.IsZero() {
		return ""
	}
	m := hmac.New(sha256.New, []byte(o.env.ClientSecret.Reveal()))
	_, _ = m.Write([]byte(user + o.env.ClientID))
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// addSecretHash puts the proof into AuthParameters or ChallengeResponses.
func (o *operation) addSecretHash(parameters map[string]string, user string) {
	if hash := o.secretHash(user); hash != "" {
		parameters["SECRET_HASH"] = hash
	}
}

// plainSecret is the proof in a call that names no user; nil without a secret.
func (o *operation) plainSecret() *string { return optional(o.env.ClientSecret.Reveal()) }

// optional is s for a field that is left out when there is nothing to say.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return aws.String(s)
}
