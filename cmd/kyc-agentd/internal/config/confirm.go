package config

import (
	"fmt"
	"runtime"
	"time"
)

// checkConfirm refuses a question that could not be asked, and one that a token file answers.
func (c Config) checkConfirm() error {
	for _, name := range c.Names() {
		if c.Environments[name].Confirm.s != "true" {
			continue
		}
		if runtime.GOOS != "linux" {
			return Errorf("environments.%s: confirm is for Linux only: this system does not say which program asks", name)
		}
		for i, s := range c.Sinks {
			if s.Environment.s == name {
				return Errorf("sinks (no. %d): environment %s has confirm = true, and a token file could be read without a question; remove one of them", i+1, name)
			}
		}
	}
	for _, s := range c.Sockets {
		if s.Confirm && runtime.GOOS != "linux" {
			return Errorf("%s: sockets (%q): confirm is for Linux only: this system does not say which program asks", s.at, s.Name.s)
		}
	}
	return nil
}

// Confirmed returns the environments that have confirm = true.
func (c Config) Confirmed() (names []string) {
	for _, name := range c.Names() {
		if c.Environments[name].Confirm.s == "true" {
			names = append(names, name)
		}
	}
	return names
}

// ParseLife parses a duration of a command line: "30m", "30d".
func ParseLife(s string) (time.Duration, error) {
	d, err := parseDays(s)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("bad duration %q; write 30m, 8h or 30d", s)
	}
	return d, nil
}
