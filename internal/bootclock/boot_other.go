//go:build !linux

package bootclock

import "time"

// boot returns that the system does not say which boot this is.
func boot() (id string, up time.Duration) { return "", 0 }
