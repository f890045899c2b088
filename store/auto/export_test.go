package auto

import (
	"log/slog"
	"time"

	"github.com/legaltalent/kyc-agent/store"
)

// FallbackForTest returns what is used instead of a keyring kr that could not be reached
// because of an error: a store in memory if file is nil. It asks kr again after an interval.
func FallbackForTest(kr, file store.Store, because error, interval time.Duration) store.Store {
	late := &lateKeyring{keyring: kr, interval: interval, tried: time.Now(), because: because}
	if file == nil {
		return newMemoryFallback(late, "", slog.New(slog.DiscardHandler))
	}
	return newFileFallback(file, late)
}
