package audit

import (
	"bufio"
	"encoding/json"
	"io"
	"strconv"
)

// A Head is the place and the hash of a line, from the daemon's log.
type Head struct {
	Chain string
	N     uint64
	Hash  string
	File  string // audit.jsonl of that agent
}

// key names the line.
func (h Head) key() string { return h.Chain + "/" + strconv.FormatUint(h.N, 10) }

// ReadHeads reads the heads in a log: the JSON of the daemon, or that of journalctl -o json.
// Other lines are left out.
func ReadHeads(r io.Reader) ([]Head, error) {
	var heads []Head
	lines := bufio.NewReaderSize(r, maxLine)
	for {
		raw, err := readLine(lines)
		if err == io.EOF {
			return heads, nil
		}
		if err != nil {
			return heads, err
		}
		if h, ok := parseHead(raw); ok {
			heads = append(heads, h)
		}
	}
}

func parseHead(raw []byte) (Head, bool) {
	var x struct {
		Message string `json:"msg"`
		Chain   string `json:"chain"`
		N       uint64 `json:"n"`
		Hash    string `json:"hash"`

		File string `json:"file"`

		JournalFile  string `json:"KYC_FILE"`
		JournalChain string `json:"KYC_CHAIN"`
		JournalN     string `json:"KYC_N"`
		JournalHash  string `json:"KYC_HASH"`
	}
	if json.Unmarshal(raw, &x) != nil {
		return Head{}, false
	}
	if x.JournalChain != "" {
		n, err := strconv.ParseUint(x.JournalN, 10, 64)
		return Head{x.JournalChain, n, x.JournalHash, x.JournalFile}, err == nil
	}
	return Head{x.Chain, x.N, x.Hash, x.File}, x.Message == HeadMessage
}
