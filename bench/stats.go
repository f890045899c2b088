package main

import (
	"fmt"
	"slices"
	"time"
)

// timings are the durations of the same operation, in no order.
type timings []time.Duration

// at returns the q-quantile, 0 to 1, by nearest rank, or 0 if there are no timings.
func (t timings) at(q float64) time.Duration {
	if len(t) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(t))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func (t timings) median() time.Duration { return t.at(0.5) }

// millis returns d in milliseconds with two decimals.
func millis(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*1e3) }

// micros returns d in whole microseconds.
func micros(d time.Duration) string { return fmt.Sprintf("%d", d.Microseconds()) }

// ratio returns a/b with two decimals.
func ratio(a, b time.Duration) string {
	if b == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", float64(a)/float64(b))
}
