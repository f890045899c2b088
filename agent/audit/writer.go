package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/internal/bootclock"
	"github.com/legaltalent/kyc-agent/internal/durable"
)

const (
	maxFile = 8 << 20  // a file is full when the next lines would make it larger
	maxKept = 64 << 20 // all files together
)

// A writer appends to the log of one folder. Another process may append as well, so that each
// batch begins with a look at the files.
type writer struct {
	dir              string
	maxFile, maxKept int64
	sync             func(*os.File) error // nil is fsync

	root  *os.Root
	file  *os.File       // audit.jsonl as it was last written
	wrote head           // after the last batch
	at    bootclock.Mark // of the last batch
	files int            // the number of full files then
}

// A batch is what one append writes.
type batch struct {
	entries []entry
	dropped uint64 // events without a line, since the last batch
}

// append writes the lines of b to the disk and returns the new head. After an error, none of
// them is there. note is what was wrong with the files, and is in the first line as well.
func (w *writer) append(b batch) (h head, note string, err error) {
	if err := w.openRoot(); err != nil {
		return head{}, "", err
	}
	locked, err := lock(w.root)
	if err != nil {
		return head{}, "", err
	}
	defer locked.Close()
	st, note, err := w.resume()
	if err != nil {
		return head{}, "", err
	}
	note = w.setForward(&st, note)
	if note == "" {
		w.beginKeyed(&st)
	}
	text, oldest, err := w.lines(&st, b, note)
	if err != nil {
		return head{}, "", err
	}
	if err := w.write(text, st.size-int64(len(text))); err != nil {
		return head{}, "", err
	}
	for _, number := range oldest {
		_ = w.root.Remove(fullName(number))
	}
	w.wrote, w.files = st.head, st.files
	if st.key != nil {
		key := *st.key
		w.wrote.key = &key
	}
	// Without the state the lines are there nevertheless: the next resume finds them.
	_ = writeState(w.root, st)
	return w.wrote, note, nil
}

// setForward refuses to write lines again that this writer has written: somebody has put old
// files back. The next line follows the last one in memory, and so does not follow the last one
// in the file.
func (w *writer) setForward(st *state, note string) string {
	switch {
	case w.wrote.n == 0:
		return note
	case st.chain == w.wrote.chain && st.n < w.wrote.n:
		note = fmt.Sprintf("the files were put back to line %d; the agent had written up to line %d", st.n, w.wrote.n)
		st.n, st.hash = w.wrote.n, w.wrote.hash
		if st.key = nil; w.wrote.key != nil {
			key := *w.wrote.key
			st.key = &key
		}
	case note == "" && st.n == 0 && st.key == nil:
		note = fmt.Sprintf("the files were removed; the agent had written up to line %d of chain %s", w.wrote.n, w.wrote.chain)
	}
	return note
}

// openRoot opens the folder, or makes it. A folder that was moved away is left.
func (w *writer) openRoot() error {
	if w.root != nil {
		there, err := os.Stat(w.dir)
		own, ownErr := w.root.Stat(".")
		if err == nil && ownErr == nil && os.SameFile(there, own) {
			return nil
		}
		w.close()
	}
	if w.dir == "" {
		return errors.New("there is no state folder; set XDG_STATE_HOME or HOME to an absolute path")
	}
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(w.dir)
	w.root = root
	return err
}

func (w *writer) close() {
	if w.file != nil {
		_ = w.file.Close()
	}
	if w.root != nil {
		_ = w.root.Close()
	}
	w.root, w.file = nil, nil
}

// resume returns where the next line goes, with audit.jsonl open. note says what is wrong with
// the files; the lines after it show that.
func (w *writer) resume() (st state, note string, err error) {
	st, err = readState(w.root)
	noState := errors.Is(err, errNoState)
	if err != nil && !noState {
		return st, "", err
	}
	replaced := w.file != nil && !durable.IsName(w.root, logName, w.file)
	if w.file == nil || replaced {
		if w.file != nil {
			_ = w.file.Close()
		}
		if w.file, err = durable.OpenRegular(w.root, logName, os.O_RDWR|os.O_CREATE|os.O_APPEND); err != nil {
			w.file = nil
			return st, "", err
		}
	}
	info, err := w.file.Stat()
	if err != nil {
		return st, "", err
	}
	size := info.Size()
	switch {
	case noState:
		return w.restart(size)
	case size != st.size:
		return w.reconcile(st, size)
	case replaced && st.files == w.files:
		note = logName + " was replaced by another file of the same size"
	}
	return st, note, nil
}

