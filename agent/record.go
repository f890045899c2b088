// The form in which a sign-in is stored: see session.go for who owns what.

package agent

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/legaltalent/kyc-agent/internal/origin"
	"github.com/legaltalent/kyc-agent/store/shared"
)

// recordVersion is written into every record. A reader refuses a newer one, because the
// same names may mean something else there.
const recordVersion = 1

// wrappedVersion is the version of a record that package lock has wrapped.
const wrappedVersion = 2

// maxRecord is the largest record: wrapped, it still fits into the store.
const maxRecord = 2200

// A record is what the store holds of a sign-in, as JSON. With a refresh token of
// Cognito's usual 1,800 bytes it stays below maxRecord.
type record struct {
	Version      int       `json:"v"`
	Issuer       string    `json:"iss"` // for older versions and in their records: see place
	ClientID     string    `json:"client_id"`
	PoolID       string    `json:"pool,omitempty"`     // left out if Issuer ends with it
	Endpoint     string    `json:"endpoint,omitempty"` // its origin, if that is not Issuer's
	Environment  string    `json:"env,omitempty"`
	Login        string    `json:"login,omitempty"` // the user name as typed, if it is not Username
	Username     string    `json:"username"`
	Subject      string    `json:"sub"`
	RefreshToken string    `json:"refresh_token"`
	RefreshAPI   string    `json:"refresh_api,omitempty"`
	SignedInAt   time.Time `json:"signed_in_at"`
	Generation   int       `json:"generation"`      // grows with every new refresh token
	First        int       `json:"first,omitempty"` // the generation the sign-in began with
	Until        time.Time `json:"until,omitzero"`  // when it is revoked: see until.go

	DeviceKey      string `json:"device_key,omitempty"`
	DeviceGroupKey string `json:"device_group_key,omitempty"`
	DevicePassword string `json:"device_password,omitempty"`

	// Parent is the record of the fleet that this one came of, while it is not the fleet's.
	Parent shared.Parent `json:"parent,omitzero"`

	// APIKey replaces everything but the version, the time and the environment.
	APIKey string `json:"api_key,omitempty"`
}

// A storedSignIn is a record in memory: a sign-in, where it was made, and how often its
// refresh token was rotated.
type storedSignIn struct {
	issued          SignIn // what the provider issued
	at              place  // where it was made
	login           string // the user name as typed; empty if unknown
	generation      int
	firstGeneration int       // the generation the sign-in began with
	until           time.Time // when it is to be revoked and forgotten; zero means never
	apiKey          Secret    // if set, it is stored instead of a sign-in
	parent          shared.Parent
}

// belongsTo reports whether signIn was made where env is. It must not be sent anywhere else.
func (signIn *storedSignIn) belongsTo(env Environment) bool { return signIn.mismatch(env) == "" }

// mismatch returns why signIn must not be used for env, or "".
func (signIn *storedSignIn) mismatch(env Environment) string {
	if signIn.apiKey.IsZero() {
		return signIn.at.mismatch(env)
	}
	if name := signIn.at.environment; name != "" && name != env.Name {
		return "the stored API key belongs to another environment"
	}
	return ""
}

