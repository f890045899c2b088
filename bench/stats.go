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

// A spread is the same ratio in each repeat of a comparison.
type spread []float64

// median returns the middle one, or 0 if there is none.
func (s spread) median() float64 {
	if len(s) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(s))[len(s)/2]
}

// String returns the median, with the least and the greatest: "0.87 (0.85–0.90)".
func (s spread) String() string {
	if len(s) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", s.median(), slices.Min(s), slices.Max(s))
}

// ratios returns a/b for each repeat.
func ratios[T time.Duration | float64](a, b []T) spread {
	var s spread
	for i := range min(len(a), len(b)) {
		if b[i] != 0 {
			s = append(s, float64(a[i])/float64(b[i]))
		}
	}
	return s
}
