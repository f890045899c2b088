package audit

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/durable"
)

// Init makes the first key of a new chain, which begins with the next line, and returns it.
// The key is nowhere else once that line is written.
func Init(dir string) (FirstKey, error) {
	w := &writer{dir: dir}
	if err := w.openRoot(); err != nil {
		return FirstKey{}, describe("init", dir, err)
	}
	defer w.close()
	locked, err := lock(w.root)
	if err != nil {
		return FirstKey{}, describe("init", dir, err)
	}
	defer locked.Close()
	if _, err := readState(w.root); err != nil && !errors.Is(err, errNoState) {
		return FirstKey{}, describe("init", dir, err)
	}
	key := newFirstKey()
	if err := writeFirstKey(w.root, key); err != nil {
		return FirstKey{}, describe("init", dir, err)
	}
	return key, nil
}

func writeFirstKey(root *os.Root, key FirstKey) error {
	_ = eraseFirstKey(root) // of a chain that no line has begun
	f, err := durable.OpenRegular(root, firstName, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, key.String()+"\n")
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = eraseFirstKey(root)
	}
	return err
}

// hasFirst reports whether the key of a chain waits for its first line.
func hasFirst(root *os.Root, chain string) bool {
	key, err := readFirstKey(root)
	return err == nil && key.chain() == chain
}

func readFirstKey(root *os.Root) (FirstKey, error) {
	f, err := durable.OpenRegular(root, firstName, os.O_RDONLY)
	if err != nil {
		return FirstKey{}, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, 1<<10))
	if err != nil {
		return FirstKey{}, err
	}
	return ParseFirstKey(string(raw))
}

// eraseFirstKey overwrites the key before it removes the file. A disk may keep the old blocks
// nevertheless: docs/audit.md says so.
func eraseFirstKey(root *os.Root) error {
	if f, err := durable.OpenRegular(root, firstName, os.O_WRONLY); err == nil {
		_, _ = f.WriteAt(make([]byte, len(FirstKey{}.String())), 0)
		_ = f.Sync()
		_ = f.Close()
	}
	err := root.Remove(firstName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// describe makes err one that says where, and what to do next.
func describe(op, dir string, err error) error {
	message, hint := explain(dir, err)
	return &agent.Error{Code: agent.CodeUnavailable, Op: op, Message: message, Hint: hint, Err: err}
}
