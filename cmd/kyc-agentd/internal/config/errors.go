package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"

	"github.com/legaltalent/kyc-agent/internal/lazyregexp"
)

// tomlError returns a decoder's error in one line: file, line, key, what is wrong. Of
// several unknown keys it names the first. data is what the file holds.
func tomlError(file string, data []byte, err error) error {
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(strict.Errors) > 0 {
		first := &strict.Errors[0]
		line, _ := first.Position()
		return Errorf("%s:%d: unknown key %s%s", file, line, joinKey(first.Key()), secretHint(first.Key()))
	}
	if bad, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, column := bad.Position()
		return Errorf("%s:%d: %s%s", file, line, withWholeCharacter(decodeMessage(bad), data, line, column), characterHint(data, line, column))
	}
	return Errorf("%s: %s", file, strings.TrimPrefix(err.Error(), "toml: "))
}

// secretHint says where to put a secret that somebody wrote into config.toml.
func secretHint(key toml.Key) string {
	if len(key) == 0 || secretKeys[key[len(key)-1]] == "" {
		return ""
	}
	return "; a secret goes into a separate file (mode 0600), which is named here: " + secretKeys[key[len(key)-1]]
}

// wrongKind is how go-toml begins the error for a value of the wrong kind. It goes on with
// the names of Go types, which mean nothing to the reader.
var wrongKind = lazyregexp.New(`^cannot decode TOML (.+?) into `)

func decodeMessage(bad *toml.DecodeError) string {
	message := strings.TrimPrefix(bad.Error(), "toml: ")
	if m := wrongKind.Get().FindStringSubmatch(message); m != nil {
		message = fmt.Sprintf("not a value for this key (%s); want text in quotes", m[1])
		if key := bad.Key(); len(key) > 0 && environmentLists[key[len(key)-1]] != "" {
			message = fmt.Sprintf("not a value for this key (%s); want a list: [%q]", m[1], environmentLists[key[len(key)-1]])
		}
		if key := bad.Key(); len(key) == 1 && (key[0] == "sinks" || key[0] == "sockets") {
			message = fmt.Sprintf("not a value for this key (%s); want tables [[%s]]", m[1], key[0])
		}
		if key := bad.Key(); len(key) == 2 && key[0] == "sockets" && key[1] != "name" && key[1] != "rate" {
			message = fmt.Sprintf(`not a value for this key (%s); want a list of texts: ["…"]`, m[1])
		}
		if len(bad.Key()) > 0 && len(bad.Key()) < 3 && bad.Key()[0] == "environments" {
			message = fmt.Sprintf("not a value for this key (%s); want a table [environments.NAME]", m[1])
		}
	}
	if unquoted.MatchString(message) {
		message = "strings must be quoted"
	}
	if len(bad.Key()) == 0 {
		return message
	}
	return joinKey(bad.Key()) + ": " + message
}

// aByte is how go-toml shows one byte of a character that has several.
var aByte = lazyregexp.New(`U\+00[89A-F][0-9A-F]( '.*?')?`)

// withWholeCharacter replaces a byte in a decoder's message by the character at that place.
func withWholeCharacter(message string, data []byte, line, column int) string {
	r := characterAt(data, line, column)
	if r < utf8.RuneSelf {
		return message
	}
	whole := fmt.Sprintf("%U", r)
	if unicode.IsPrint(r) {
		whole += fmt.Sprintf(" '%c'", r)
	}
	return aByte.Get().ReplaceAllLiteralString(message, whole)
}

// characterHint says what to write in the place of a character that looks right to a person.
func characterHint(data []byte, line, column int) string {
	r := characterAt(data, line, column)
	switch {
	case strings.ContainsRune("“”„‟«»‘’‚‛″′", r):
		return `; write straight quotes: "`
	case r >= utf8.RuneSelf && unicode.IsSpace(r), unicode.Is(unicode.Cf, r):
		return fmt.Sprintf("; there is %U, which nobody can see: write an ordinary space, or nothing", r)
	}
	return ""
}

// characterAt returns the character at a position as go-toml counts: from 1, columns in bytes.
func characterAt(data []byte, line, column int) rune {
	lines := bytes.Split(data, []byte("\n"))
	if line < 1 || line > len(lines) || column < 1 || column > len(lines[line-1]) {
		return 0
	}
	r, _ := utf8.DecodeRune(lines[line-1][column-1:])
	return r
}

// unquoted is how go-toml begins the error for text without quotes.
var unquoted = lazyregexp.New(`^unexpected character U\+00.. '[A-Za-z~/_]' at start of value$`)

var bareKey = lazyregexp.New(`^[A-Za-z0-9_-]+$`)

// joinKey writes a key as TOML does: a.b."c d".
func joinKey(key toml.Key) string {
	parts := make([]string, len(key))
	for i, part := range key {
		if parts[i] = part; !bareKey.MatchString(part) {
			parts[i] = strconv.Quote(part)
		}
	}
	return strings.Join(parts, ".")
}

// PlainCause is the cause of a failed file operation without its name and path,
// which the caller's line has already.
func PlainCause(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		err = p.Err
	}
	return err.Error()
}
