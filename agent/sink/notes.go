package sink

// What the agent knows of the token files that it has written, also after a kill.

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/internal/durable"
)

const (
	notesFolder = "token-files" // in the state folder
	// noteTimeout limits what the state folder may take of the time for a token file: the
	// note is for the case of a kill.
	noteTimeout = 2 * time.Second
	maxNote     = 64 << 10
)

// A note says that there may be a token file. It is no secret: of the content it has a hash.
type note struct {
	Path        string `json:"path"`
	Environment string `json:"environment"`
	// Sums are the hashes of what the file may hold, newest first: two, because the note of
	// a new content is written before the file is.
	Sums       []string `json:"sha256"`
	MadeFolder bool     `json:"made_folder,omitempty"` // the folder goes with the file
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// notes are the notes of all token files, each in a file of its own: several agents may share
// a state folder.
type notes struct {
	dir string // "" keeps them in memory only
	log *slog.Logger

	mu     sync.Mutex
	byPath map[string]note
	failed bool // the last note could not be written

	disk sync.Mutex // held while a note's file is written or removed
}

// readNotes returns the notes in the state folder. They are none if it cannot be read in time.
func readNotes(state string, log *slog.Logger) *notes {
	n := &notes{log: log, byPath: map[string]note{}}
	if state == "" {
		return n
	}
	n.dir = filepath.Join(state, notesFolder)
	atMost(noteTimeout, n.read)
	return n
}

func (n *notes) read() {
	names, _ := filepath.Glob(filepath.Join(globQuote(n.dir), "*.json"))
	for _, name := range names {
		info, err := os.Lstat(name)
		if err != nil || !info.Mode().IsRegular() || info.Size() > maxNote {
			continue
		}
		var found note
		data, err := os.ReadFile(name)
		if err != nil || json.Unmarshal(data, &found) != nil || name != n.fileOf(found.Path) || !filepath.IsAbs(found.Path) {
			continue
		}
		n.mu.Lock()
		if _, newer := n.byPath[found.Path]; !newer {
			n.byPath[found.Path] = found
		}
		n.mu.Unlock()
	}
}

// fileOf returns the note's file. It depends on the path, so that no two agents with the same
// token file have two notes.
func (n *notes) fileOf(path string) string {
	return filepath.Join(n.dir, sumOf([]byte(path))[:32]+".json")
}

func (n *notes) get(path string) (note, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	found, ok := n.byPath[path]
	return found, ok
}

func (n *notes) all() []note {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.SortedFunc(maps.Values(n.byPath), func(a, b note) int { return strings.Compare(a.Path, b.Path) })
}

// madeFolder reports whether the agent made the folder dir, for another token file perhaps.
func (n *notes) madeFolder(dir string) bool {
	return slices.ContainsFunc(n.all(), func(o note) bool { return o.MadeFolder && filepath.Dir(o.Path) == dir })
}

// add notes, before it is written, that the file of s is going to hold data.
func (n *notes) add(s Sink, data []byte, made bool) {
	sum := sumOf(data)
	old, _ := n.get(s.Path)
	if len(old.Sums) > 0 && old.Sums[0] == sum && (old.MadeFolder || !made) {
		return
	}
	sums := append([]string{sum}, old.Sums...)
	n.mu.Lock()
	n.byPath[s.Path] = note{Path: s.Path, Environment: s.Environment, Sums: sums[:min(2, len(sums))], MadeFolder: made}
	n.mu.Unlock()
	n.save(s.Path)
}

// drop removes a note: there is no file any more.
func (n *notes) drop(path string) {
	if _, ok := n.get(path); !ok {
		return
	}
	n.mu.Lock()
	delete(n.byPath, path)
	n.mu.Unlock()
	n.save(path)
}

// save makes the note's file what the note is by then, and gives up waiting after noteTimeout.
func (n *notes) save(path string) {
	if n.dir == "" {
		return
	}
	atMost(noteTimeout, func() {
		n.disk.Lock()
		defer n.disk.Unlock()
		err := n.write(path)
		n.mu.Lock()
		defer n.mu.Unlock()
		if err != nil && !n.failed {
			n.log.Warn("cannot note which token files there are; after a kill the next start will not find them all", "op", "sink", "error", err)
		}
		n.failed = err != nil
	})
}

func (n *notes) write(path string) error {
	current, ok := n.get(path)
	if !ok {
		_ = os.Remove(n.fileOf(path))
		_ = os.Remove(n.dir) // if it is empty
		return nil
	}
	data, err := json.Marshal(current)
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(n.dir, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(n.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return durable.Replace(root, filepath.Base(n.fileOf(path)), ".new-", append(data, '\n'), 0o600)
}

// atMost runs do, and stops waiting for it after limit.
func atMost(limit time.Duration, do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(limit):
	}
}

var globQuoter = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

func globQuote(s string) string { return globQuoter.Replace(s) }
