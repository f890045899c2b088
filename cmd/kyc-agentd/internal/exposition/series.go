package exposition

import (
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// A series is found by the values of its labels without a lock, since every request counts:
// the map is replaced when it changes, which is once for each operation and code.
type series[S any] struct {
	family *Family
	create func() *S

	mu   sync.Mutex // held to replace the map
	read atomic.Pointer[map[labelValues]*S]
}

// all returns the present map, which never changes.
func (s *series[S]) all() map[labelValues]*S {
	if m := s.read.Load(); m != nil {
		return *m
	}
	return nil
}

// get returns what belongs to these values, and creates it the first time.
func (s *series[S]) get(values labelValues) *S {
	if found := s.all()[values]; found != nil {
		return found
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.all()[values]; found != nil {
		return found
	}
	next := maps.Clone(s.all())
	if next == nil {
		next = map[labelValues]*S{}
	}
	created := s.create()
	next[values] = created
	s.read.Store(&next)
	return created
}

// Counters are the counters of a family.
type Counters struct{ series series[atomic.Uint64] }

// NewCounters returns counters, of which each begins when it is first needed.
func NewCounters(f *Family) *Counters {
	return &Counters{series[atomic.Uint64]{family: f, create: func() *atomic.Uint64 { return new(atomic.Uint64) }}}
}

// Inc adds one to the counter with these labels.
func (c *Counters) Inc(labels ...string) { c.series.get(valuesOf(labels)).Add(1) }

// Forget removes the counters whose label of that name has the value.
func (c *Counters) Forget(label, value string) {
	i := slices.Index(c.series.family.Labels, label)
	c.series.mu.Lock()
	defer c.series.mu.Unlock()
	next := maps.Clone(c.series.all())
	maps.DeleteFunc(next, func(v labelValues, _ *atomic.Uint64) bool { return v[i] == value })
	c.series.read.Store(&next)
}

// Collect adds all counters to a scrape.
func (c *Counters) Collect(to *Scrape) {
	for values, n := range c.series.all() {
		to.Add(c.series.family, float64(n.Load()), values[:]...)
	}
}

// Histograms are the histograms of a family.
type Histograms struct {
	series series[histogram]
	bounds []float64
}

// A histogram counts observations by the first bound that they do not exceed.
type histogram struct {
	counts []atomic.Uint64 // one more than there are bounds
	sum    atomic.Uint64   // the bits of a float64
}

// NewHistograms returns histograms with these upper bounds, in ascending order.
func NewHistograms(f *Family, bounds []float64) *Histograms {
	create := func() *histogram { return &histogram{counts: make([]atomic.Uint64, len(bounds)+1)} }
	return &Histograms{series[histogram]{family: f, create: create}, bounds}
}

// Observe adds a value to the histogram with these labels.
func (h *Histograms) Observe(value float64, labels ...string) {
	s := h.series.get(valuesOf(labels))
	bucket, _ := slices.BinarySearch(h.bounds, value)
	s.counts[bucket].Add(1)
	for {
		old := s.sum.Load()
		if s.sum.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+value)) {
			return
		}
	}
}

// Collect adds all histograms to a scrape.
func (h *Histograms) Collect(to *Scrape) {
	for values, s := range h.series.all() {
		counts := make([]uint64, len(s.counts))
		for i := range s.counts {
			counts[i] = s.counts[i].Load()
		}
		to.samples = append(to.samples, sample{
			family: h.series.family, labels: values, value: math.Float64frombits(s.sum.Load()), bounds: h.bounds, counts: counts,
		})
	}
}
