package config

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestConfirm(t *testing.T) {
	const sink = "[[sinks]]\nenvironment = 'prod'\nformat = 'token'\npath = '/run/x'\n"
	for _, test := range []struct {
		name, text string
		want       []string
		err        string // on Linux
	}{
		{"default", "", nil, ""},
		{"on", "[environments.prod]\nconfirm = true\n", []string{"prod"}, ""},
		{"inherited", "[environments.prod]\nconfirm = true\n[environments.ci]\nextends = 'prod'\n", []string{"ci", "prod"}, ""},
		{"not inherited", "[environments.prod]\nconfirm = true\n[environments.ci]\nextends = 'prod'\nconfirm = false\n", []string{"prod"}, ""},
		{"a token file", "[environments.prod]\nconfirm = true\n" + sink, nil, "sinks (no. 1): environment prod has confirm = true"},
		{"a token file of another", "[environments.staging]\nconfirm = true\n" + sink, []string{"staging"}, ""},
		{"no such value", "[environments.prod]\nconfirm = 'always'\n", nil, "want true or false"},
	} {
		c, _, err := load("config.toml", []byte(test.text), nil)
		if runtime.GOOS != "linux" && strings.Contains(test.text, "confirm = true") {
			if err == nil || !strings.Contains(err.Error(), "confirm is for Linux only") {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if test.err == "" && !slices.Equal(c.Confirmed(), test.want) {
			t.Errorf("%s: %q", test.name, c.Confirmed())
		}
	}
}

func TestParseLife(t *testing.T) {
	for text, want := range map[string]time.Duration{"30m": 30 * time.Minute, "30d": 720 * time.Hour, "1d12h": 36 * time.Hour, "": 0, "0": 0, "-1h": 0, "1": 0, "x": 0} {
		if got, err := ParseLife(text); got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}
