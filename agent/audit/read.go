package audit

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/legaltalent/kyc-agent/internal/durable"
)

// A reading is the log of a folder as it was at one instant: the files are open, so that no
// rotation takes them away.
type reading struct {
	root  *os.Root
	files []logFile // the oldest first
	state state
	err   error // why there is no state
}

type logFile struct {
	name string
	file *os.File
	size int64
}

// openLog opens the log in dir. Without the right to write there it goes without the lock.
func openLog(dir string) (*reading, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	r := &reading{root: root}
	if locked, err := lock(root); err == nil {
		defer locked.Close()
	}
	r.state, r.err = readState(root)
	full, err := fullFiles(root)
	if err != nil {
		r.close()
		return nil, err
	}
	var names []string
	for _, number := range full {
		names = append(names, fullName(number))
	}
	for _, name := range append(names, logName) {
		f, err := durable.OpenRegular(root, name, os.O_RDONLY)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			var info fs.FileInfo
			if info, err = f.Stat(); err == nil {
				r.files = append(r.files, logFile{name, f, info.Size()})
				continue
			}
			_ = f.Close()
		}
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *reading) close() {
	for _, f := range r.files {
		_ = f.file.Close()
	}
	_ = r.root.Close()
}

// each calls do for every line. number counts the lines of the file.
func (r *reading) each(do func(f logFile, number int, raw []byte) error) error {
	for _, f := range r.files {
		lines := bufio.NewReaderSize(io.NewSectionReader(f.file, 0, f.size), maxLine)
		for number := 1; ; number++ {
			raw, err := readLine(lines)
			if err == io.EOF {
				break
			}
			if err == nil {
				err = do(f, number, raw)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// readLine returns the next line without its end. One that is too long is cut: no line of the
// log is.
func readLine(r *bufio.Reader) ([]byte, error) {
	raw, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		raw = bytes.Clone(raw)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = r.ReadSlice('\n')
		}
	}
	if err == io.EOF && len(raw) > 0 {
		err = nil
	}
	return bytes.TrimSuffix(raw, []byte("\n")), err
}

// A Filter chooses lines. What is zero chooses all.
type Filter struct {
	Since, Until      time.Time
	Environment, User string
	// Program is a part of the path or the name of the program, or of an ancestor's.
	Program string
	Events  []Kind
}

// Read calls do for the lines in dir that f chooses, in their order. What is no line is left
// out: [Verify] finds it.
func Read(dir string, f Filter, do func(raw []byte, l Line) error) error {
	r, err := openLog(dir)
	if err != nil {
		return describeRead(dir, err)
	}
	defer r.close()
	err = r.each(func(_ logFile, _ int, raw []byte) error {
		l, err := parseLine(raw)
		if err != nil || !f.match(l) {
			return nil //nolint:nilerr
		}
		return do(raw, l)
	})
	return err
}
