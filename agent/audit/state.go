package audit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/legaltalent/kyc-agent/internal/durable"
)

// stateSize is that of audit.state. It is always written in place and whole, so that the key
// that was there is overwritten, also where the disk is full.
const stateSize = 512

// A state is what audit.state says.
type state struct {
	head
	size  int64 // of audit.jsonl after the last line
	files int   // the number of the newest file that is full
}

type stateJSON struct {
	Version int    `json:"v"`
	Chain   string `json:"chain"`
	N       uint64 `json:"n"`
	Hash    string `json:"hash"`
	Size    int64  `json:"size"`
	Files   int    `json:"files"`
	Key     string `json:"key,omitempty"`
}

var errNoState = errors.New("there is no usable audit.state")

// parseState reads the content of audit.state.
func parseState(raw []byte) (state, error) {
	var j stateJSON
	if json.Unmarshal(raw, &j) != nil || j.Version < 1 {
		return state{}, errNoState
	}
	if j.Version > version {
		return state{}, errNewer
	}
	s := state{size: j.Size, files: j.Files}
	s.chain, s.n = j.Chain, j.N
	if len(j.Chain) != chainDigits || !decodeHex(s.hash[:], j.Hash) {
		return state{}, errNoState
	}
	if j.Key != "" {
		s.key = new(macKey)
		if !decodeHex(s.key[:], j.Key) {
			return state{}, errNoState
		}
	}
	return s, nil
}

func decodeHex(to []byte, from string) bool {
	raw, err := hex.DecodeString(from)
	return err == nil && copy(to, raw) == len(to) && len(raw) == len(to)
}

// encode returns the content of audit.state.
func (s state) encode() []byte {
	j := stateJSON{Version: version, Chain: s.chain, N: s.n, Hash: hex.EncodeToString(s.hash[:]), Size: s.size, Files: s.files}
	if s.key != nil {
		j.Key = hex.EncodeToString(s.key[:])
	}
	raw, _ := json.Marshal(j) // never fails
	return append(append(raw, bytes.Repeat([]byte(" "), stateSize-1-len(raw))...), '\n')
}

// readState reads audit.state of an open folder. It is errNoState if there is none that can be
// used.
func readState(root *os.Root) (state, error) {
	f, err := durable.OpenRegular(root, stateName, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, errNoState
	}
	if err != nil {
		return state{}, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, 16*stateSize))
	if err != nil {
		return state{}, err
	}
	s, err := parseState(raw)
	if errors.Is(err, errNewer) {
		err = fmt.Errorf("%s: %w", stateName, err)
	}
	return s, err
}

// writeState writes audit.state in place.
func writeState(root *os.Root, s state) error {
	f, err := durable.OpenRegular(root, stateName, os.O_WRONLY|os.O_CREATE)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteAt(s.encode(), 0)
	return err
}
