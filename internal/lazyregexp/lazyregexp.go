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
type Regexp struct{ compiled func() *regexp.Regexp }

// New returns a Regexp. Its first use panics if the expression has a mistake: each needs a test
// that uses it.
func New(expr string) *Regexp {
	return &Regexp{sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })}
}

// Get returns the compiled expression.
func (r *Regexp) Get() *regexp.Regexp { return r.compiled() }

// MatchString is [regexp.Regexp.MatchString].
func (r *Regexp) MatchString(s string) bool { return r.Get().MatchString(s) }
