package sanitize

import (
	"io"
	"strings"
	"unicode/utf8"
)

// A Writer passes text on to a terminal: by the rule of this package, but with its tabs and line
// feeds. It keeps a character that is not complete until the next Write, or until Close.
type Writer struct {
	To      io.Writer
	partial string
}

// Write implements [io.Writer].
func (w *Writer) Write(p []byte) (int, error) {
	text := w.partial + string(p)
	end := len(text)
	for i := end - 1; i >= max(0, end-utf8.UTFMax); i-- {
		if utf8.RuneStart(text[i]) {
			if !utf8.FullRuneInString(text[i:]) {
				end = i
			}
			break
		}
	}
	w.partial = text[end:]
	if _, err := io.WriteString(w.To, strings.Map(shownInText, text[:end])); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close writes what is left. It does not close To.
func (w *Writer) Close() error {
	_, err := io.WriteString(w.To, strings.Map(shownInText, w.partial))
	w.partial = ""
	return err
}

func shownInText(r rune) rune {
	if r == '\n' || r == '\t' {
		return r
	}
	return shown(r)
}
