// Package proxyconnect distinguishes an HTTP proxy that refuses CONNECT from a server
// that does not answer: [Check] is for a transport's OnProxyConnectResponse, and
// [StatusOf] finds the proxy's status in the error of a failed request. net/http has no
// type for that error.
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

// Check returns an error if a proxy answers CONNECT with another status than 200.
func Check(_ context.Context, _ *url.URL, _ *http.Request, res *http.Response) error {
	if res.StatusCode != http.StatusOK {
		return &refusal{res.StatusCode}
	}
	return nil
}

// StatusOf returns the proxy's HTTP status if err wraps an error of Check.
func StatusOf(err error) (status int, refused bool) {
	if e, ok := errors.AsType[*refusal](err); ok {
		return e.status, true
	}
	return 0, false
}
