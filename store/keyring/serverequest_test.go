package keyring

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// The limits of serveRequest, with a slow backend. In the program the exit of the process
// ends the goroutine that still waits; here each test waits until it has ended.
func TestServeRequestLimits(t *testing.T) {
	const ready, limit = 3 * time.Second, 120 * time.Second
	for _, c := range []struct {
		name       string
		open, work time.Duration
		want       code
		after      time.Duration
	}{
		{"in time", time.Second, time.Second, codeNotFound, 2 * time.Second},
		{"a person takes long", time.Second, 100 * time.Second, codeNotFound, 101 * time.Second},
		{"silent", time.Hour, 0, codeTimeout, ready},
		{"nobody answers", time.Second, time.Hour, codeTimeout, limit},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				a := serveRequest(request{Op: opGet, Key: "prod", Ready: ready, Limit: limit}, func(bool) (backend, error) {
					time.Sleep(c.open)
					return slowBackend(c.work), nil
				})
				if took := time.Since(start); a.Code != c.want || took != c.after {
					t.Errorf("%q after %v, want %q after %v", a.Code, took, c.want, c.after)
				}
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

func TestServeRequestFailures(t *testing.T) {
	for _, c := range []struct {
		name string
		open func(bool) (backend, error)
		want answer
	}{
		{"fault", func(bool) (backend, error) { return nil, &backendError{codeNoBus, "dial"} }, answer{Code: codeNoBus, Detail: "dial"}},
		{"other error", func(bool) (backend, error) { return nil, errors.New("odd\nthing") }, answer{Code: codeFailed, Detail: "odd thing"}},
		{"runtime panic", func(bool) (backend, error) { return nil, elementAt(nil, 3) }, answer{Code: codePanic, Detail: "runtime error: index out of range [3] with length 0"}},
		{"panic with a value", func(bool) (backend, error) { panic("the value") }, answer{Code: codePanic, Detail: "string"}},
	} {
		got := serveRequest(request{Op: opKeys, Ready: time.Minute, Limit: time.Minute}, c.open)
		if got.Code != c.want.Code || got.Detail != c.want.Detail {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func elementAt(errs []error, i int) error { return errs[i] }

// slowBackend is a backend that takes a while to find nothing.
type slowBackend time.Duration

func (d slowBackend) get(string) ([]byte, error) {
	time.Sleep(time.Duration(d))
	return nil, &backendError{code: codeNotFound}
}
func (d slowBackend) put(string, []byte) error { return nil }
func (d slowBackend) delete(string) error      { return nil }
func (d slowBackend) keys() ([]string, error)  { return nil, nil }