// afterRefresh returns the sign-in after a refresh of signIn in env that yielded got.
func (signIn *storedSignIn) afterRefresh(env Environment, got SignIn) *storedSignIn {
	n := *signIn
	n.at = placeOf(env) // fills in what an older version left out, and names the issuer in force
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

// user returns the name of the user: as typed, if that is known.
func (signIn *storedSignIn) user() string { return cmp.Or(signIn.login, signIn.issued.Username) }

// sameTokenAs reports whether o is stored with the same refresh token or API key.
func (signIn *storedSignIn) sameTokenAs(o *storedSignIn) bool {
	return signIn.issued.RefreshToken.Equal(o.issued.RefreshToken) && signIn.apiKey.Equal(o.apiKey)
}

// sameSignInAs reports whether o is the same sign-in, maybe with a newer refresh token.
func (signIn *storedSignIn) sameSignInAs(o *storedSignIn) bool {
	return signIn.issued.Subject == o.issued.Subject && signIn.issued.SignedInAt.Equal(o.issued.SignedInAt)
}

// sameAs compares what a refresh can change.
func (signIn *storedSignIn) sameAs(o *storedSignIn) bool {
	a, b := signIn.issued, o.issued
	return signIn.generation == o.generation && a.RefreshToken.Equal(b.RefreshToken) &&
		a.RefreshAPI == b.RefreshAPI && a.Device.Key == b.Device.Key && signIn.at == o.at
}

// encode returns the record of signIn. It leaves out what decodeRecord derives, and the name as
// typed if there is no room for it.
func (signIn *storedSignIn) encode() ([]byte, error) {
	at := signIn.at
	r := record{
		Version: recordVersion, Issuer: at.issuer, ClientID: at.clientID, PoolID: at.poolID, Environment: at.environment,
		Username: signIn.issued.Username, Subject: signIn.issued.Subject, Login: signIn.login,
		RefreshToken: signIn.issued.RefreshToken.Reveal(), RefreshAPI: signIn.issued.RefreshAPI,
		SignedInAt: signIn.issued.SignedInAt.UTC(), Generation: signIn.generation, First: signIn.firstGeneration,
		DeviceKey: signIn.issued.Device.Key, DeviceGroupKey: signIn.issued.Device.GroupKey, DevicePassword: signIn.issued.Device.Password.Reveal(),
		Parent: signIn.parent, APIKey: signIn.apiKey.Reveal(), Until: signIn.until,
	}
	if r.PoolID == poolOfIssuer(at.issuer) {
		r.PoolID = ""
	}
	if at.endpoint != (origin.Origin{}) && at.endpoint != originOf(at.issuer) {
		r.Endpoint = at.endpoint.String()
	}
	if r.Login == r.Username {
		r.Login = ""
	}
	data, err := json.Marshal(r)
	if len(data) > maxRecord && r.Login != "" {
		r.Login = ""
		data, err = json.Marshal(r)
	}
	return data, err
}

var (
	errDamaged = errors.New("the stored sign-in is damaged")
	errWrapped = errors.New("the stored sign-in is locked with a passphrase")
	errNewer   = errors.New("the stored sign-in was written by a newer kyc-agentd")
)

// decodeRecord parses a record. Its errors contain nothing of the data, because a JSON
// error could quote the token.
func decodeRecord(data []byte) (*storedSignIn, error) {
	var v struct {
		Version int    `json:"v"`
		Wrapped []byte `json:"x25519"`
	}
	if json.Unmarshal(data, &v) != nil || v.Version < 1 {
		return nil, errDamaged
	}
	if v.Version == wrappedVersion && len(v.Wrapped) > 0 {
		return nil, errWrapped
	}
	if v.Version > recordVersion {
		return nil, fmt.Errorf("%w (record version %d, this one reads up to %d)", errNewer, v.Version, recordVersion)
	}
	var r record
	if json.Unmarshal(data, &r) != nil || r.APIKey == "" && (r.RefreshToken == "" || r.Subject == "") {
		return nil, errDamaged
	}
	at := place{environment: r.Environment, poolID: cmp.Or(r.PoolID, poolOfIssuer(r.Issuer)), clientID: r.ClientID, issuer: r.Issuer}
	switch {
	case r.Endpoint != "":
		if at.endpoint = originOf(r.Endpoint); at.endpoint == (origin.Origin{}) {
			return nil, errDamaged
		}
	case r.Environment != "": // no older version wrote it
		at.endpoint = originOf(r.Issuer)
	}
	return &storedSignIn{
		issued: SignIn{
			Username: r.Username, Subject: r.Subject, RefreshToken: NewSecret(r.RefreshToken),
			RefreshAPI: r.RefreshAPI, SignedInAt: r.SignedInAt,
			Device: Device{Key: r.DeviceKey, GroupKey: r.DeviceGroupKey, Password: NewSecret(r.DevicePassword)},
		},
		at: at, login: r.Login, generation: r.Generation, firstGeneration: r.First,
		apiKey: NewSecret(r.APIKey), until: r.Until, parent: r.Parent,
	}, nil
}
