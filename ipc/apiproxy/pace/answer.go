package pace

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// maxSkew is by how much the clocks of the API and of this machine may differ before the
	// API's is used. Its Date header has whole seconds.
	maxSkew = 2 * time.Second
	// maxRefusal is the largest body, in bytes, of a 429 that is looked at.
	maxRefusal = 8 << 10
	// refusalTimeout is how long the body of a 429 may take. A slower one is cut off.
	refusalTimeout = 10 * time.Second
	// maxTold is the longest wait that a client is told.
	maxTold = 24 * time.Hour
)

// An answer is what the answer of an API says about its limit.
type answer struct {
	arrived bool
	refused bool // it is a 429

	hasLimits        bool
	limit, remaining int // limit is 0 if it is not said
	reset            int64
	untilReset       time.Duration

	retryAfter time.Duration // of a 429; 0 if it does not say
}

// read looks at the header of an answer, and of a 429 at the body, too. nil did not arrive.
func read(res *http.Response, now time.Time) (a answer) {
	if res == nil {
		return answer{}
	}
	a.arrived, a.refused = true, res.StatusCode == http.StatusTooManyRequests
	if _, ok := res.Header["X-Ratelimit-Remaining"]; ok {
		a.readLimits(res.Header, now)
	}
	if a.refused {
		a.retryAfter = retryAfter(res, now)
		if a.retryAfter <= 0 && a.hasLimits && a.remaining == 0 {
			a.retryAfter = a.untilReset
		}
	}
	return a
}

// RetryAfter returns how long a 429 asks to wait: by its Retry-After header, by retry_after in
// its body, or by its X-RateLimit headers. 0 means that it does not say, or not to wait. The
// body of res stays complete.
func RetryAfter(res *http.Response) time.Duration { return read(res, time.Now()).retryAfter }

// readLimits reads X-RateLimit-Limit, -Remaining and -Reset. They count together or not at
// all: a number that makes no sense says nothing about the others, either.
func (a *answer) readLimits(h http.Header, now time.Time) {
	remaining, ok := number(h, "X-Ratelimit-Remaining")
	reset, hasReset := number(h, "X-Ratelimit-Reset")
	limit, hasLimit := number(h, "X-Ratelimit-Limit")
	_, saysLimit := h["X-Ratelimit-Limit"]
	until := time.Unix(reset, 0).Sub(clock(h, now))
	if !ok || !hasReset || saysLimit && (!hasLimit || limit < remaining) || until <= 0 {
		return
	}
	a.hasLimits, a.reset, a.untilReset = true, reset, until
	a.limit, a.remaining = int(limit), int(remaining)
}

// number reads a header that is one number. Larger ones than a 32-bit integer holds are
// nonsense for a count, and of a time they are after 2100.
func number(h http.Header, name string) (int64, bool) {
	values := h[name]
	if len(values) != 1 {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(values[0]), 10, 32)
	return int64(n), err == nil
}

// clock returns the time on the API's clock, if that differs from this machine's.
func clock(h http.Header, now time.Time) time.Time {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil || now.Sub(date).Abs() <= maxSkew {
		return now
	}
	return date
}

// retryAfter returns how long a 429 asks to wait: by its Retry-After header or by the
// retry_after of its body. 0 means that it does not say.
func retryAfter(res *http.Response, now time.Time) time.Duration {
	value := strings.TrimSpace(res.Header.Get("Retry-After"))
	if n, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(clock(res.Header, now)))
	}
	return bodyRetryAfter(res)
}

// bodyRetryAfter reads retry_after, in seconds, from the body of a 429, which it leaves
// complete.
func bodyRetryAfter(res *http.Response) time.Duration {
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if res.Body == nil || res.ContentLength > maxRefusal || media != "application/json" && !strings.HasSuffix(media, "+json") {
		return 0
	}
	slow := time.AfterFunc(refusalTimeout, func() { _ = res.Body.Close() })
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxRefusal+1))
	slow.Stop()
	rest := io.MultiReader(bytes.NewReader(raw), res.Body)
	if err != nil {
		rest = io.MultiReader(bytes.NewReader(raw), failing{err})
	}
	res.Body = body{rest, res.Body}
	return parseRetryAfter(decode(raw, res.Header.Get("Content-Encoding")))
}

func parseRetryAfter(text []byte) time.Duration {
	var refusal struct {
		RetryAfter json.Number `json:"retry_after"`
	}
	if json.Unmarshal(text, &refusal) != nil {
		return 0
	}
	s, err := refusal.RetryAfter.Float64()
	if err != nil || !(s > 0) {
		return 0
	}
	return time.Duration(min(s, maxTold.Seconds()) * float64(time.Second))
}

// decode returns text without its encoding, and at most maxRefusal of it.
func decode(text []byte, encoding string) []byte {
	if encoding != "gzip" {
		return text
	}
	r, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return nil
	}
	plain, _ := io.ReadAll(io.LimitReader(r, maxRefusal))
	return plain
}

// A body is what was read of a body, and the rest of it.
type body struct {
	io.Reader
	io.Closer
}

// failing fails with err.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
