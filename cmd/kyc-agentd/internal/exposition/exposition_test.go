package exposition

import (
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// TestTextIsRead checks escapes and numbers that the agent's own metrics do not have.
func TestTextIsRead(t *testing.T) {
	f := &Family{Name: "odd", Help: "a \\ and a \" in\ntwo lines", Kind: Gauge, Labels: []string{"a", "b"}}
	values := []float64{0, 1, -1, 0.1, 1e-9, 1e21, 12345678, math.MaxFloat64, math.Inf(1), math.Inf(-1)}
	odd := []string{"", `"`, `\`, "\n", `\n`, "}", "ü", ",", "x=\"y\"", " "}
	var s Scrape
	for i, v := range values {
		s.Add(f, v, odd[i], "b")
	}
	text := string(s.Text(Negotiate("")))
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if got := families["odd"].GetHelp(); got != f.Help {
		t.Errorf("help %q", got)
	}
	got := map[string]float64{}
	for _, m := range families["odd"].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "a" {
				got[l.GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
	for i, v := range values {
		if got[odd[i]] != v {
			t.Errorf("%q: %g, want %g", odd[i], got[odd[i]], v)
		}
	}
	for _, format := range []expfmt.Format{expfmt.FmtText, expfmt.FmtOpenMetrics_1_0_0} {
		var want strings.Builder
		encoder := expfmt.NewEncoder(&want, format)
		if err := encoder.Encode(families["odd"]); err != nil {
			t.Fatal(err)
		}
		if err := encoder.(expfmt.Closer).Close(); err != nil {
			t.Fatal(err)
		}
		if got := string(s.Text(Format(format))); got != want.String() {
			t.Errorf("%s: got\n%swant\n%s", format, got, &want)
		}
	}
}

func TestHistogramBounds(t *testing.T) {
	h := NewHistograms(&Family{Name: "h", Kind: Histogram}, []float64{1, 2})
	for _, v := range []float64{0, 1, 1.5, 2, 3} {
		h.Observe(v)
	}
	var s Scrape
	h.Collect(&s)
	want := "# HELP h \n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"2\"} 4\nh_bucket{le=\"+Inf\"} 5\nh_sum 7.5\nh_count 5\n"
	if got := string(s.Text(Negotiate(""))); got != want {
		t.Errorf("%s", got)
	}
}

// TestCountingAtOnce checks that nothing is lost while series begin, are forgotten and are read.
func TestCountingAtOnce(t *testing.T) {
	const each = 50_000
	counters := NewCounters(&Family{Name: "n_total", Kind: Counter, Labels: []string{"op", "socket"}})
	durations := NewHistograms(&Family{Name: "d", Kind: Histogram, Labels: []string{"op"}}, []float64{1})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range each {
				op := string(rune('a' + i/(each/7)))
				counters.Inc(op, "kept")
				counters.Inc(op, "gone")
				durations.Observe(1, op)
				if i%5000 == 0 {
					counters.Forget("socket", "gone")
					var s Scrape
					counters.Collect(&s)
					durations.Collect(&s)
					s.Text(Negotiate(""))
				}
			}
		})
	}
	all.Wait()
	counters.Forget("socket", "gone")
	var s Scrape
	counters.Collect(&s)
	var sum float64
	for _, c := range s.samples {
		sum += c.value
	}
	s = Scrape{}
	durations.Collect(&s)
	for _, d := range s.samples {
		sum += d.value // of observations of 1
		for _, n := range d.counts {
			sum += float64(n)
		}
	}
	if sum != 3*4*each {
		t.Errorf("counted %g, want %d", sum, 3*4*each)
	}
}

func TestNegotiate(t *testing.T) {
	const text, open = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
	old := strings.Replace(open, "1.0.0", "0.0.1", 1)
	for accept, want := range map[string]string{
		"": text, "*/*": text, "text/html": text, "text/plain": text, "text/plain;version=9": text, ";;;,,,": text, "text/plain;q=abc": text,
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited": text,
		"application/openmetrics-text": old, "application/openmetrics-text;version=1.0.0": open, "application/openmetrics-text;version=2.0.0": text,
		"text/plain;q=0.1, application/openmetrics-text;version=1.0.0;q=0.9": open, "text/plain, application/openmetrics-text": text,
		"application/openmetrics-text;version=1.0.0, text/plain": open, "application/openmetrics-text;q=0": text,
		// What Prometheus 3 sends.
		"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,/;q=0.1": strings.Replace(open, "underscores", "allow-utf-8", 1),
	} {
		if got := string(Negotiate(accept)); got != want {
			t.Errorf("%q: %s, want %s", accept, got, want)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	h := NewHistograms(&Family{Name: "d", Kind: Histogram, Labels: []string{"code", "op"}}, []float64{.0005, .001, .0025, .01, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 300})
	b.ReportAllocs()
	for b.Loop() {
		h.Observe(0.002, "ok", "token")
	}
}