// restart begins a chain without a key, because nothing says where the one before ended.
func (w *writer) restart(size int64) (st state, note string, err error) {
	full, err := fullFiles(w.root)
	if err != nil {
		return st, "", err
	}
	if len(full) > 0 {
		st.files = full[len(full)-1]
	}
	st.chain = newChain()
	if size == 0 {
		if len(full) > 0 {
			note = stateName + " and the last lines are missing: a new chain begins"
		}
		return st, note, nil
	}
	if l, raw, err := lastLine(w.file, size); errors.Is(err, errNewer) {
		return st, "", fmt.Errorf("%s: %w", logName, err)
	} else if err == nil {
		st.hash = sha256.Sum256(raw)
		note = fmt.Sprintf("%s is missing: a new chain begins after %s", stateName, l)
	}
	return st, note, w.fill(&st)
}

// reconcile explains a file whose size is not the one that the state has. Whole lines of the
// chain that follow are those of a writer that was killed before it could write the state.
func (w *writer) reconcile(st state, size int64) (state, string, error) {
	if size < st.size {
		return w.shortened(st, size)
	}
	r := bufio.NewReaderSize(io.NewSectionReader(w.file, st.size, size-st.size), maxLine)
	for st.size < size {
		raw, err := r.ReadSlice('\n')
		if err == io.EOF {
			return w.cutHalfLine(st, len(raw))
		}
		if err != nil || !st.follow(bytes.TrimSuffix(raw, []byte("\n"))) {
			note := fmt.Sprintf("%d bytes that the agent did not write follow line %d", size-st.size, st.n)
			st.size = size
			return w.endLine(st, note)
		}
		st.size += int64(len(raw))
	}
	return st, "", nil
}

// cutHalfLine removes what a power cut has left of a line. Nobody was promised that line.
func (w *writer) cutHalfLine(st state, length int) (state, string, error) {
	if err := w.file.Truncate(st.size); err != nil {
		return st, "", err
	}
	return st, fmt.Sprintf("half a line of %d bytes after line %d was removed", length, st.n), nil
}

func (w *writer) shortened(st state, size int64) (state, string, error) {
	note := fmt.Sprintf("%d bytes were cut off from the end", st.size-size)
	if size == 0 {
		note = fmt.Sprintf("%s, with lines up to %d, was removed", logName, st.n)
	}
	st.size = size
	return w.endLine(st, note)
}

// endLine makes the next line begin on a line.
func (w *writer) endLine(st state, note string) (state, string, error) {
	if !endsInLine(w.file, st.size) {
		if _, err := w.file.WriteString("\n"); err != nil {
			return st, "", err
		}
		st.size++
	}
	return st, note, nil
}

// follow moves h on if raw is the next line of its chain.
func (h *head) follow(raw []byte) bool {
	l, err := parseLine(raw)
	if err != nil || l.Chain != h.chain || l.N != h.n+1 || l.Prev != hex.EncodeToString(h.hash[:]) {
		return false
	}
	if h.key != nil {
		if !authentic(raw, l, h.key) {
			return false
		}
		h.key.advance()
	}
	h.n, h.hash = l.N, sha256.Sum256(raw)
	return true
}

// beginKeyed begins the chain for which [Init] has left a first key, if there is one. If that
// fails, the chain goes on, and the next batch tries again.
func (w *writer) beginKeyed(st *state) {
	key, err := readFirstKey(w.root)
	if err != nil {
		return
	}
	before := *st
	st.chain, st.n, st.key = key.chain(), 0, key.first()
	if st.size > 0 {
		if err := w.fill(st); err != nil {
			*st = before
			return
		}
	}
	// From here on the first key is only where the person has put it.
	if err := writeState(w.root, *st); err != nil {
		*st = before
		return
	}
	_ = eraseFirstKey(w.root)
}

