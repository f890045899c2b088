package ipc

import (
	"net/http"
	"time"

	"github.com/legaltalent/kyc-agent/internal/discard"
)

// serveProxy forwards a request to the API of the environment that is its host. An answer
// that has begun can only be aborted.
func (h *handler) serveProxy(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	markForwarded(r)
	environment, user, began, err := "", "", false, checkNotBrowser(r)
	if err == nil {
		environment, user, began, err = h.proxy.Forward(w, r)
	} else {
		discard.Request(w, r)
	}
	if err != nil {
		h.audit.refused(r, "proxy", "", h.configured, err)
	}
	h.logRequest(r, "proxy", environment, user, time.Since(started), err)
	switch {
	case err == nil:
	case began:
		panic(http.ErrAbortHandler)
	default:
		h.setVersion(w.Header())
		problemResponse(err).write(w)
	}
}

// markForwarded notes that the connection of r has carried a request to an API.
func markForwarded(r *http.Request) {
	if c, ok := connectionOf(r); ok {
		c.forwarded = true
	}
}

// checkNotForwarded refuses a request to the agent on a connection that has carried one to
// an API. HTTP clients keep connections by host, curl and Go's with a Unix socket, too, so
// none of them sends such a request: it would be a piece of a body that client and agent
// do not agree on. A client that does mix hosts is told, and connects again.
func checkNotForwarded(w http.ResponseWriter, c *connection) error {
	if c == nil || !c.forwarded {
		return nil
	}
	w.Header().Set("Connection", "close")
	e := deniedError("a request to the agent is refused on a connection that has carried one to an API")
	e.Hint = "send it on another connection"
	return e
}
