// Package exposition writes metrics in the two text formats that Prometheus reads: its own and
// OpenMetrics.
//
// A [Family] describes a metric. [Counters] and [Histograms] count while the program runs; a
// [Scrape] takes them, and values of the moment, and writes them all:
//
//	requests := exposition.NewCounters(&exposition.Family{Name: "requests_total", Help: "…", Kind: exposition.Counter, Labels: []string{"op"}})
//	requests.Inc("token")
//
//	var s exposition.Scrape
//	s.Add(upFamily, 1)
//	requests.Collect(&s)
//	format := exposition.Negotiate(r.Header.Get("Accept"))
//	body := s.Text(format)
//
// Prometheus' client library does this as well, but it makes a program 2.4 MB larger and takes
// part of a millisecond of each start, before main, for protocols and collectors that are not
// used here. Tests compare the output with that of its encoder.
package exposition

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A Kind is a type of metric.
type Kind string

// The kinds.
const (
	Gauge     Kind = "gauge"
	Counter   Kind = "counter"
	Histogram Kind = "histogram"
)

// A Family is a metric with all values of its labels.
type Family struct {
	Name   string // of a Counter, ends in "_total"
	Help   string
	Kind   Kind
	Labels []string // up to maxLabels, in alphabetical order
}

// maxLabels is how many labels a family may have.
const maxLabels = 3

// labelValues has the values of a family's labels, in their order.
type labelValues [maxLabels]string

func valuesOf(labels []string) (v labelValues) {
	copy(v[:], labels)
	return v
}

// A Scrape collects what one answer contains. The zero value is empty.
type Scrape struct{ samples []sample }

// A sample is one time series: a number, or the state of a histogram.
type sample struct {
	family *Family
	labels labelValues
	value  float64
	bounds []float64 // of a histogram; the last bucket has none
	counts []uint64  // of its buckets, not cumulated
}

// Add adds the value of a gauge or a counter.
func (s *Scrape) Add(f *Family, value float64, labels ...string) {
	s.samples = append(s.samples, sample{family: f, labels: valuesOf(labels), value: value})
}

// Text returns everything that was added, sorted by name and labels.
func (s *Scrape) Text(f Format) []byte {
	slices.SortStableFunc(s.samples, func(a, b sample) int {
		return cmp.Or(cmp.Compare(a.family.Name, b.family.Name), slices.Compare(a.labels[:], b.labels[:]))
	})
	w := writer{openMetrics: f.OpenMetrics()}
	for i, sample := range s.samples {
		if i == 0 || s.samples[i-1].family != sample.family {
			w.header(sample.family)
		}
		if sample.family.Kind == Histogram {
			w.histogram(sample)
		} else {
			w.line(sample, "", "")
			w.float(sample.value)
		}
	}
	if w.openMetrics {
		w.WriteString("# EOF\n")
	}
	return w.Bytes()
}

// A writer writes one of the formats.
type writer struct {
	bytes.Buffer
	openMetrics bool
}

// escapedHelp and escaped replace what a text may not contain. In help texts Prometheus' format
// has no escape for quotes; OpenMetrics has the same ones everywhere.
func escapedHelp(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), "\n", `\n`)
}

func escaped(s string) string { return strings.ReplaceAll(escapedHelp(s), `"`, `\"`) }

// header writes the comments before the samples of a family.
func (w *writer) header(f *Family) {
	name, help := f.Name, escapedHelp(f.Help)
	if w.openMetrics {
		help = escaped(f.Help)
		if f.Kind == Counter {
			name = strings.TrimSuffix(name, "_total")
		}
	}
	w.WriteString("# HELP " + name + " " + help + "\n# TYPE " + name + " " + string(f.Kind) + "\n")
}

// histogram writes the buckets, each of which contains those below, then the sum and the count.
func (w *writer) histogram(s sample) {
	var total uint64
	for i, n := range s.counts {
		bound := math.Inf(1)
		if i < len(s.bounds) {
			bound = s.bounds[i]
		}
		total += n
		w.line(s, "_bucket", w.format(bound))
		w.count(total)
	}
	w.line(s, "_sum", "")
	w.float(s.value)
	w.line(s, "_count", "")
	w.count(total)
}

// line writes a sample up to its value; bound is that of a bucket, or "".
func (w *writer) line(s sample, suffix, bound string) {
	w.WriteString(s.family.Name + suffix)
	separator := "{"
	label := func(name, value string) {
		w.WriteString(separator + name + `="` + escaped(value) + `"`)
		separator = ","
	}
	for i, name := range s.family.Labels {
		label(name, s.labels[i])
	}
	if bound != "" {
		label("le", bound)
	}
	if separator == "," {
		w.WriteByte('}')
	}
	w.WriteByte(' ')
}

func (w *writer) float(f float64) { w.WriteString(w.format(f) + "\n") }

func (w *writer) count(n uint64) { w.WriteString(strconv.FormatUint(n, 10) + "\n") }

// format returns a number. In OpenMetrics it shows that it is not an integer.
func (w *writer) format(f float64) string {
	if math.IsInf(f, 1) {
		return "+Inf"
	}
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if w.openMetrics && !strings.ContainsAny(text, ".eIN") {
		text += ".0"
	}
	return text
}
