package keyring

import (
	"errors"
	"os"
	"time"
)

// newChannel returns the store's end of a connection to a child, and the child's standard
// input and output. They are pipes, which no other process can open here.
func newChannel() (channel, *os.File, *os.File, error) {
	childIn, in, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, err
	}
	out, childOut, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, errors.Join(err, childIn.Close(), in.Close())
	}
	return pipes{in, out}, childIn, childOut, nil
}

type pipes struct{ in, out *os.File }

func (p pipes) Read(b []byte) (int, error)  { return p.out.Read(b) }
func (p pipes) Write(b []byte) (int, error) { return p.in.Write(b) }
func (p pipes) CloseWrite() error           { return p.in.Close() }
func (p pipes) Close() error                { return errors.Join(p.in.Close(), p.out.Close()) }

// SetDeadline ends what is waiting: such a pipe knows no time.
func (p pipes) SetDeadline(t time.Time) error {
	if time.Now().Before(t) {
		return nil
	}
	return p.Close()
}
