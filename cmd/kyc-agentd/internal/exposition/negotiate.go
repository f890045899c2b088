package exposition

import (
	"mime"
	"slices"
	"strconv"
	"strings"
)

// A Format is the media type of an answer.
type Format string

const (
	mediaText        = "text/plain"
	mediaOpenMetrics = "application/openmetrics-text"
)

// versionsOf returns the versions of a format; the first is what a request without one means.
// Their output is the same as long as names are ASCII.
func versionsOf(media string) []string {
	switch media {
	case mediaText:
		return []string{"0.0.4", "1.0.0"}
	case mediaOpenMetrics:
		return []string{"0.0.1", "1.0.0"}
	}
	return nil
}

// escapings are ways to write names that are not ASCII. There are none, so each is kept.
var escapings = []string{"underscores", "allow-utf-8", "dots", "values"}

// OpenMetrics reports whether f is OpenMetrics rather than Prometheus' own text format.
func (f Format) OpenMetrics() bool { return strings.HasPrefix(string(f), mediaOpenMetrics) }

func formatOf(media, version, escaping string) Format {
	return Format(media + "; version=" + version + "; charset=utf-8; escaping=" + escaping)
}

// Negotiate returns the format that a header Accept prefers, of several with the same weight
// the first one. If it names none of them, as curl's does, that is Prometheus' text format.
func Negotiate(accept string) Format {
	best, weight := formatOf(mediaText, versionsOf(mediaText)[0], escapings[0]), 0.0
	for part := range strings.SplitSeq(accept, ",") {
		media, params, err := mime.ParseMediaType(part)
		versions := versionsOf(media)
		if err != nil || versions == nil {
			continue
		}
		version, escaping := params["version"], params["escaping"]
		if version == "" {
			version = versions[0]
		}
		if !slices.Contains(escapings, escaping) {
			escaping = escapings[0]
		}
		if q := quality(params); q > weight && slices.Contains(versions, version) {
			best, weight = formatOf(media, version, escaping), q
		}
	}
	return best
}

// quality returns the weight of a part of Accept: 1 unless it has one.
func quality(params map[string]string) float64 {
	q, err := strconv.ParseFloat(params["q"], 64)
	if params["q"] == "" || err != nil {
		return 1
	}
	return q
}