// fill moves audit.jsonl to the full files, and begins a new one.
func (w *writer) fill(st *state) error {
	number := st.files + 1
	for ; ; number++ { // never over a file that is there
		if _, err := w.root.Lstat(fullName(number)); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return err
		}
	}
	if err := w.root.Rename(logName, fullName(number)); err != nil {
		return err
	}
	_ = w.file.Close()
	w.file = nil
	f, err := durable.OpenRegular(w.root, logName, os.O_RDWR|os.O_CREATE|os.O_APPEND)
	if err != nil {
		return err
	}
	w.file, st.files, st.size = f, number, 0
	return writeState(w.root, *st)
}

// lines returns the text of b, and which full files are to be removed after it. It makes room
// for it in a new file when that is needed.
func (w *writer) lines(st *state, b batch, note string) (text []byte, oldest []int, err error) {
	var removed string
	if st.size > 0 && st.size+int64(len(b.entries))*estimate > w.maxFile {
		if err := w.fill(st); err != nil {
			return nil, nil, err
		}
		oldest, removed = w.oldest()
	}
	var out bytes.Buffer
	for i, e := range b.entries {
		l := e.line()
		if l.Time.IsZero() {
			l.Time = time.Now().UTC().Round(time.Millisecond)
		}
		if i == 0 {
			l.Note, l.Dropped, l.Removed = joinNotes(note, w.clockNote(bootclock.Now())), b.dropped, removed
		}
		if err := st.next(&out, l); err != nil {
			return nil, nil, err
		}
	}
	st.size += int64(out.Len())
	return out.Bytes(), oldest, nil
}

// leastJump is how far the clock has to be set for a note. NTP moves it a little all the time.
const leastJump = 10 * time.Second

// clockNote says that the clock was set since the last batch: the times of lines before and after
// that do not compare.
func (w *writer) clockNote(now bootclock.Mark) string {
	before := w.at
	w.at = now
	if before.Wall.IsZero() {
		return ""
	}
	switch jump := (now.Wall.Sub(before.Wall) - now.Since(before)).Round(time.Second); {
	case jump <= -leastJump:
		return fmt.Sprintf("the clock was set back by %s", -jump)
	case jump >= leastJump:
		return fmt.Sprintf("the clock was set forward by %s", jump)
	}
	return ""
}

func joinNotes(notes ...string) string {
	return strings.Join(slices.DeleteFunc(notes, func(n string) bool { return n == "" }), "; ")
}

// estimate is about how long a line is.
const estimate = 600

// oldest returns the full files that are too many, and the last line in them.
func (w *writer) oldest() (numbers []int, last string) {
	full, _ := fullFiles(w.root)
	var kept int64
	for i := len(full) - 1; i >= 0; i-- {
		info, err := w.root.Lstat(fullName(full[i]))
		if err == nil {
			kept += info.Size()
		}
		if kept > w.maxKept-w.maxFile {
			numbers = full[:i+1]
			break
		}
	}
	if len(numbers) == 0 {
		return nil, ""
	}
	f, err := durable.OpenRegular(w.root, fullName(numbers[len(numbers)-1]), os.O_RDONLY)
	if err != nil {
		return nil, ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, ""
	}
	if l, _, err := lastLine(f, info.Size()); err == nil {
		last = fmt.Sprintf("%s/%d", l.Chain, l.N)
	}
	return numbers, last
}

func (w *writer) flush() error {
	if w.sync != nil {
		return w.sync(w.file)
	}
	return w.file.Sync()
}

// write appends text to audit.jsonl, which has size bytes, and returns when it is on the
// disk. After an error the file is as it was.
func (w *writer) write(text []byte, size int64) error {
	_, err := w.file.Write(text)
	if err == nil {
		err = w.flush()
	}
	if err != nil {
		_ = w.file.Truncate(size)
	}
	return err
}
