package ipc

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// A query is the query of a request, with each parameter at most once. It needs no map: one made
// and read for each request took a fifth of the handler's time.
type query struct {
	known  []string // the names that there may be
	values [maxKnown]string
	has    [maxKnown]bool
}

// maxKnown is the most parameters that a route has.
const maxKnown = 5

// Get returns the value of the parameter called name, or "".
func (q *query) Get(name string) string {
	if i := slices.Index(q.known, name); i >= 0 {
		return q.values[i]
	}
	return ""
}

// Has reports whether the parameter called name is there.
func (q *query) Has(name string) bool {
	i := slices.Index(q.known, name)
	return i >= 0 && q.has[i]
}

// set adds a parameter. It refuses one that is not known or is there already.
func (q *query) set(name, value string) bool {
	i := slices.Index(q.known, name)
	if i < 0 || q.has[i] {
		return false
	}
	q.values[i], q.has[i] = value, true
	return true
}

// read sets the parameters of a route, as parseQuery does.
func (q *query) read(raw string, known []string) error {
	*q = query{known: known}
	if q.parsePlain(raw) {
		return nil
	}
	all, err := parseQuery(raw, known)
	if err != nil {
		return err
	}
	*q = query{known: known}
	for name, values := range all {
		q.set(name, values[0])
	}
	return nil
}

// parsePlain parses a query in which nothing is escaped, as kyc-token sends it. It returns false
// for any other, and for one that is refused.
func (q *query) parsePlain(raw string) bool {
	for i := range len(raw) {
		switch raw[i] {
		case '%', '+', ';':
			return false
		}
	}
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		name, value, _ := strings.Cut(pair, "=")
		if pair != "" && !q.set(name, value) {
			return false
		}
	}
	return true
}

// parseQuery refuses a parameter that is not in known, so that a misspelt one is not
// silently ignored, and one that is there twice, of which readers would take different
// ones.
func parseQuery(raw string, known []string) (url.Values, error) {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return nil, wire.UsageError("the query cannot be read; escape special characters with %%")
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		switch {
		case !slices.Contains(known, name) && len(known) == 0:
			return nil, wire.UnknownError("unknown query parameter %s; there are none here", wire.Quote(name))
		case !slices.Contains(known, name):
			return nil, wire.UnknownError("unknown query parameter %s; known: %s", wire.Quote(name), strings.Join(known, ", "))
		case len(q[name]) > 1:
			return nil, wire.UsageError("query parameter %s is there %d times", wire.Quote(name), len(q[name]))
		}
	}
	return q, nil
}
