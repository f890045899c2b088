package apiproxy

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/ipc/apiproxy/pace"
)

// takeWait takes the preference wait=N (RFC 7240, 4.3) out of h and returns it: how long the
// request may wait for its turn. It is for the agent; other preferences go on to the API. Of
// several the first counts, and one that is no number of seconds counts as none.
func takeWait(h http.Header) time.Duration {
	values := h["Prefer"]
	if values == nil {
		return 0
	}
	var rest []string
	wait, found := time.Duration(0), false
	for _, preference := range splitPreferences(values) {
		alone, _, _ := strings.Cut(preference, ";") // parameters follow
		name, value, _ := strings.Cut(alone, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			rest = append(rest, preference)
			continue
		}
		if !found {
			wait, found = seconds(value), true
		}
	}
	h.Del("Prefer")
	if rest != nil {
		h.Set("Prefer", strings.Join(rest, ", "))
	}
	return wait
}

// splitPreferences splits at the commas that are not in quotes.
func splitPreferences(values []string) (all []string) {
	for _, v := range values {
		quoted, begin := false, 0
		for i := range len(v) {
			switch {
			case v[i] == '"' && (i == 0 || v[i-1] != '\\'):
				quoted = !quoted
			case v[i] == ',' && !quoted:
				all, begin = append(all, strings.TrimSpace(v[begin:i])), i+1
			}
		}
		all = append(all, strings.TrimSpace(v[begin:]))
	}
	return all
}

// seconds reads a number of seconds, at most [pace.MaxWait]; 0 stands for anything else.
func seconds(s string) time.Duration {
	s = strings.Trim(strings.TrimSpace(s), `"`)
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil { // too large
		return pace.MaxWait
	}
	return min(time.Duration(n)*time.Second, pace.MaxWait)
}
