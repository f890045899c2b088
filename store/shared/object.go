package shared

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// objectVersion is written into every object and every record. A reader refuses a newer one
// and does not replace it. Fields that an older version may drop need no new number.
const objectVersion = 1

// An object is the value that the engine has, as JSON: a revision, who refreshes, and a
// sealed record.
type object struct {
	Version     int    `json:"v"`
	Environment string `json:"env"`
	Revision    int64  `json:"rev"`
	Lease       *claim `json:"lease,omitempty"`
	Sealed      []byte `json:"sealed,omitempty"`
}

// A claim says who refreshes. Its nonce changes with every renewal.
type claim struct {
	Holder string `json:"holder"`
	Nonce  string `json:"nonce"`
}

// A sealedRecord is a Record inside of the seal. The environment and the revision are in
// there as well, so that neither can be given to another record.
type sealedRecord struct {
	Version     int    `json:"v"`
	Environment string `json:"env"`
	Revision    int64  `json:"rev"`
	Writer      string `json:"writer"`
	SignIn      []byte `json:"sign_in,omitempty"`
	First       []byte `json:"first,omitempty"`
	Rejected    string `json:"rejected,omitempty"`
	Refused     int64  `json:"refused,omitempty"`
	Token       *Token `json:"token,omitempty"`
}

// parseObject reads an object without opening its seal. No data is an object without a record.
func parseObject(environment string, data []byte) (object, error) {
	if data == nil {
		return object{Version: objectVersion, Environment: environment}, nil
	}
	var o object
	if err := json.Unmarshal(data, &o); err != nil || o.Version < 1 {
		return o, fmt.Errorf("the value of %s is not one of kyc-agentd, or damaged: %w", environment, ErrForeign)
	}
	switch {
	case o.Version > objectVersion:
		return o, fmt.Errorf("the value of %s has version %d, and this kyc-agentd reads up to %d: %w", environment, o.Version, objectVersion, ErrNewer)
	case o.Environment != environment:
		return o, fmt.Errorf("the value of %s is that of environment %q: %w", environment, sanitize.Cut(o.Environment, 64), ErrSwapped)
	}
	return o, nil
}

func (o object) encode() []byte {
	data, _ := json.Marshal(o) // strings, numbers and bytes
	return data
}

// with returns o with another lease; nil is none.
func (o object) with(lease *claim) object {
	o.Lease = lease
	return o
}

// holder returns who refreshes, or "". The engine's text reaches a terminal.
func (o object) holder() string {
	if o.Lease == nil {
		return ""
	}
	return sanitize.Cut(o.Lease.Holder, 64)
}

func (o object) nonce() string {
	if o.Lease == nil {
		return ""
	}
	return o.Lease.Nonce
}

// record opens the seal.
func (o object) record(sealer Sealer) (Record, error) {
	if o.Sealed == nil {
		return Record{Revision: o.Revision}, nil
	}
	plain, err := sealer.Open(o.context(), o.Sealed)
	if err != nil {
		return Record{}, fmt.Errorf("the value of %s: %w", o.Environment, err)
	}
	var r sealedRecord
	if json.Unmarshal(plain, &r) != nil || r.Environment != o.Environment || r.Revision != o.Revision {
		return Record{}, fmt.Errorf("the value of %s does not agree with its seal: %w", o.Environment, ErrForeign)
	}
	if r.Version > objectVersion {
		return Record{}, fmt.Errorf("the record of %s has version %d, and this kyc-agentd reads up to %d: %w", o.Environment, r.Version, objectVersion, ErrNewer)
	}
	return Record{Revision: r.Revision, SignIn: r.SignIn, First: r.First, Rejected: r.Rejected, Refused: r.Refused, Token: r.Token, Writer: r.Writer}, nil
}

// seal returns the object of r, without a lease.
func (r Record) seal(environment string, sealer Sealer) (object, error) {
	o := object{Version: objectVersion, Environment: environment, Revision: r.Revision}
	plain, err := json.Marshal(sealedRecord{
		Version: objectVersion, Environment: environment, Revision: r.Revision, Writer: r.Writer,
		SignIn: r.SignIn, First: r.First, Rejected: r.Rejected, Refused: r.Refused, Token: r.Token,
	})
	if err == nil {
		o.Sealed, err = sealer.Seal(o.context(), plain)
	}
	return o, err
}

// context is what the seal is bound to.
func (o object) context() string { return o.Environment + "/" + strconv.FormatInt(o.Revision, 10) }
