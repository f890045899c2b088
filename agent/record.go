package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// recordVersion is written into every record. A reader refuses a newer one, for it
// may mean something else by the same names.
const recordVersion = 1

// A record is what the store keeps of a sign-in, as JSON. It stays below
// store.MaxValue with a refresh token of Cognito's usual 1,800 bytes.
type record struct {
	Version      int       `json:"v"`
	Issuer       string    `json:"iss"` // with ClientID: whom the refresh token may be shown to
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

	// APIKey takes the place of everything but the version and the time.
	APIKey string `json:"api_key,omitempty"`
}

// A storedSignIn is a sign-in in memory, with its place in the rotation.
type storedSignIn struct {
	issued          SignIn // by the provider
	issuer          string
	clientID        string
	generation      int
	firstGeneration int    // the generation the sign-in began with
	apiKey          Secret // when set, there is no sign-in but this
}

// belongsTo reports whether signIn was made at the pool and client of env: its refresh
// token must not be shown to another.
func (signIn *storedSignIn) belongsTo(env Environment) bool {
	return signIn.issuer == env.IssuerURL() && signIn.clientID == env.ClientID
}

// afterRefresh is the sign-in after a refresh of signIn that yielded got.
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
	return signIn.generation == o.generation && signIn.issued.RefreshToken.Equal(o.issued.RefreshToken) && signIn.issued.RefreshAPI == o.issued.RefreshAPI && signIn.issued.Device.Key == o.issued.Device.Key
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

// decodeRecord reads a record. Its errors hold nothing of the data: a JSON error
// could quote the token.
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
