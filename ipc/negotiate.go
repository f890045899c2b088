package ipc

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/legaltalent/kyc-agent/ipc/format"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// formatFor returns the format of an answer to r, whose query names it; "" leaves the
// choice to Accept.
func formatFor(r *http.Request, name string) (*format.Format, error) {
	if name == "" {
		name = "json"
		if wantsText(r.Header) {
			name = "token"
		}
	}
	return format.ByName(name)
}

// wantsText reports whether Accept prefers text/plain to application/json. A wildcard is
// no preference.
func wantsText(h http.Header) bool {
	accept := h["Accept"]
	if len(accept) == 1 && accept[0] == "text/plain" {
		return true // as kyc-token says it
	}
	var text, json float64
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		media, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		switch media {
		case "text/plain":
			text = max(text, quality(params))
		case wire.MediaJSON, wire.MediaProblem:
			json = max(json, quality(params))
		}
	}
	return text > json
}

func quality(params map[string]string) float64 {
	q, ok := params["q"]
	if !ok {
		return 1
	}
	f, err := strconv.ParseFloat(q, 64)
	if err != nil {
		return 0
	}
	return f
}
