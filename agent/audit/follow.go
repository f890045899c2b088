package audit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/legaltalent/kyc-agent/internal/durable"
)

// followEvery is how often Follow looks for new lines.
const followEvery = 200 * time.Millisecond

// Follow calls do for the lines of [Read], and then for each that is new, until ctx ends. idle
// is called when there is none at the moment.
func Follow(ctx context.Context, dir string, f Filter, do func(raw []byte, l Line) error, idle func() error) error {
	t := &tail{filter: f, do: do}
	defer t.close()
	r, err := openLog(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return describeRead(dir, err)
	}
	if err == nil {
		err = r.each(func(_ logFile, _ int, raw []byte) error { return t.line(raw) })
		if n := len(r.files); n > 0 && r.files[n-1].name == logName {
			t.file, t.offset = r.files[n-1].file, r.files[n-1].size
			r.files = r.files[:n-1]
		}
		r.close()
		if err != nil {
			return err
		}
	}
	for {
		if err := errors.Join(t.more(dir), idle()); err != nil {
			return err
		}
		timer := time.NewTimer(followEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// A tail is a place in audit.jsonl.
type tail struct {
	filter Filter
	do     func([]byte, Line) error
	file   *os.File
	offset int64
}

func (t *tail) close() {
	if t.file != nil {
		_ = t.file.Close()
	}
}

func (t *tail) line(raw []byte) error {
	l, err := parseLine(raw)
	if err != nil || !t.filter.match(l) {
		return nil //nolint:nilerr
	}
	return t.do(raw, l)
}

// more reads what is new, also of the file that took the place of a full one. It first looks
// whether one did: after that nobody writes to the full one.
func (t *tail) more(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return t.rest() // there is none yet, or no more
	}
	defer root.Close()
	replaced := t.file == nil || !durable.IsName(root, logName, t.file)
	if err := t.rest(); err != nil || !replaced {
		return err
	}
	f, err := durable.OpenRegular(root, logName, os.O_RDONLY)
	if err != nil {
		return nil //nolint:nilerr // the agent is about to make it
	}
	t.close()
	t.file, t.offset = f, 0
	return t.rest()
}

// rest reads the whole lines after the offset.
func (t *tail) rest() error {
	if t.file == nil {
		return nil
	}
	r := bufio.NewReaderSize(io.NewSectionReader(t.file, t.offset, 1<<62), maxLine)
	for {
		raw, err := r.ReadSlice('\n')
		length := len(raw)
		for errors.Is(err, bufio.ErrBufferFull) { // no line of the log is so long
			raw, err = r.ReadSlice('\n')
			length += len(raw)
		}
		if err != nil {
			return nil //nolint:nilerr // half a line is read again
		}
		t.offset += int64(length)
		if err := t.line(bytes.TrimSuffix(raw, []byte("\n"))); err != nil {
			return err
		}
	}
}
