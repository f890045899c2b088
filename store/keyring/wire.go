package keyring

// The protocol between the store and its child process: one JSON object each way, a
// request on the child's standard input and an answer on its standard output. Before that
// the child writes the byte hardened, and the store sends the request only then.

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/store"
)

// hardened says that no other process of the user can read the child's memory. A blank is no
// part of the answer to an agent that does not wait for it: where SelfCommand names a path, an
// upgrade lets an older agent start this program.
const hardened = ' '

const (
	maxValue   = 64 << 10
	maxMessage = 256 << 10 // more than a value in base64, or any list of keys, takes
	maxDetail  = 200       // characters
)

const (
	opGet    = "get"
	opPut    = "put"
	opDelete = "delete"
	opKeys   = "keys"
)

type request struct {
	Op    string `json:"op"`
	Key   string `json:"key,omitempty"`
	Value []byte `json:"value,omitempty"`
	// Prompt is whether the keyring may ask a person to unlock it.
	Prompt bool `json:"prompt,omitempty"`
	// Ready is how long the keyring may take to report its state, which needs no
	// person. Limit is how long the whole operation may take.
	Ready time.Duration `json:"ready"`
	Limit time.Duration `json:"limit"`
}

type answer struct {
	Code code `json:"code"`
	// Detail is the keyring's message, for a person. It never contains the value.
	Detail string   `json:"detail,omitempty"`
	Value  []byte   `json:"value,omitempty"`
	Keys   []string `json:"keys,omitempty"`
}

// parseRequest reads a request, at most maxMessage bytes, up to the end of in.
func parseRequest(in io.Reader) (request, error) {
	data, err := io.ReadAll(io.LimitReader(in, maxMessage+1))
	if err != nil {
		return request{}, err
	}
	var r request
	if err := decode(data, &r); err != nil {
		return request{}, err
	}
	return r, r.check()
}

func (r request) check() error {
	switch {
	case !slices.Contains([]string{opGet, opPut, opDelete, opKeys}, r.Op):
		return errors.New("unknown operation")
	case r.Op == opKeys && r.Key != "" || r.Op != opKeys && !store.ValidKey(r.Key):
		return errors.New("invalid key")
	case r.Op != opPut && r.Value != nil || len(r.Value) > maxValue:
		return errors.New("invalid value")
	case r.Ready <= 0 || r.Limit < r.Ready:
		return errors.New("invalid limits")
	}
	return nil
}

// parseAnswer parses the answer of a child to a request for op. It returns an error
// unless the answer is valid.
func parseAnswer(op string, data []byte) (answer, error) {
	var a answer
	if err := decode(data, &a); err != nil {
		return answer{}, err
	}
	a.Detail = sanitize.Short(a.Detail, maxDetail)
	good := a.Code == codeOK
	switch {
	case !slices.Contains(codes, a.Code):
		return answer{}, errors.New("unknown code")
	case a.Value != nil && (op != opGet || !good) || len(a.Value) > maxValue:
		return answer{}, errors.New("unexpected value")
	case a.Keys != nil && (op != opKeys || !good):
		return answer{}, errors.New("unexpected keys")
	case !slices.IsSortedFunc(a.Keys, ascending) || slices.ContainsFunc(a.Keys, invalid):
		return answer{}, errors.New("invalid keys")
	}
	return a, nil
}

func invalid(key string) bool { return !store.ValidKey(key) }

// ascending compares two keys so that equal ones count as out of order.
func ascending(a, b string) int {
	if a == b {
		return -1
	}
	return strings.Compare(a, b)
}

// decode reads one JSON object and nothing after it. Its errors do not quote data.
func decode(data []byte, v any) error {
	if len(data) > maxMessage {
		return fmt.Errorf("above %d bytes", maxMessage)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errors.New("not the expected JSON object")
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more data after the JSON object")
	}
	return nil
}
