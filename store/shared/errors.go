package shared

import (
	"errors"
	"fmt"

	"github.com/legaltalent/kyc-agent/store"
)

var (
	// ErrConflict means that the value is not the one that was to be replaced.
	ErrConflict = errors.New("changed by another agent")
	// ErrSuperseded means that another agent has pushed a newer record.
	ErrSuperseded = errors.New("another agent has pushed a newer sign-in")
	// ErrForeign means that a value was not written with this fleet's key.
	ErrForeign = Errorf(store.ErrUnusable, "not written with the key of this agent")
	// ErrSwapped means that a value belongs to another environment.
	ErrSwapped = Errorf(store.ErrUnusable, "swapped")
	// ErrRolledBack means that a value is older than what this agent has seen.
	ErrRolledBack = Errorf(store.ErrUnusable, "rolled back")
	// ErrNewer means that a newer version of the program has written a value.
	ErrNewer = Errorf(store.ErrUnusable, "written by a newer kyc-agentd; upgrade this one")
)

// Errorf returns an error that is kind, one of those of package store. Its text has no word for
// the kind: it ends with what to do.
func Errorf(kind error, format string, args ...any) error {
	return &kindError{fmt.Errorf(format, args...), kind}
}

type kindError struct{ err, kind error }

// Error returns the text.
func (e *kindError) Error() string { return e.err.Error() }

// Unwrap returns the error with the text, and the kind.
func (e *kindError) Unwrap() []error { return []error{e.err, e.kind} }
