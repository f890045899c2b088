// Package validate checks the arguments that every store has in common, so that all
// stores refuse the same ones with the same message.
package validate

import (
	"context"
	"fmt"

	"github.com/legaltalent/kyc-agent/store"
)

// Args returns an error if ctx has ended or store.ValidKey refuses key. The message
// begins with kind.
func Args(ctx context.Context, kind, key string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	if !store.ValidKey(key) {
		return fmt.Errorf("%s: %.80q cannot be a key; use at most 63 lower-case letters, digits, '-' and '_'", kind, key)
	}
	return nil
}
