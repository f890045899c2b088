package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

// A Problem is a place where the log is not what the agent wrote.
type Problem struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"` // of the file; 0 is the log as a whole
	What string `json:"what"`
}

// A Report is what [Verify] found.
type Report struct {
	Lines    int       `json:"lines"`
	Files    int       `json:"files"`
	First    time.Time `json:"first,omitzero"`
	Last     time.Time `json:"last,omitzero"`
	Keyed    int       `json:"keyed"` // lines whose MAC is right
	Heads    int       `json:"heads"` // of the daemon's log that were compared
	Dropped  uint64    `json:"dropped,omitempty"`
	Problems []Problem `json:"problems"`
	Notes    []string  `json:"notes"` // what is no problem, and what was not proved
}

// VerifyOptions are what the log is compared with.
type VerifyOptions struct {
	Keys  []FirstKey // one for each chain; none checks no MAC
	Heads []Head     // from the daemon's log, in its order
}

// maxProblems is how many problems are described. Each of them is at most one line's.
const maxProblems = 50

// Verify reads the log in dir and says where it is not what the agent wrote. The error is about
// reading.
func Verify(dir string, o VerifyOptions) (Report, error) {
	r, err := openLog(dir)
	if err != nil {
		return Report{}, describeRead(dir, err)
	}
	defer r.close()
	v := &verification{o: o, report: Report{Files: len(r.files), Problems: []Problem{}, Notes: []string{}}, heads: map[string]Head{}, forked: map[string]bool{}, removed: map[string]uint64{}, keys: map[string]*chainKeys{}}
	for _, key := range o.Keys {
		v.keys[key.chain()] = &chainKeys{first: key}
	}
	for _, h := range o.Heads {
		if other, twice := v.heads[h.key()]; twice && other.Hash != h.Hash {
			v.forked[h.key()] = true
		}
		v.heads[h.key()] = h
	}
	if err := r.each(v.line); err != nil {
		return v.report, describeRead(dir, err)
	}
	v.end(r)
	return v.report, nil
}

func describeRead(dir string, err error) error {
	e := &agent.Error{Code: agent.CodeUnavailable, Op: "audit", Message: "the audit log in " + dir + " cannot be read: " + err.Error(), Err: err}
	if errors.Is(err, fs.ErrNotExist) {
		e.Message = "there is no audit log in " + dir
		e.Hint = "an agent with audit = \"on\" makes it: kyc-agentd config get audit"
	}
	if p, ok := errors.AsType[*fs.PathError](err); ok && !errors.Is(err, fs.ErrNotExist) {
		e.Message = "the audit log in " + dir + " cannot be read: " + p.Path + ": " + p.Err.Error()
	}
	return e
}

// A verification is on its way through the lines.
type verification struct {
	o       VerifyOptions
	report  Report
	heads   map[string]Head   // by key; those of lines that were seen are taken out
	forked  map[string]bool   // the daemon's log has two heads with this key
	removed map[string]uint64 // by chain, the last line that was removed on purpose

	begun  bool
	file   logFile // of the last line, with its number there
	number int
	before Line // the last line
	hash   [sha256.Size]byte
	keys   map[string]*chainKeys
	keyed  bool // a chain of one of the keys has begun
	starts []start

	firstHead               *Head // of a line of this log
	lastHead                uint64
	firstHeadAt, lastHeadAt time.Time
}

// A start is where the log has the first line of a chain, or the first that is kept.
type start struct {
	file   string
	number int
	line   Line
}

func (v *verification) problem(f logFile, number int, format string, args ...any) {
	if len(v.report.Problems) < maxProblems {
		v.report.Problems = append(v.report.Problems, Problem{f.name, number, fmt.Sprintf(format, args...)})
	}
}

func (v *verification) note(format string, args ...any) {
	v.report.Notes = append(v.report.Notes, fmt.Sprintf(format, args...))
}

// line checks one line against those before it.
func (v *verification) line(f logFile, number int, raw []byte) error {
	v.report.Lines++
	l, err := parseLine(raw)
	if err != nil {
		v.problem(f, number, "%s", err)
		return nil
	}
	if !v.begun {
		v.report.First = l.Time
	}
	v.checkPlace(f, number, l)
	v.checkMAC(f, number, l, raw)
	v.notes(l)
	hash := sha256.Sum256(raw)
	v.checkHead(f, number, l, hash)
	v.begun, v.before, v.hash, v.report.Last = true, l, hash, l.Time
	v.file, v.number = f, number
	return nil
}

