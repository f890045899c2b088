package agent

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/legaltalent/kyc-agent/internal/urlpath"
)

// A PathPattern is a path of an API, relative to api_url. A "*" in it is exactly one
// segment: "/kyc/watchlists/*" is "/kyc/watchlists/7" and neither "/kyc/watchlists/" nor
// "/kyc/watchlists/7/subjects". It implements [encoding.TextUnmarshaler].
type PathPattern struct {
	text     string
	segments []string // as they are sent; anySegment stands for "*"
}

const anySegment = "*"

// ParsePathPattern reads a pattern, which is written without %-escapes.
func ParsePathPattern(text string) (PathPattern, error) {
	if err := checkPattern(text); err != nil {
		return PathPattern{}, fmt.Errorf("bad path %q; it %w", text, err)
	}
	p := PathPattern{text: text}
	for segment := range strings.SplitSeq(text[1:], "/") {
		if segment != anySegment {
			segment = (&url.URL{Path: "/" + segment}).EscapedPath()[1:]
		}
		p.segments = append(p.segments, segment)
	}
	return p, nil
}

// LiteralPath returns the pattern that matches one path, escaped as it is sent.
func LiteralPath(escaped string) (PathPattern, error) {
	if err := urlpath.Check(escaped); err != nil {
		return PathPattern{}, fmt.Errorf("the path %w", err)
	}
	segments := strings.Split(escaped[1:], "/")
	if slices.Contains(segments, anySegment) {
		return PathPattern{}, errors.New(`the path has a segment "*", which stands for any in a pattern`)
	}
	return PathPattern{text: escaped, segments: segments}, nil
}

func checkPattern(text string) error {
	if err := urlpath.Check(text); err != nil {
		return err
	}
	if strings.Contains(text, "%") {
		return errors.New("has a %-escape; write the character itself")
	}
	if strings.ContainsAny(text, "?#") {
		return errors.New("has a query or a fragment, which are not matched")
	}
	for segment := range strings.SplitSeq(text, "/") {
		if segment != anySegment && strings.Contains(segment, anySegment) {
			return errors.New(`has a "*" that is not a whole segment`)
		}
	}
	return nil
}

// Match reports whether p allows an escaped path, relative to api_url. A path that servers
// read in more than one way matches nothing, nor does one with a needless escape: "/%6byc" is
// "/kyc" to some servers, and to others a parameter of another operation.
func (p PathPattern) Match(escaped string) bool {
	if urlpath.Check(escaped) != nil {
		return false
	}
	segments := strings.Split(escaped[1:], "/")
	if len(segments) != len(p.segments) {
		return false
	}
	for i, want := range p.segments {
		if want == anySegment && !urlpath.IsOneSegment(segments[i]) || want != anySegment && want != segments[i] {
			return false
		}
	}
	return true
}

// String returns the text of the pattern.
func (p PathPattern) String() string { return p.text }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *PathPattern) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePathPattern(string(text))
	return err
}
