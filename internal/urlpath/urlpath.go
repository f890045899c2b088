// Package urlpath refuses URL paths that servers read in more than one way. A request whose
// path decides where it may go calls [Check] first.
package urlpath

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Check refuses an escaped path that a server could take for one above or beside it.
// The agent does not know which servers decode twice, take a backslash for a slash, fold
// "//" or cut "..;x" at the semicolon, so it refuses all of these. The error goes on after
// "the path ".
func Check(escaped string) error {
	if !strings.HasPrefix(escaped, "/") {
		return errors.New("does not begin with /")
	}
	segments := strings.Split(escaped[1:], "/")
	for i, segment := range segments {
		if segment == "" && i < len(segments)-1 {
			return errors.New("has an empty part: //")
		}
		if err := checkSegment(segment); err != nil {
			return err
		}
	}
	return nil
}

// checkSegment checks a segment as it is, and as it is after each decoding.
func checkSegment(segment string) error {
	for s := range decodings(segment) {
		name, _, _ := strings.Cut(s, ";")
		switch {
		case name == "." || name == "..":
			return fmt.Errorf("has a part %s or %s", ".", "..")
		case strings.ContainsAny(s, `/\`):
			return errors.New("has an encoded slash, or a backslash")
		case strings.ContainsFunc(s, unicode.IsControl) || !utf8.ValidString(s):
			return errors.New("has control characters or is not UTF-8")
		}
	}
	return nil
}

// decodings yields segment as it is, and as it is after each decoding that changes it. The
// second decoding of "100%25" fails, and the path is valid nevertheless.
func decodings(segment string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for yield(segment) {
			decoded, err := url.PathUnescape(segment)
			if err != nil || decoded == segment {
				return
			}
			segment = decoded
		}
	}
}

// IsOneSegment reports whether every server takes an escaped segment, which has passed
// [Check], for one segment that is not empty: one that cuts it at a ";", "?" or "#", that
// trims spaces and dots, or that replaces characters by ones that look alike, too.
func IsOneSegment(segment string) bool {
	for s := range decodings(segment) {
		name := s
		if i := strings.IndexAny(s, ";?#"); i >= 0 {
			name = s[:i]
		}
		if strings.Trim(name, " .+") == "" || strings.ContainsFunc(s, looksAlike) {
			return false
		}
	}
	return true
}

// looksAlike reports whether r may be replaced by another character, such as a slash. Letters
// and digits of every script are only replaced by letters and digits.
func looksAlike(r rune) bool {
	return r >= utf8.RuneSelf && !unicode.In(r, unicode.Letter, unicode.Mark, unicode.Digit)
}
