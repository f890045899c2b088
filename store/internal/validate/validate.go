// Package validate checks what every store is called with, so that all of them
// refuse the same things in the same words.
package validate

import (
	"context"
	"fmt"

	"github.com/legaltalent/kyc-agent/store"
)

// Args returns an error for an ended context, and for a key that
// store.ValidKey refuses. kind begins the message.
func Args(ctx context.Context, kind, key string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	if !store.ValidKey(key) {
		return fmt.Errorf("%s: %.80q cannot be a key; use at most 63 lower-case letters, digits, '-' and '_'", kind, key)
	}
	return nil
}
