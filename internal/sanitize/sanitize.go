// Package sanitize makes foreign text safe to show: what a server, a keyring, a file
// or a program wrote, on its way to a terminal, a log or a header.
//
// Call [OneLine] for a line, [Short] for a part of one, and [Cut] where only the
// length matters; a [Writer] is for text of many lines. There is one rule for each character:
//
//   - What Unicode calls a letter, mark, number, punctuation, symbol or blank stays, in
//     every script. So do U+200C and U+200D, the zero-width joiners: Persian, many
//     scripts of India and emoji are spelled with them, and they neither move a cursor
//     nor reorder text.
//   - A tab or a line break becomes a blank, and so do U+2028 and U+2029.
//   - Everything else becomes '?': control characters (C0 with ESC, DEL, C1), those
//     that reorder text (U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069) or
//     that nobody sees, code points without a meaning, every byte that is not UTF-8, and
//     U+FFFD, which stands for such a byte.
//
// '?' is ASCII, so that it is one column wide on every terminal, and shows that
// something was there: a character that vanished would let two texts look alike.
//
// kyc-token has a copy of the rule, for its size, and passes the same table: see
// package sanitizetest.
package sanitize

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// OneLine returns s by the rule of this package, without white space at its ends.
// OneLine of a OneLine changes nothing.
func OneLine(s string) string { return strings.TrimSpace(strings.Map(shown, s)) }

func shown(r rune) rune {
	switch {
	case r == utf8.RuneError:
		return '?'
	case strconv.IsGraphic(r), r == '\u200c', r == '\u200d':
		return r
	case unicode.IsSpace(r):
		return ' '
	}
	return '?'
}

// Short returns s as [OneLine] does, but with each run of white space as one blank,
// and [Cut] to n characters: for the middle of a message.
func Short(s string, n int) string {
	return Cut(OneLine(strings.Join(strings.Fields(s), " ")), n)
}

// Cut returns the first n characters of s, and "…" in the place of the others. A byte
// that is not UTF-8 counts as a character.
func Cut(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i] + "…"
		}
		n--
	}
	return s
}