// checkPlace checks that l follows the line before.
func (v *verification) checkPlace(f logFile, number int, l Line) {
	sameChain := v.begun && l.Chain == v.before.Chain
	switch {
	case !sameChain:
		v.starts = append(v.starts, start{f.name, number, l})
		if v.begun && l.N != 1 {
			v.problem(f, number, "%s follows %s: lines are missing between them", l, v.before)
			return
		}
	case l.N > v.before.N+1:
		v.problem(f, number, "line %d follows line %d: %d are missing", l.N, v.before.N, l.N-v.before.N-1)
		return
	case l.N <= v.before.N:
		v.problem(f, number, "line %d follows line %d: lines were put in another order, or are there twice", l.N, v.before.N)
		return
	}
	if v.begun && l.Prev != hex.EncodeToString(v.hash[:]) {
		v.problem(f, number, "line %d does not have the hash of the line before: one of the two was changed", l.N)
	}
}

// checkMAC checks the MAC of a line. A chain that none of the keys belongs to is no problem
// before theirs.
func (v *verification) checkMAC(f logFile, number int, l Line, raw []byte) {
	if len(v.keys) == 0 {
		return
	}
	k := v.keys[l.Chain]
	if k == nil {
		if v.keyed && (!v.begun || l.Chain != v.before.Chain) {
			v.problem(f, number, "chain %s begins, and none of the keys is its: whoever began it could write it as they liked", l.Chain)
		}
		return
	}
	k.seen, v.keyed = true, true
	switch key, ok := k.of(l.N); {
	case !ok:
		v.problem(f, number, "the MAC of line %d was not checked: too many lines are out of order", l.N)
	case authentic(raw, l, key):
		v.report.Keyed++
	default:
		v.problem(f, number, "line %d has a wrong MAC: it was changed, or the agent did not write it", l.N)
	}
}

// chainKeys has the keys of the lines of one chain.
type chainKeys struct {
	first FirstKey
	key   *macKey // of line n
	n     uint64
	spent uint64 // steps, which forged numbers could make many
	seen  bool
}

const maxSteps = 1 << 28 // half a minute

// of returns the key of line n.
func (k *chainKeys) of(n uint64) (*macKey, bool) {
	if k.key == nil || n < k.n {
		k.key, k.n = k.first.first(), 1
	}
	if n-k.n > maxSteps-min(k.spent, maxSteps) {
		return nil, false
	}
	k.spent += n - k.n
	for ; k.n < n; k.n++ {
		k.key.advance()
	}
	return k.key, true
}

// notes keeps what l says of the log itself.
func (v *verification) notes(l Line) {
	v.report.Dropped += l.Dropped
	if l.Note != "" {
		v.note("%s, %s: the agent found: %s", l, l.Time.Format(time.RFC3339), l.Note)
	}
	if v.begun && l.Time.Before(v.before.Time.Add(-time.Minute)) {
		v.note("%s: the clock was set back by %s", l, v.before.Time.Sub(l.Time).Round(time.Second))
	}
	if chain, number, ok := strings.Cut(l.Removed, "/"); ok {
		if n, err := strconv.ParseUint(number, 10, 64); err == nil {
			v.removed[chain] = max(v.removed[chain], n)
		}
	}
}

// checkHead compares l with the head in the daemon's log, if that has one of it.
func (v *verification) checkHead(f logFile, number int, l Line, hash [sha256.Size]byte) {
	h, ok := v.heads[Head{Chain: l.Chain, N: l.N}.key()]
	if !ok {
		return
	}
	delete(v.heads, h.key())
	if v.firstHead == nil {
		v.firstHead, v.firstHeadAt = &h, l.Time
	}
	v.lastHead, v.lastHeadAt = l.N, l.Time
	v.report.Heads++
	switch {
	case v.forked[h.key()]: // programs of this user can write there, too
		v.problem(f, number, "the daemon's log has two different lines %d: the log was written anew from there, or one of the two is forged", l.N)
	case h.Hash != hex.EncodeToString(hash[:]):
		v.problem(f, number, "line %d is not the one that the daemon's log has: it was changed", l.N)
	}
}

