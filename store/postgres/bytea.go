package postgres

import (
	"bytes"
	"encoding/hex"
	"errors"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// encodeBytea writes the text form of bytea, which every version since 9.0 reads.
func encodeBytea(data []byte) []byte { return append([]byte(`\x`), hex.EncodeToString(data)...) }

// decodeBytea reads it, provided that bytea_output is hex, the default.
func decodeBytea(text []byte) ([]byte, error) {
	digits, ok := bytes.CutPrefix(text, []byte(`\x`))
	if !ok {
		return nil, errors.New("not hex")
	}
	data := make([]byte, hex.DecodedLen(len(digits)))
	_, err := hex.Decode(data, digits)
	return data, err
}

// oneLine makes a server's text safe for a terminal and a log.
func oneLine(s string) string { return sanitize.Cut(s, 200) }
