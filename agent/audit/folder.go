package audit

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/legaltalent/kyc-agent/internal/durable"
)

// The names in the state folder.
const (
	logName   = "audit.jsonl"
	stateName = "audit.state"
	lockName  = "audit.lock"
	firstName = "audit.first" // the first key of a chain that has no line yet

	fullPrefix, fullSuffix = "audit-", ".jsonl"
	fullDigits             = 6
)

// Path returns the path of the log in a state folder.
func Path(dir string) string { return filepath.Join(dir, logName) }

func fullName(number int) string {
	return fmt.Sprintf("%s%0*d%s", fullPrefix, fullDigits, number, fullSuffix)
}

// fullNumber returns the number in the name of a full file, or 0.
func fullNumber(name string) int {
	digits, ok := strings.CutPrefix(name, fullPrefix)
	digits, hasSuffix := strings.CutSuffix(digits, fullSuffix)
	n, err := strconv.Atoi(digits)
	if !ok || !hasSuffix || err != nil || name != fullName(n) {
		return 0
	}
	return n
}

// fullFiles returns the numbers of the full files, the oldest first.
func fullFiles(root *os.Root) ([]int, error) {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		if n := fullNumber(e.Name()); n > 0 {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// lock takes the lock of the folder, which another writer has for the time of a write. Closing the
// file releases it.
func lock(root *os.Root) (*os.File, error) { return durable.Lock(root, lockName, durable.LockWithin) }

// endsInLine reports whether f, which has size bytes, ends with the end of a line.
func endsInLine(f io.ReaderAt, size int64) bool {
	var b [1]byte
	_, err := f.ReadAt(b[:], size-1)
	return size == 0 || err == nil && b[0] == '\n'
}

// lastLine returns the last whole line of a file that is read.
func lastLine(r io.ReaderAt, size int64) (Line, []byte, error) {
	from := max(0, size-maxLine)
	tail := make([]byte, size-from)
	if _, err := r.ReadAt(tail, from); err != nil && err != io.EOF {
		return Line{}, nil, err
	}
	lines := strings.Split(strings.TrimSuffix(string(tail), "\n"), "\n")
	raw := []byte(lines[len(lines)-1])
	l, err := parseLine(raw)
	return l, raw, err
}

// maxLine is more than the longest line has.
const maxLine = 64 << 10
