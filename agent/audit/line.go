package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// version is that of the format. A file or a state with a higher one is not written to.
const version = 1

const (
	maxText  = 256 // characters of a text that a client chose, such as a path
	shownEnd = 6   // characters of a token that are written
)

// A Line is one line of the log. Prev and MAC are the last fields.
type Line struct {
	Version int       `json:"v"`
	N       uint64    `json:"n"`     // counts from 1 in each chain
	Chain   string    `json:"chain"` // 8 hexadecimal digits
	Time    time.Time `json:"time"`
	Event   Kind      `json:"event"`
	Who     Who       `json:"who"`
	What    What      `json:"what"`
	Grant   string    `json:"grant,omitempty"`
	// Count is how many events the line is for, since Since; 0 is one.
	Count int        `json:"count,omitempty"`
	Since *time.Time `json:"since,omitempty"`
	// Dropped is how many events before this line have none.
	Dropped uint64 `json:"dropped,omitempty"`
	// Removed is the last line, as CHAIN/N, of the files that are removed after this line,
	// because the log would be larger than its limit.
	Removed string `json:"removed,omitempty"`
	Note    string `json:"note,omitempty"` // what the agent found wrong with the file
	Prev    string `json:"prev"`           // SHA-256 of the line before, without its end
	MAC     string `json:"mac,omitempty"`  // HMAC-SHA-256 of the line up to here
}

// Who is who asked.
type Who struct {
	*Peer
	Socket string `json:"socket,omitempty"` // "agent" is the agent's own
}

// What is what they got.
type What struct {
	Environment string `json:"environment,omitempty"`
	User        string `json:"user,omitempty"`
	JTI         string `json:"jti,omitempty"` // the `jti` of the token
	End         string `json:"end,omitempty"` // the end of the token
	Detail      string `json:"detail,omitempty"`
	Method      string `json:"method,omitempty"`
	Path        string `json:"path,omitempty"`
	Status      int    `json:"status,omitempty"`
	Code        string `json:"code,omitempty"`
}

// ownSocket is what lines call the agent's own socket.
const ownSocket = "agent"

// line makes the line of an entry, without its place in the chain.
func (e entry) line() Line {
	l := Line{
		Version: version, Time: e.Time.UTC().Round(time.Millisecond), Event: e.Kind, Grant: clean(e.Grant),
		What: What{
			Environment: clean(e.Environment), User: clean(e.User), Detail: clean(e.Detail),
			Method: clean(e.Method), Path: clean(e.Path), Status: e.Status, Code: string(e.Code),
			JTI: e.jti, End: e.end,
		},
	}
	if e.Peer != nil {
		l.Who = Who{cleanPeer(*e.Peer), clean(e.Socket)}
		if e.Socket == "" {
			l.Who.Socket = ownSocket
		}
	}
	if e.count > 0 {
		since := e.since.UTC().Round(time.Millisecond)
		l.Count, l.Since = e.count, &since
	}
	return l
}

func clean(s string) string {
	if s == "" {
		return ""
	}
	return sanitize.Cut(sanitize.OneLine(s), maxText)
}

func cleanPeer(p Peer) *Peer {
	p.Exe, p.Comm, p.Unit = clean(p.Exe), clean(p.Comm), clean(p.Unit)
	parents := make([]Process, len(p.Parents))
	for i, parent := range p.Parents {
		parents[i] = Process{parent.PID, clean(parent.Exe)}
	}
	p.Parents = parents
	return &p
}

// describeToken returns what the log may say of a token. The end of a JWT is one of its
// signature. Of a short token, which may be an API key, it is less.
func describeToken(token string) (jti, end string) {
	switch {
	case len(token) >= 64:
		end = token[len(token)-shownEnd:]
	case len(token) >= 16:
		end = token[len(token)-3:]
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", end
	}
	var claims struct {
		JTI string `json:"jti"`
	}
	if payload, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil && json.Unmarshal(payload, &claims) == nil {
		jti = clean(claims.JTI)
	}
	return jti, clean(end)
}

// A head is the place in a chain after its last line.
type head struct {
	chain string
	n     uint64
	hash  [sha256.Size]byte // of the line
	key   *macKey           // of the next line; nil if the chain has none
}

// next writes l as the line after h, with its end, and moves h on.
func (h *head) next(b *bytes.Buffer, l Line) error {
	l.N, l.Chain, l.Prev = h.n+1, h.chain, hex.EncodeToString(h.hash[:])
	l.MAC = ""
	raw, err := encode(l)
	if err != nil {
		return err
	}
	if h.key != nil {
		raw = append(raw[:len(raw)-1], macField...)
		raw = append(raw, hex.EncodeToString(h.key.mac(raw[:len(raw)-len(macField)]))...)
		raw = append(raw, `"}`...)
		h.key.advance()
	}
	h.n, h.hash = l.N, sha256.Sum256(raw)
	b.Write(raw)
	b.WriteByte('\n')
	return nil
}

const macField = `,"mac":"`

func encode(l Line) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(l)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// authentic reports whether the MAC of a line is the one that key makes.
func authentic(raw []byte, l Line, key *macKey) bool {
	i := bytes.LastIndex(raw, []byte(macField))
	got, err := hex.DecodeString(l.MAC)
	return i >= 0 && err == nil && hmac.Equal(got, key.mac(raw[:i]))
}

// errNewer means that a newer version has written.
var errNewer = errors.New("a newer version of kyc-agentd has written it")

// parseLine reads a line strictly: an unknown field, or a second value, is an error.
func parseLine(raw []byte) (Line, error) {
	var l Line
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	err := dec.Decode(&l)
	if err == nil && l.Version == version && l.N > 0 && len(l.Chain) == chainDigits && dec.InputOffset() == int64(len(raw)) {
		return l, nil
	}
	var v struct {
		Version int `json:"v"`
	}
	switch {
	case json.Unmarshal(raw, &v) != nil:
		return Line{}, errors.New("it is not JSON")
	case v.Version > version:
		return Line{}, errNewer
	}
	return Line{}, errors.New("it is not a line of this log")
}

// String is for messages about l.
func (l Line) String() string { return fmt.Sprintf("line %d of chain %s", l.N, l.Chain) }
