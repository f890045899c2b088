package audit

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// TestMillionTokens is 10^6 tokens in each way that programs ask: what they are in the log, and
// that no more is kept than the limit. Its figures are in docs/audit.md.
func TestMillionTokens(t *testing.T) {
	testpeer.Long(t)
	const tokens = 1_000_000
	secret := agent.NewSecret("eyJhbGciOiJSUzI1NiJ9.eyJqdGkiOiJhYmMtMTIzIiwic3ViIjoieCJ9.c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJl")
	event := func(p Peer) Event {
		return Event{Kind: Token, Environment: "prod", User: "ana@example.com", Token: secret, Peer: NewPeer(p)}
	}
	script := func(i int) Peer { // one kyc-token of one of n scripts
		return Peer{PID: 1000 + i, UID: 1000, Exe: "/usr/bin/kyc-token", Comm: "kyc-token", Unit: "user@1000.service (user)",
			Parents: []Process{{900 + i, "/usr/bin/bash"}, {800, "/usr/bin/tmux"}, {1, "/usr/lib/systemd/systemd"}}}
	}
	tests := []struct {
		name string
		next func(i int) Event
		rate int // a second; 0 is as fast as it goes
		n    int
	}{
		{"one connection", func() func(int) Event {
			e := event(script(0))
			return func(int) Event { return e }
		}(), 0, tokens},
		{"100 scripts that call kyc-token", func(i int) Event {
			p := script(i % 100)
			p.PID = 10_000 + i
			return event(p)
		}, 0, tokens},
		{"each by another program, 10,000 a second", func(i int) Event { return event(script(i)) }, 10_000, tokens / 5},
		{"each by another program, as fast as it goes", func(i int) Event { return event(script(i)) }, 0, tokens},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			l := Open(Options{Dir: dir, Mode: On})
			begun := time.Now()
			for i := range tt.n {
				if tt.rate > 0 && i%100 == 0 {
					time.Sleep(time.Until(begun.Add(time.Duration(i) * time.Second / time.Duration(tt.rate))))
				}
				_ = l.Record(t.Context(), tt.next(i))
			}
			took := time.Since(begun)
			l.Close(t.Context(), Event{Kind: Stop})
			st, size := l.Status(), sizeOf(t, dir)
			if size > maxKept {
				t.Errorf("%d bytes are kept", size)
			}
			begun = time.Now()
			r, err := Verify(dir, VerifyOptions{})
			if err != nil || len(r.Problems) > 0 {
				t.Errorf("%v %v", r.Problems, err)
			}
			t.Logf("%d tokens, %s each: %d lines, %d kept in %.1f MB, %d dropped; verified in %s",
				tt.n, took/time.Duration(tt.n), st.Lines, r.Lines, float64(size)/(1<<20), st.Dropped, time.Since(begun).Round(time.Millisecond))
		})
	}
}

// TestRequiredRate is how many lines a second are required, by how many ask at a time.
func TestRequiredRate(t *testing.T) {
	testpeer.Long(t)
	for _, clients := range []int{1, 8, 64} {
		t.Run(fmt.Sprint(clients), func(t *testing.T) {
			l := Open(Options{Dir: t.TempDir(), Mode: Required})
			defer l.Close(t.Context(), Event{})
			begun := time.Now()
			var asking sync.WaitGroup
			for range clients {
				asking.Go(func() {
					for time.Since(begun) < 2*time.Second {
						if err := l.Record(t.Context(), token(1)); err != nil {
							t.Error(err)
						}
					}
				})
			}
			asking.Wait()
			t.Logf("%d clients: %.0f lines a second", clients, float64(l.Status().Lines)/time.Since(begun).Seconds())
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	dir := b.TempDir()
	w := &writer{dir: dir, maxFile: maxFile, maxKept: maxKept}
	if _, _, err := w.append(batch{entries: events(10_000)}); err != nil {
		b.Fatal(err)
	}
	w.close()
	for b.Loop() {
		if _, err := Verify(dir, VerifyOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/line")
}

func BenchmarkAppend(b *testing.B) {
	w := &writer{dir: b.TempDir(), maxFile: maxFile, maxKept: maxKept}
	defer w.close()
	for b.Loop() {
		if _, _, err := w.append(batch{entries: events(1)}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	l := Open(Options{Dir: b.TempDir(), Mode: On})
	defer l.Close(b.Context(), Event{})
	e := token(1)
	b.ReportAllocs()
	for b.Loop() {
		_ = l.Record(b.Context(), e)
	}
}
