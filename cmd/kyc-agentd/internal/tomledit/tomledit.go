// Package tomledit changes one value of a TOML file and leaves everything else as it is:
// comments, order, blanks, line ends, a byte order mark.
//
// Call [Set] with the text of the file, a key and its value as [String] or [List] writes it.
// [Line] finds a key. The positions are those of go-toml's parser. Set decodes its own result
// and fails if anything but that value has changed, so a layout that it does not know is an
// error and never a damaged file.
package tomledit

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
)

// byteOrderMark begins what some editors of Windows write. TOML knows none.
const byteOrderMark = "\ufeff"

// Set returns data with the value of key changed, or added next to the keys of its table.
func Set(data []byte, key []string, value string) ([]byte, error) {
	text, marked := bytes.CutPrefix(data, []byte(byteOrderMark))
	doc, err := scan(text)
	if err != nil {
		return nil, err
	}
	edited := doc.set(key, value)
	if err := onlyChanged(text, edited, key, value); err != nil {
		return nil, err
	}
	if marked {
		edited = append([]byte(byteOrderMark), edited...)
	}
	return edited, nil
}

// Line returns the line of key in data, from 1, or 0 if it is not there.
func Line(data []byte, key []string) int {
	doc, err := scan(bytes.TrimPrefix(data, []byte(byteOrderMark)))
	if err != nil {
		return 0
	}
	if p, ok := doc.find(key); ok {
		return 1 + bytes.Count(doc.text[:p.start], []byte("\n"))
	}
	return 0
}

// String writes s as TOML. It must be valid UTF-8.
func String(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String() + `"`
}

// List writes a list of strings as TOML.
func List(all []string) string {
	quoted := make([]string, len(all))
	for i, s := range all {
		quoted[i] = String(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

var bareKey = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]+$`) })

// Key writes a key as TOML: a.b."c d".
func Key(key []string) string {
	parts := make([]string, len(key))
	for i, part := range key {
		if parts[i] = part; !bareKey().MatchString(part) {
			parts[i] = String(part)
		}
	}
	return strings.Join(parts, ".")
}

// onlyChanged returns an error unless after is before with key set to value, and nothing else.
func onlyChanged(before, after []byte, key []string, value string) error {
	if !utf8.Valid(after) {
		return errors.New("it is not UTF-8")
	}
	var old, edited, wanted map[string]any
	for _, doc := range []struct {
		text []byte
		to   *map[string]any
	}{{before, &old}, {[]byte("v = " + value), &wanted}, {after, &edited}} {
		if err := toml.Unmarshal(doc.text, doc.to); err != nil {
			return err
		}
	}
	if !put(old, key, wanted["v"]) || !reflect.DeepEqual(old, edited) {
		return fmt.Errorf("%s cannot be set without a change of something else", Key(key))
	}
	return nil
}

// put sets key in a decoded document, and reports false if that has no place for it.
func put(doc map[string]any, key []string, value any) bool {
	for _, part := range key[:len(key)-1] {
		next, ok := doc[part]
		if !ok {
			next = map[string]any{}
			doc[part] = next
		}
		if doc, ok = next.(map[string]any); !ok {
			return false
		}
	}
	doc[key[len(key)-1]] = value
	return true
}

// hasPrefix reports whether path begins with prefix.
func hasPrefix(path, prefix []string) bool {
	return len(path) >= len(prefix) && slices.Equal(path[:len(prefix)], prefix)
}
