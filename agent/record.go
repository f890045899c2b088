// The form in which a sign-in is stored: see session.go for who owns what.

package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// recordVersion is written into every record. A reader refuses a newer one, because the
// same names may mean something else there.
const recordVersion = 1

// A record is what the store holds of a sign-in, as JSON. With a refresh token of
// Cognito's usual 1,800 bytes it stays below store.MaxValue.
type record struct {
	Version      int       `json:"v"`
	Issuer       string    `json:"iss"` // with ClientID: where the refresh token may be sent
	ClientID     string    `json:"client_id"`
	Username     string    `json:"username"`
	Subject      string    `json:"sub"`
	RefreshToken string    `json:"refresh_token"`
	RefreshAPI   string    `json:"refresh_api,omitempty"`
	SignedInAt   time.Time `json:"signed_in_at"`
	Generation   int       `json:"generation"`      // grows with every new refresh token
	First        int       `json:"first,omitempty"` // the generation the sign-in began with

	DeviceKey      string `json:"device_key,omitempty"`
	DeviceGroupKey string `json:"device_group_key,omitempty"`
	DevicePassword string `json:"device_password,omitempty"`

	// APIKey replaces everything but the version and the time.
	APIKey string `json:"api_key,omitempty"`
}

// A storedSignIn is a record in memory: a sign-in, where it was made, and how often its
// refresh token was rotated.
type storedSignIn struct {
	issued          SignIn // what the provider issued
	issuer          string
	clientID        string
	generation      int
	firstGeneration int    // the generation the sign-in began with
	apiKey          Secret // if set, it is stored instead of a sign-in
}

// belongsTo reports whether signIn was made at the user pool and client of env. Its refresh
// token must not be sent to any other.
func (signIn *storedSignIn) belongsTo(env Environment) bool {
	return signIn.issuer == env.IssuerURL() && signIn.clientID == env.ClientID
}

// afterRefresh returns the sign-in after a refresh of signIn that yielded got.
func (signIn *storedSignIn) afterRefresh(got SignIn) *storedSignIn {
	n := *signIn
	if !got.RefreshToken.IsZero() && !got.RefreshToken.Equal(signIn.issued.RefreshToken) {
		n.issued.RefreshToken = got.RefreshToken
		n.generation++
	}
	if got.RefreshAPI != "" {
		n.issued.RefreshAPI = got.RefreshAPI
	}
	if got.Device.Key != "" {
		n.issued.Device = got.Device
	}
	return &n
}

// sameAs compares what a refresh can change.
func (signIn *storedSignIn) sameAs(o *storedSignIn) bool {
	a, b := signIn.issued, o.issued
	return signIn.generation == o.generation && a.RefreshToken.Equal(b.RefreshToken) &&
		a.RefreshAPI == b.RefreshAPI && a.Device.Key == b.Device.Key
}

func (signIn *storedSignIn) encode() ([]byte, error) {
	return json.Marshal(record{
		Version: recordVersion, Issuer: signIn.issuer, ClientID: signIn.clientID,
		Username: signIn.issued.Username, Subject: signIn.issued.Subject,
		RefreshToken: signIn.issued.RefreshToken.Reveal(), RefreshAPI: signIn.issued.RefreshAPI,
		SignedInAt: signIn.issued.SignedInAt.UTC(), Generation: signIn.generation, First: signIn.firstGeneration,
		DeviceKey: signIn.issued.Device.Key, DeviceGroupKey: signIn.issued.Device.GroupKey, DevicePassword: signIn.issued.Device.Password.Reveal(),
		APIKey: signIn.apiKey.Reveal(),
	})
}

var (
	errDamaged = errors.New("the stored sign-in is damaged")
	errNewer   = errors.New("the stored sign-in was written by a newer kyc-agentd")
)

// decodeRecord parses a record. Its errors contain nothing of the data, because a JSON
// error could quote the token.
func decodeRecord(data []byte) (*storedSignIn, error) {
	var v struct {
		Version int `json:"v"`
	}
	if json.Unmarshal(data, &v) != nil || v.Version < 1 {
		return nil, errDamaged
	}
	if v.Version > recordVersion {
		return nil, fmt.Errorf("%w (record version %d, this one reads up to %d)", errNewer, v.Version, recordVersion)
	}
	var r record
	if json.Unmarshal(data, &r) != nil || r.APIKey == "" && (r.RefreshToken == "" || r.Subject == "") {
		return nil, errDamaged
	}
	return &storedSignIn{
		issued: SignIn{
			Username: r.Username, Subject: r.Subject, RefreshToken: NewSecret(r.RefreshToken),
			RefreshAPI: r.RefreshAPI, SignedInAt: r.SignedInAt,
			Device: Device{Key: r.DeviceKey, GroupKey: r.DeviceGroupKey, Password: NewSecret(r.DevicePassword)},
		},
		issuer: r.Issuer, clientID: r.ClientID, generation: r.Generation, firstGeneration: r.First,
		apiKey: NewSecret(r.APIKey),
	}, nil
}
