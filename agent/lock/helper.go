package lock

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"filippo.io/age"
)

// A Helper works with passphrases in a child process, which lives for a second: scrypt takes
// 256 MB, and neither they nor the passphrase are to stay in the agent's memory.
type Helper struct {
	Command []string // a program that calls Child
}

// workFactor is the binary logarithm of scrypt's cost, age's own: a second, and 256 MB.
const workFactor = 18

// helpWithin is how long a child may take on a busy machine.
const helpWithin = time.Minute

// ErrWrongPassphrase means that the passphrase is not the one.
var ErrWrongPassphrase = errors.New("wrong passphrase")

// A task is what a child gets on its standard input.
type task struct {
	Sealed []byte `json:"sealed,omitempty"` // nil makes a new identity
	Old    string `json:"old,omitempty"`    // the passphrase of sealed
	New    string `json:"new,omitempty"`    // the passphrase to seal it with; empty opens it
}

// A solution is what it writes to its standard output.
type solution struct {
	Identity  string `json:"identity,omitempty"`
	Recipient string `json:"recipient,omitempty"`
	Sealed    []byte `json:"sealed,omitempty"`
	Wrong     bool   `json:"wrong,omitempty"`
	Error     string `json:"error,omitempty"`
}

// Seal seals an identity with a passphrase: a new one, or that of sealed, whose passphrase is
// old.
func (h Helper) Seal(ctx context.Context, passphrase string, sealed []byte, old string) (recipient string, resealed []byte, err error) {
	s, err := h.run(ctx, task{Sealed: sealed, Old: old, New: passphrase})
	return s.Recipient, s.Sealed, err
}

// Open opens an identity.
func (h Helper) Open(ctx context.Context, passphrase string, sealed []byte) (*age.X25519Identity, error) {
	s, err := h.run(ctx, task{Sealed: sealed, Old: passphrase})
	if err != nil {
		return nil, err
	}
	return age.ParseX25519Identity(s.Identity)
}

func (h Helper) run(ctx context.Context, t task) (s solution, err error) {
	ctx, cancel := context.WithTimeout(ctx, helpWithin)
	defer cancel()
	in, err := json.Marshal(t)
	if err != nil {
		return s, err
	}
	defer clear(in)
	cmd := exec.CommandContext(ctx, h.Command[0], h.Command[1:]...)
	cmd.Env, cmd.Stdin, cmd.WaitDelay = []string{"GOMAXPROCS=1"}, bytes.NewReader(in), time.Second
	out, err := cmd.Output()
	if err == nil && json.Unmarshal(out, &s) != nil {
		err = errors.New("its answer is invalid")
	}
	clear(out)
	switch {
	case ctx.Err() != nil:
		return s, ctx.Err()
	case err != nil:
		return s, fmt.Errorf("the process that works with the passphrase failed: %w", err)
	case s.Wrong:
		return s, ErrWrongPassphrase
	case s.Error != "":
		return s, errors.New(s.Error)
	}
	return s, nil
}

// Child is the body of the child process. harden closes its memory to the user's other
// processes. It returns the exit code.
func Child(harden func() error, in io.Reader, out io.Writer) int {
	if err := harden(); err != nil {
		fmt.Fprintln(os.Stderr, "its memory stays readable: "+err.Error())
		return 1
	}
	data, err := io.ReadAll(io.LimitReader(in, maxFile))
	var t task
	if err == nil {
		err = json.Unmarshal(data, &t)
	}
	if err != nil {
		return 1
	}
	if json.NewEncoder(out).Encode(t.solve()) != nil {
		return 1
	}
	return 0
}

func (t task) solve() solution {
	id, err := t.identity()
	switch {
	case errors.Is(err, ErrWrongPassphrase):
		return solution{Wrong: true}
	case err != nil:
		return solution{Error: err.Error()}
	case t.New == "":
		return solution{Identity: id.String(), Recipient: id.Recipient().String()}
	}
	sealed, err := sealIdentity(id, t.New)
	if err != nil {
		return solution{Error: err.Error()}
	}
	return solution{Recipient: id.Recipient().String(), Sealed: sealed}
}

// identity returns that of the task, or a new one.
func (t task) identity() (*age.X25519Identity, error) {
	if t.Sealed == nil {
		return age.GenerateX25519Identity()
	}
	secret, err := age.NewScryptIdentity(t.Old)
	if err != nil {
		return nil, ErrWrongPassphrase // it is empty
	}
	secret.SetMaxWorkFactor(workFactor + 2)
	opened, err := age.Decrypt(bytes.NewReader(t.Sealed), secret)
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return nil, ErrWrongPassphrase
	}
	if err != nil {
		return nil, errors.New("the sealed identity is damaged")
	}
	text, err := io.ReadAll(io.LimitReader(opened, maxFile))
	if err != nil {
		return nil, errors.New("the sealed identity is damaged")
	}
	return age.ParseX25519Identity(string(text))
}

func sealIdentity(id *age.X25519Identity, passphrase string) ([]byte, error) {
	to, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, err
	}
	to.SetWorkFactor(workFactor)
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, to)
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(w, id.String())
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	return sealed.Bytes(), nil
}
