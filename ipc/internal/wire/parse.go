package wire

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// ParseMinValid parses min_valid.
func ParseMinValid(s string) (time.Duration, error) { return ParseDuration("min_valid", s) }

// ParseDuration parses what is called name: a Go duration, or whole seconds.
func ParseDuration(name, s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil && n <= math.MaxInt64/uint64(time.Second) {
		return time.Duration(n) * time.Second, nil
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, UsageError("%s %s is not a duration; write 5m, or 300 for seconds", name, Quote(s))
	case d < 0:
		return 0, UsageError("%s %s is below zero", name, Quote(s))
	}
	return d, nil
}

// EachField calls set for every field of the object that dec reads next. Unlike
// encoding/json it refuses a field that is there twice.
func EachField(dec *json.Decoder, set func(name string, value json.RawMessage) error) error {
	notObject := UsageError("the body is not a JSON object")
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return notObject
	}
	seen := map[string]bool{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return notObject
		}
		name := key.(string) // the decoder accepts nothing else as a key
		if seen[name] {
			return UsageError("field %s is there twice in the body", Quote(name))
		}
		seen[name] = true
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return notObject
		}
		if err := set(name, value); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return notObject
	}
	return nil
}

// SetString sets to to the value of the field called name, which must be a string.
func SetString(to *string, name string, value json.RawMessage) error {
	if value[0] != '"' || json.Unmarshal(value, to) != nil {
		return UsageError("field %s of the body is not a string", Quote(name))
	}
	return nil
}

// SetValue sets to to the value of the field called name, which must be what says.
func SetValue(to any, name, what string, value json.RawMessage) error {
	if string(value) == "null" || json.Unmarshal(value, to) != nil {
		return UsageError("field %s of the body is not %s", Quote(name), what)
	}
	return nil
}