// end checks what only the whole log can show.
func (v *verification) end(r *reading) {
	whole := logFile{}
	v.checkStarts()
	switch {
	case r.err != nil && !errors.Is(r.err, errNoState):
		v.problem(whole, 0, "%s", r.err)
	case r.err != nil:
		if v.begun {
			v.problem(whole, 0, "%s is missing or damaged: nothing but the daemon's log says where the last line is", stateName)
		}
	case r.state.chain == v.before.Chain && r.state.n == v.before.N && r.state.hash != v.hash:
		v.problem(v.file, v.number, "line %d is not the one that %s has: it was changed", v.before.N, stateName)
	case r.state.n > 0 && (!v.begun || v.before.Chain != r.state.chain || v.before.N < r.state.n):
		v.problem(whole, 0, "the agent has written up to line %d of chain %s, and the log ends before: it was cut off", r.state.n, r.state.chain)
	}
	v.checkMissingHeads()
	if len(v.keys) == 0 {
		v.note("no first key was given: this shows accidents, and not what somebody wrote who can run programs as this user")
	}
	for chain, k := range v.keys {
		if !k.seen && (r.err != nil || r.state.chain != chain || r.state.n > 0) && v.removed[chain] == 0 && !hasFirst(r.root, chain) {
			v.problem(whole, 0, "there is no line of chain %s, which the key belongs to: it was removed, or this is the key of another log", chain)
		}
	}
	v.noteHeads()
	if v.report.Dropped > 0 {
		v.note("%d events have no line: they came faster than the disk took them", v.report.Dropped)
	}
}

// noteHeads says where the daemon's log has no heads. Lines before a head are under its hash; what
// cannot be seen is that there were others.
func (v *verification) noteHeads() {
	if v.report.Heads == 0 {
		v.note("no head of the daemon's log was compared: lines that were cut off at the end, with an old %s put back, would not show", stateName)
		return
	}
	if v.firstHeadAt.Sub(v.report.First) > time.Minute {
		v.note("the daemon's log has no head before line %d, of %s: lines that were cut off earlier, with an old %s put back, would not show",
			v.firstHead.N, v.firstHeadAt.Format(time.RFC3339), stateName)
	}
	if v.report.Last.Sub(v.lastHeadAt) > time.Minute {
		v.note("the daemon's log has no head after line %d, of %s: lines that were cut off since then, with an old %s put back, would not show",
			v.lastHead, v.lastHeadAt.Format(time.RFC3339), stateName)
	}
}

// checkStarts checks that the lines before the first of a chain were removed on purpose.
func (v *verification) checkStarts() {
	if len(v.starts) == 0 {
		return
	}
	first := v.starts[0]
	if n := first.line.N; n > 1 && v.removed[first.line.Chain] < n-1 {
		v.problem(logFile{name: first.file}, first.number, "the log begins with line %d, and the agent has not removed those before", n)
	} else if n > 1 {
		v.note("lines up to %d were removed by the agent, to keep the log within its size", n-1)
	}
}

// checkMissingHeads finds lines that the daemon's log knows and the file has not.
func (v *verification) checkMissingHeads() {
	missing := map[string]uint64{}
	for _, h := range v.ownHeads() {
		if _, unseen := v.heads[h.key()]; unseen && h.N > v.removed[h.Chain] && h.N > v.begins(h.Chain) {
			missing[h.Chain] = max(missing[h.Chain], h.N)
		}
	}
	for chain, n := range missing {
		v.problem(logFile{}, 0, "the daemon's log knows line %d of chain %s, and the file does not: lines were cut off or removed", n, chain)
	}
}

// ownHeads returns the heads of this log, in their order. The daemon's log may have those of other
// ones, and older ones than this log if its oldest files were removed.
func (v *verification) ownHeads() []Head {
	if len(v.o.Heads) == 0 {
		return nil
	}
	file := v.o.Heads[len(v.o.Heads)-1].File // nothing is left of this log
	if v.firstHead != nil {
		file = v.firstHead.File
	}
	own := slices.DeleteFunc(slices.Clone(v.o.Heads), func(h Head) bool { return h.File != file })
	if len(v.removed) == 0 {
		return own
	}
	if v.firstHead == nil {
		return own[len(own)-1:]
	}
	return own[slices.Index(own, *v.firstHead):]
}

// begins returns the first line that is kept of a chain, or 0: older heads are of removed lines.
func (v *verification) begins(chain string) uint64 {
	for _, s := range v.starts {
		if s.line.Chain == chain {
			return s.line.N
		}
	}
	return 0
}
