package config

import (
	"strings"
	"unicode/utf8"
)

// WrongEncoding says how text is written that should be UTF-8, "is UTF-16", and names the
// command that makes UTF-8 of it. Both are empty if nothing is wrong. A byte order mark is
// wrong, too: editors and shells of Windows put it before a password, Cognito would take it
// for a part of the password, and nobody can see it.
func WrongEncoding(text string) (what, filter string) {
	if len(text) > MaxLine+2 {
		return "", "" // cut off, maybe within a character; it is refused for its length
	}
	what, filter = wideEncoding(text)
	switch {
	case what != "":
	case strings.HasPrefix(text, byteOrderMark):
		return "begins with a byte order mark (U+FEFF)", "tail -c +4"
	case !utf8.ValidString(text):
		return "is not UTF-8 (perhaps Latin-1)", "iconv -f ISO-8859-1 -t UTF-8"
	}
	return what, filter
}

// byteOrderMark begins what some editors of Windows call UTF-8. In config.toml it is ignored.
const byteOrderMark = "\ufeff"

// wideEncoding is WrongEncoding for text whose characters have two or four bytes each.
func wideEncoding(text string) (what, filter string) {
	nul := strings.IndexByte(text, 0)
	switch {
	case strings.HasPrefix(text, "\xff\xfe\x00\x00"), strings.HasPrefix(text, "\x00\x00\xfe\xff"):
		return "is UTF-32", "iconv -f UTF-32 -t UTF-8"
	case strings.HasPrefix(text, "\xff\xfe"), strings.HasPrefix(text, "\xfe\xff"):
		return "is UTF-16", "iconv -f UTF-16 -t UTF-8"
	case nul >= 0 && nul%2 == 1:
		return "has NUL bytes in it, as UTF-16 has", "iconv -f UTF-16LE -t UTF-8"
	case nul >= 0:
		return "has NUL bytes in it, as UTF-16 has", "iconv -f UTF-16BE -t UTF-8"
	}
	return "", ""
}
