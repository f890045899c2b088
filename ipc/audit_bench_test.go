package ipc

import (
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/agent/audit"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// BenchmarkAuditHandler is BenchmarkHandler with each kind of log: the allocations are the
// same off and on.
func BenchmarkAuditHandler(b *testing.B) {
	for _, mode := range []audit.Mode{audit.Off, audit.On, audit.Required} {
		b.Run(string(mode), func(b *testing.B) {
			h := benchHandler(b)
			h.audit.to = auditLog(b, mode)
			r := httptest.NewRequest(http.MethodGet, benchTarget, nil)
			r.Host = wire.Host
			r.Header.Set("Accept", "text/plain")
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				if h.ServeHTTP(w, r); w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
			}
		})
	}
}

func auditLog(b *testing.B, mode audit.Mode) *audit.Log {
	l := audit.Open(audit.Options{Dir: b.TempDir(), Mode: mode})
	b.Cleanup(func() { l.Close(b.Context(), audit.Event{}) })
	return l
}

// BenchmarkAudit compares the answers a second of the three modes over a real socket. They
// take turns, in short pieces, so that what else the machine does is in all of them; the figure
// is the median of the pieces. A connection is used again, or there is one for each request.
func BenchmarkAudit(b *testing.B) {
	for _, reuse := range []bool{true, false} {
		name := map[bool]string{true: "keepalive", false: "connect"}[reuse]
		b.Run(name, func(b *testing.B) {
			modes := []audit.Mode{audit.Off, audit.On, audit.Required}
			dials := map[audit.Mode]func() (net.Conn, error){}
			logs := map[audit.Mode]*audit.Log{}
			for _, mode := range modes {
				logs[mode] = auditLog(b, mode)
				path := serveUnixServer(b, &Server{Service: &scripted{}, Audit: logs[mode]})
				dials[mode] = func() (net.Conn, error) { return net.Dial("unix", path) }
			}
			pieces, cpu := map[audit.Mode][]float64{}, map[audit.Mode][]float64{}
			for b.Loop() {
				for _, mode := range modes {
					before := cpuTime(b)
					n := answersPerSecond(b, dials[mode], reuse)
					pieces[mode] = append(pieces[mode], n)
					cpu[mode] = append(cpu[mode], float64((cpuTime(b)-before).Microseconds())/(n*auditPiece.Seconds()))
				}
			}
			b.ReportMetric(0, "ns/op")
			off := median(pieces[audit.Off])
			for _, mode := range modes {
				b.ReportMetric(median(pieces[mode]), string(mode)+"/s")
				b.ReportMetric(median(cpu[mode]), string(mode)+"-cpu-µs")
			}
			b.ReportMetric(100*(1-median(pieces[audit.On])/off), "%on-costs")
			b.ReportMetric(100*(median(cpu[audit.On])/median(cpu[audit.Off])-1), "%on-costs-cpu")
			b.Logf("on: %+v", logs[audit.On].Status())
		})
	}
}

// cpuTime is that of client and server, which are one process here: what else the machine does
// is not in it.
func cpuTime(b *testing.B) time.Duration {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func median(all []float64) float64 {
	all = slices.Clone(all)
	slices.Sort(all)
	return all[len(all)/2]
}

const auditPiece = 150 * time.Millisecond

func answersPerSecond(b *testing.B, dial func() (net.Conn, error), reuse bool) float64 {
	raw := []byte(rawRequest("GET", benchTarget, "", textPlain))
	buf := make([]byte, 4096)
	var c net.Conn
	n, begun := 0, time.Now()
	for ; time.Since(begun) < auditPiece; n++ {
		if c == nil {
			var err error
			if c, err = dial(); err != nil {
				b.Fatal(err)
			}
		}
		_, _ = c.Write(raw)
		if _, err := c.Read(buf); err != nil {
			b.Fatal(err)
		}
		if !reuse {
			_ = c.Close()
			c = nil
		}
	}
	if c != nil {
		_ = c.Close()
	}
	return float64(n) / time.Since(begun).Seconds()
}
