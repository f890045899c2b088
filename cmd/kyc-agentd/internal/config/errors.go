package config

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// tomlError returns a decoder's error in one line: file, line, key, what is wrong. Of
// several unknown keys it names the first.
func tomlError(file string, err error) error {
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(strict.Errors) > 0 {
		first := &strict.Errors[0]
		line, _ := first.Position()
		return Errorf("%s:%d: unknown key %s%s", file, line, joinKey(first.Key()), secretHint(first.Key()))
	}
	if bad, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ := bad.Position()
		return Errorf("%s:%d: %s", file, line, decodeMessage(bad))
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
var wrongKind = regexp.MustCompile(`^cannot decode TOML (.+?) into `)

func decodeMessage(bad *toml.DecodeError) string {
	message := strings.TrimPrefix(bad.Error(), "toml: ")
	if m := wrongKind.FindStringSubmatch(message); m != nil {
		message = fmt.Sprintf("not a value for this key (%s); want text in quotes", m[1])
		if key := bad.Key(); len(key) > 0 && key[len(key)-1] == "allowed_hosts" {
			message = fmt.Sprintf(`not a value for this key (%s); want a list: ["files.kyc.example"]`, m[1])
		}
		if key := bad.Key(); len(key) == 1 && key[0] == "sinks" {
			message = fmt.Sprintf("not a value for this key (%s); want tables [[sinks]]", m[1])
		}
		if len(bad.Key()) > 0 && len(bad.Key()) < 3 && bad.Key()[0] == "environments" {
			message = fmt.Sprintf("not a value for this key (%s); want a table [environments.NAME]", m[1])
		}
	}
	if len(bad.Key()) == 0 {
		return message
	}
	return joinKey(bad.Key()) + ": " + message
}

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

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
