// Package lazyregexp compiles a regular expression at its first use:
//
//	var keyPattern = lazyregexp.New(`^[a-z0-9]+$`)
//
// Most of them are for a setting that is seldom made or for an error. Compiled before main, they
// were half of what all packages of kyc-agentd allocated there, 0.6 of 1.3 MB.
package lazyregexp

import (
	"regexp"
	"sync"
)

// A Regexp is a regular expression that may not be compiled yet.
type Regexp struct {
	expr     string
	once     sync.Once
	compiled *regexp.Regexp
}

// New returns a Regexp. Its first use panics if the expression has a mistake: each needs a test
// that uses it. It is so short that the compiler writes the result into the program, and nothing
// is left to do at its start.
func New(expr string) *Regexp { return &Regexp{expr: expr} }

// Get returns the compiled expression.
func (r *Regexp) Get() *regexp.Regexp {
	r.once.Do(func() { r.compiled = regexp.MustCompile(r.expr) })
	return r.compiled
}

// MatchString is [regexp.Regexp.MatchString].
func (r *Regexp) MatchString(s string) bool { return r.Get().MatchString(s) }
