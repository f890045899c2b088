// Package proxyconnect tells an HTTP proxy that does not connect from a server that does not
// answer: [Check] is for a transport's OnProxyConnectResponse, and [StatusOf] finds in a
// failed request's error what the proxy said. net/http has no type for it.
package proxyconnect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

type refusal struct{ status int }

func (e *refusal) Error() string { return fmt.Sprintf("proxy answered HTTP %d", e.status) }

// Check fails a request whose proxy answers CONNECT with anything but 200.
func Check(_ context.Context, _ *url.URL, _ *http.Request, res *http.Response) error {
	if res.StatusCode != http.StatusOK {
		return &refusal{res.StatusCode}
	}
	return nil
}

// StatusOf returns the proxy's HTTP status, if that is why err is.
func StatusOf(err error) (status int, refused bool) {
	if e, ok := errors.AsType[*refusal](err); ok {
		return e.status, true
	}
	return 0, false
}
