package kycapi

import (
	"fmt"
	"math"
	"net"
	"net/http"
	"strconv"
	"time"
)

// A limit is a number of requests in a window, counted for each source address: the
// firewall in front of the API sees no tokens.
type limit struct {
	n        int
	window   time.Duration
	firewall bool // answers without the headers over the limit
	used     map[string]*usage
}

// A usage is what one source address has used of its window.
type usage struct {
	n    int
	ends time.Time
}

// Throttled is the body of a 429.
type Throttled struct {
	Error      string `json:"error"`
	Message    string `json:"message"`
	RetryAfter int    `json:"retry_after"` // seconds
}

// admit counts r and puts what is left of its window into h. Over the limit ok is false,
// and wait is how long the window still lasts.
func (a *API) admit(h http.Header, r *http.Request, now time.Time) (wait time.Duration, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	source, _, _ := net.SplitHostPort(r.RemoteAddr)
	u := a.limit.used[source]
	if u == nil || !now.Before(u.ends) {
		u = &usage{ends: windowEnd(now, a.limit.window)}
		a.limit.used[source] = u
	}
	u.n++
	if a.limit.firewall && u.n > a.limit.n {
		return u.ends.Sub(now), false
	}
	h.Set("X-RateLimit-Limit", strconv.Itoa(a.limit.n))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(max(0, a.limit.n-u.n)))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(u.ends.Add(time.Second-1).Unix(), 10))
	return u.ends.Sub(now), u.n <= a.limit.n
}

// windowEnd returns when a window ends that begins now: on a full second, as the header
// tells it, unless it is too short for that.
func windowEnd(now time.Time, window time.Duration) time.Time {
	ends := now.Add(window)
	if window < 2*time.Second {
		return ends
	}
	return ends.Truncate(time.Second)
}

// tooMany answers 429.
func tooMany(w http.ResponseWriter, wait time.Duration) {
	seconds := int(math.Ceil(wait.Seconds()))
	in := fmt.Sprintf("%d seconds", seconds)
	if seconds >= 60 {
		in = fmt.Sprintf("%d minutes", int(math.Ceil(wait.Minutes())))
	}
	send(w, http.StatusTooManyRequests, Throttled{
		Error: "Rate limit exceeded", Message: "Too many requests. Please try again in " + in + ".", RetryAfter: seconds,
	})
}
