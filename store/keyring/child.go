package keyring

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// A backend performs the operations in the child. Its errors are backendErrors.
type backend interface {
	get(key string) ([]byte, error)
	put(key string, value []byte) error
	// delete succeeds if there is no such key.
	delete(key string) error
	keys() ([]string, error)
}

// Child is the body of the child process: it calls harden, reads one request from in, performs
// it and writes the answer to out. harden closes the process's memory to the user's other
// processes; if it fails, Child answers that and reads nothing. It returns the exit code: 0 if
// it wrote an answer. It calls libraries that cannot be interrupted, so the process has to exit
// when Child returns.
func Child(harden func() error, in io.Reader, out io.Writer) int {
	if err := harden(); err != nil {
		return writeAnswer(out, answer{Code: codeFailed, Detail: "its memory stays readable: " + err.Error()})
	}
	if _, err := out.Write([]byte{hardened}); err != nil {
		return 1
	}
	r, err := parseRequest(in)
	if err != nil {
		return writeAnswer(out, answer{Code: codeFailed, Detail: "request: " + err.Error()})
	}
	return writeAnswer(out, serveRequest(r, newBackend))
}

func writeAnswer(out io.Writer, a answer) int {
	if err := json.NewEncoder(out).Encode(a); err != nil {
		return 1
	}
	return 0
}

// serveRequest performs r. It returns codeTimeout when the keyring has not reported its
// state within r.Ready, or after r.Limit: on systems that do not kill a child with its
// parent, this limit ends the child of a daemon that was killed.
func serveRequest(r request, open func(prompt bool) (backend, error)) answer {
	done, ready := make(chan answer, 1), make(chan struct{})
	go func() { done <- runOperation(r, open, ready) }()
	first, limit := time.NewTimer(r.Ready), time.NewTimer(r.Limit)
	defer first.Stop()
	defer limit.Stop()
	for {
		select {
		case a := <-done:
			return a
		case <-ready:
			first.Stop()
			ready = nil
		case <-first.C:
			return answer{Code: codeTimeout}
		case <-limit.C:
			return answer{Code: codeTimeout}
		}
	}
}

// runOperation performs r. It closes ready when the keyring has answered for the first
// time.
func runOperation(r request, open func(prompt bool) (backend, error), ready chan<- struct{}) (a answer) {
	defer func() {
		if p := recover(); p != nil {
			a = answer{Code: codePanic, Detail: panicText(p)}
		}
	}()
	b, err := open(r.Prompt)
	if err != nil {
		return answerFor(err)
	}
	close(ready)
	return dispatch(b, r)
}

func dispatch(b backend, r request) answer {
	switch r.Op {
	case opGet:
		value, err := b.get(r.Key)
		if err != nil {
			return answerFor(err)
		}
		return answer{Code: codeOK, Value: value}
	case opPut:
		return answerFor(putAndVerify(b, r.Key, r.Value))
	case opDelete:
		return answerFor(deleteAndVerify(b, r.Key))
	}
	keys, err := b.keys()
	if err != nil {
		return answerFor(err)
	}
	return answer{Code: codeOK, Keys: keys}
}

func putAndVerify(b backend, key string, value []byte) error {
	if err := b.put(key, value); err != nil {
		return err
	}
	got, err := b.get(key)
	if hasCode(err, codeNotFound) || err == nil && !bytes.Equal(got, value) {
		return &backendError{code: codeNotStored}
	}
	return err
}

func deleteAndVerify(b backend, key string) error {
	if err := b.delete(key); err != nil {
		return err
	}
	switch _, err := b.get(key); {
	case err == nil:
		return &backendError{code: codeNotStored}
	case hasCode(err, codeNotFound):
		return nil
	default:
		return err
	}
}

func hasCode(err error, c code) bool {
	f, ok := errors.AsType[*backendError](err)
	return ok && f.code == c
}

// answerFor returns the answer that reports err; for nil it is codeOK.
func answerFor(err error) answer {
	if err == nil {
		return answer{Code: codeOK}
	}
	if f, ok := errors.AsType[*backendError](err); ok {
		return answer{Code: f.code, Detail: sanitize.Short(f.detail, maxDetail)}
	}
	return answer{Code: codeFailed, Detail: sanitize.Short(err.Error(), maxDetail)}
}

// panicText returns the text of a runtime error, which contains no data. Of any other
// panic it returns only the type, because its value may contain a secret.
func panicText(p any) string {
	if err, ok := p.(interface {
		error
		RuntimeError()
	}); ok {
		return sanitize.Short(err.Error(), maxDetail)
	}
	return fmt.Sprintf("%T", p)
}
